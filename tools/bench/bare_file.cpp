#include "tools/bench/bare_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <stdexcept>
#include <sys/mman.h>
#include <unistd.h>

namespace shmbus::tools::bench {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t K = 1024;
constexpr std::size_t small_event = 1 * K;
constexpr std::size_t small_write = 64 * K;
constexpr std::size_t large_write = 1024 * K;

[[noreturn]] void fail(const char* doing) {
    throw std::runtime_error(std::string("the bare probe, ") + doing +
                             " a file: " + std::strerror(errno));
}

int opened(const fs::path& path, int flags) {
    const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0600);
    if (fd < 0) fail("opening");
    return fd;
}

} // namespace

BareFile::BareFile(const fs::path& path, std::size_t event_bytes)
    : fd_(opened(path, O_RDWR | O_CREAT | O_EXCL)),
      buffer_(event_bytes < small_event ? small_write : large_write) {}

BareFile::~BareFile() { ::close(fd_); }

void BareFile::prepare(std::uint64_t bytes) {
    offset_ = 0;
    if (::ftruncate(fd_, 0) != 0) fail("emptying");
    if (::fallocate(fd_, 0, 0, static_cast<off_t>(bytes)) != 0) fail("allocating");
    sync();
}

std::span<std::byte> BareFile::next(std::size_t bytes) {
    if (buffered_ + bytes > buffer_.size()) flush();
    buffered_ += bytes;
    return std::span(buffer_).subspan(buffered_ - bytes, bytes);
}

void BareFile::flush() {
    const auto count = ::pwrite(fd_, buffer_.data(), buffered_, static_cast<off_t>(offset_));
    if (count != static_cast<ssize_t>(buffered_)) fail("writing");
    offset_ += buffered_;
    buffered_ = 0;
}

void BareFile::sync() {
    if (::fdatasync(fd_) != 0) fail("syncing");
}

std::vector<fs::path> segments_in(const fs::path& directory) {
    std::vector<fs::path> segments;
    for (const auto& entry : fs::directory_iterator(directory))
        if (entry.path().extension() == ".seg") segments.push_back(entry.path());
    std::sort(segments.begin(), segments.end());
    return segments;
}

void read_file(const fs::path& path) {
    static std::vector<std::byte> buffer(large_write);
    const int fd = opened(path, O_RDONLY);
    ssize_t count = 1;
    while (count > 0) count = ::read(fd, buffer.data(), buffer.size());
    if (count < 0) fail("reading");
    ::close(fd);
}

void copy_out_of(const std::vector<fs::path>& files, std::size_t bytes, std::uint64_t count) {
    std::vector<std::byte> copies(small_write + bytes);
    for (const auto& path : files) {
        const std::size_t size = fs::file_size(path);
        const int fd = opened(path, O_RDONLY);
        void* const memory = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
        ::close(fd);
        if (memory == MAP_FAILED) fail("mapping");
        const auto* from = static_cast<const std::byte*>(memory);
        const std::uint64_t here = std::min<std::uint64_t>(count, size / bytes);
        std::size_t to = 0;
        for (std::uint64_t i = 0; i < here; ++i) {
            std::memcpy(copies.data() + to, from + i * bytes, bytes);
            asm volatile("" : : "r"(copies.data()) : "memory"); // or it is not done at all
            to = to + bytes < small_write ? to + bytes : 0;
        }
        count -= here;
        ::munmap(memory, size);
    }
    if (count != 0) throw std::runtime_error("the bare probe: too few bytes in the segments");
}

} // namespace shmbus::tools::bench
