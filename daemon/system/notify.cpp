#include "daemon/system/notify.hpp"

#include "daemon/system/log.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fcntl.h>
#include <mutex>
#include <optional>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace shmbus::system {

namespace {

/// A listener that is only busy takes it within this time.
constexpr int patience_ms = 100;

struct Statement {
    std::string state;
    base::Fd fd; // or none

    [[nodiscard]] bool is(std::string_view beginning) const { return state.starts_with(beginning); }
};

/// The way to one listener.
class Line {
  public:
    explicit Line(std::string address) : address_(std::move(address)) {}
    [[nodiscard]] const std::string& address() const noexcept { return address_; }

    void say(Statement what) {
        send_waiting();
        if (waiting_.empty()) {
            if (!send(what, patience_ms)) waiting_.push_back(std::move(what));
            return;
        }
        if (what.is("WATCHDOG=1")) return;
        if (what.is("STATUS="))
            std::erase_if(waiting_, [](const Statement& older) { return older.is("STATUS="); });
        waiting_.push_back(std::move(what));
    }

  private:
    void send_waiting() {
        // Who has taken one is there again, and takes the others.
        for (int patience = 0; !waiting_.empty() && send(waiting_.front(), patience);
             patience = patience_ms)
            waiting_.pop_front();
    }
    /// @returns false to try again later
    bool send(const Statement& what, int patience);
    [[nodiscard]] int send_once(const Statement& what) const noexcept;
    int connect() noexcept;

    std::string address_;
    base::Fd socket_;
    std::deque<Statement> waiting_;
};

/// @returns an error number, or 0
int Line::connect() noexcept {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (address_.size() >= sizeof address.sun_path) return ENAMETOOLONG;
    std::memcpy(address.sun_path, address_.data(), address_.size());
    if (address_[0] == '@') address.sun_path[0] = '\0';
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
    base::Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket || ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0)
        return errno;
    socket_ = std::move(socket);
    return 0;
}

int Line::send_once(const Statement& what) const noexcept {
    iovec part{.iov_base = const_cast<char*>(what.state.data()), .iov_len = what.state.size()};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    if (what.fd) {
        header.msg_control = control.data();
        header.msg_controllen = control.size();
        cmsghdr* rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof(int));
        const int number = what.fd.get();
        std::memcpy(CMSG_DATA(rights), &number, sizeof number);
    }
    return ::sendmsg(socket_.get(), &header, MSG_NOSIGNAL) < 0 ? errno : 0;
}

bool Line::send(const Statement& what, int patience) {
    int error = 0;
    for (bool anew = !socket_;; anew = true) { // who listens may be another one by now
        error = anew ? connect() : 0;
        if (error == 0) error = send_once(what);
        if (anew || error == 0 || error == EAGAIN) break;
    }
    if (error == EAGAIN && patience != 0) {
        pollfd room{.fd = socket_.get(), .events = POLLOUT, .revents = 0};
        if (::poll(&room, 1, patience) == 1) error = send_once(what);
    }
    if (error == EAGAIN) return false;
    if (error != 0)
        log(Level::warning,
            "saying " + what.state.substr(0, what.state.find('\n')) + ": " + std::strerror(error));
    return true;
}

std::mutex mutex;
std::optional<Line> line; // guarded by mutex

} // namespace

bool is_heard() { return std::getenv("NOTIFY_SOCKET") != nullptr; }

bool notify(const std::string& state, const base::Fd* fd) {
    const char* address = std::getenv("NOTIFY_SOCKET");
    if (address == nullptr || *address == '\0') return false;
    Statement what{state, {}};
    if (fd != nullptr) what.fd = base::Fd(::fcntl(fd->get(), F_DUPFD_CLOEXEC, 3));
    if (fd != nullptr && !what.fd) {
        log(Level::warning,
            "saying " + state.substr(0, state.find('\n')) + ": " + std::strerror(errno));
        return true;
    }
    const std::lock_guard lock(mutex);
    if (!line || line->address() != address) line.emplace(address);
    line->say(std::move(what));
    return true;
}

} // namespace shmbus::system
