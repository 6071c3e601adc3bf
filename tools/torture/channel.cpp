#include "tools/torture/channel.hpp"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace shmbus::tools::torture {

namespace {

constexpr int inherited_fd = 3;

int make_memory() {
    const int fd = ::memfd_create("shmbus-torture", MFD_CLOEXEC);
    if (fd < 0 || ::ftruncate(fd, sizeof(Shared)) != 0)
        throw std::runtime_error(std::string("memory for a worker: ") + std::strerror(errno));
    return fd;
}

} // namespace

std::uint64_t monotonic_ns() noexcept {
    return static_cast<std::uint64_t>(
        std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count());
}

Channel::Channel() : Channel(make_memory()) { new (shared_) Shared; }

Channel Channel::inherited() { return Channel(inherited_fd); }

Channel::Channel(int fd) : fd_(fd) {
    void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        throw std::runtime_error(std::string("a worker's memory: ") + std::strerror(errno));
    shared_ = static_cast<Shared*>(memory);
}

Channel::Channel(Channel&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), shared_(std::exchange(other.shared_, nullptr)) {}

Channel::~Channel() {
    if (shared_ != nullptr) ::munmap(shared_, sizeof(Shared));
    if (fd_ >= 0) ::close(fd_);
}

void Channel::say(Record record) noexcept {
    const std::uint64_t next = shared_->written.load(std::memory_order_relaxed);
    while (next - shared_->read.load(std::memory_order_acquire) >= Shared::capacity)
        std::this_thread::sleep_for(std::chrono::microseconds(200));
    record.time_ns = monotonic_ns();
    shared_->records[next % Shared::capacity] = record;
    shared_->written.store(next + 1, std::memory_order_release);
}

} // namespace shmbus::tools::torture
