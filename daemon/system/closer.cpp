#include "daemon/system/closer.hpp"

#include "base/thread.hpp"
#include "daemon/system/ancillary.hpp"

#include <array>
#include <condition_variable>
#include <deque>
#include <fcntl.h>
#include <mutex>
#include <sys/socket.h>
#include <system_error>
#include <thread>
#include <vector>

namespace shmbus::system {

namespace {

constexpr unsigned deepest = 16;         // sockets in messages to sockets …
constexpr unsigned longest_queue = 4096; // more messages than any socket has
constexpr unsigned most_threads = 64;

/// Reads one message, for its descriptors. @returns whether there was one
bool receive(const base::Fd& socket, std::vector<base::Fd>& to) {
    std::array<char, 4096> bytes;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(most_descriptors * sizeof(int))> control;
    iovec part{.iov_base = bytes.data(), .iov_len = bytes.size()};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const auto size = ::recvmsg(socket.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size < 0) return false;
    for (cmsghdr* at = CMSG_FIRSTHDR(&header); at != nullptr; at = CMSG_NXTHDR(&header, at))
        take_descriptors(*at, to);
    return size != 0 || !to.empty();
}

/// A socket does not linger then, and neither does what is in it.
void close_well(base::Fd fd, unsigned depth) {
    const linger none{};
    if (::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &none, sizeof none) != 0) return;
    ::shutdown(fd.get(), SHUT_RDWR); // no more comes
    std::vector<base::Fd> found;
    for (unsigned i = 0; depth < deepest && i < longest_queue && receive(fd, found); ++i) {
        for (auto& each : found) close_well(std::move(each), depth + 1);
        found.clear();
    }
}

/// As many threads as wait for a close(), and one more; up to a bound, as they may wait for ever.
class Closers {
  public:
    void add(base::Fd fd, Closing closing) {
        const std::lock_guard lock(mutex_);
        waiting_.push_back({std::move(fd), std::move(closing)});
        if (idle_ < waiting_.size() && threads_ < most_threads) start();
        changed_.notify_one();
    }

  private:
    struct Job {
        base::Fd fd;
        Closing closing;
    };
    void start() {
        try {
            const base::BlockedSignals blocked;
            std::thread([this] { work(); }).detach(); // the process ends without waiting for it
            ++threads_;
        } catch (const std::system_error&) { // one that is there does it, or the next that is
        }
    }
    [[noreturn]] void work() {
        base::name_this_thread("shmbus-closer");
        std::unique_lock lock(mutex_);
        for (;;) {
            ++idle_;
            changed_.wait(lock, [this] { return !waiting_.empty(); });
            --idle_;
            Job job = std::move(waiting_.front());
            waiting_.pop_front();
            lock.unlock();
            close_well(std::move(job.fd), 0);
            if (job.closing) job.closing->fetch_sub(1, std::memory_order_relaxed);
            job = {};
            lock.lock();
        }
    }
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Job> waiting_; // guarded by mutex_, as are these
    unsigned idle_ = 0;
    unsigned threads_ = 0;
};

/// Lives on when the process ends, as its threads do.
Closers& closers() {
    static auto& all = *new Closers; // NOLINT(cppcoreguidelines-owning-memory)
    return all;
}

} // namespace

void close_elsewhere(base::Fd fd, Closing closing) noexcept {
    if (!fd) return;
    ::shutdown(fd.get(), SHUT_RDWR); // in vain where it is no socket
    if (closing) closing->fetch_add(1, std::memory_order_relaxed);
    closers().add(std::move(fd), std::move(closing));
}

bool is_memory(int fd) noexcept { return ::fcntl(fd, F_GET_SEALS) >= 0; }

} // namespace shmbus::system
