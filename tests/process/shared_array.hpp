// An array that a test and its workers share, for what must be measured without talking.
#pragma once

#include "base/fd.hpp"

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <sys/mman.h>
#include <sys/stat.h>
#include <system_error>
#include <type_traits>

namespace shmbus::test {

/// Zeros at first; sparse, so the size may be generous.
template <class T> class SharedArray {
    static_assert(std::is_trivially_destructible_v<T>);

  public:
    /// In the test: makes one; fd() goes to Child::worker().
    explicit SharedArray(std::size_t size) : fd_(::memfd_create("test", MFD_CLOEXEC)), size_(size) {
        if (!fd_ || ::ftruncate(fd_.get(), static_cast<off_t>(size * sizeof(T))) != 0)
            throw std::system_error(errno, std::generic_category(), "memory to share");
        map();
    }
    /// In a worker: the one that was passed as descriptor `fd`.
    static SharedArray inherited(int fd) { return SharedArray(base::Fd(fd)); }
    SharedArray(SharedArray&& other) noexcept
        : fd_(std::move(other.fd_)), size_(other.size_), data_(other.data_) {
        other.data_ = nullptr;
    }
    SharedArray& operator=(SharedArray&&) = delete;
    SharedArray(const SharedArray&) = delete;
    SharedArray& operator=(const SharedArray&) = delete;
    ~SharedArray() {
        if (data_ != nullptr) ::munmap(data_, size_ * sizeof(T));
    }

    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    T& operator[](std::size_t i) const noexcept { return data_[i]; }

  private:
    explicit SharedArray(base::Fd fd) : fd_(std::move(fd)) {
        struct stat status {};
        if (::fstat(fd_.get(), &status) != 0)
            throw std::system_error(errno, std::generic_category(), "memory shared with the test");
        size_ = static_cast<std::size_t>(status.st_size) / sizeof(T);
        map();
    }
    void map() {
        if (size_ == 0) return; // nothing to share
        void* at =
            ::mmap(nullptr, size_ * sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
        if (at == MAP_FAILED)
            throw std::system_error(errno, std::generic_category(), "mapping shared memory");
        data_ = static_cast<T*>(at);
    }
    base::Fd fd_;
    std::size_t size_ = 0;
    T* data_ = nullptr;
};

using SharedCounters = SharedArray<std::atomic<std::uint64_t>>;

} // namespace shmbus::test
