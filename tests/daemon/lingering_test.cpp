// Descriptors that are slow to close, which anybody may send who reaches the socket: nobody else waits for it.
#include "daemon/hostile_fixture.hpp"

#include <array>
#include <cstring>
#include <netinet/in.h>
#include <sys/socket.h>

namespace shmbus::control {
namespace {

void send(int socket, const base::Fd& fd) {
    char text[8] = {'x'};
    iovec part{.iov_base = text, .iov_len = sizeof text};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    const int number = fd.get();
    std::memcpy(CMSG_DATA(rights), &number, sizeof number);
    if (::sendmsg(socket, &header, MSG_NOSIGNAL) != sizeof text)
        throw std::runtime_error("sending a descriptor");
}

/// A TCP socket whose close() takes a minute: it lingers for what its peer, which is here, does not read.
class Lingering {
  public:
    Lingering() {
        const base::Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto* generic = reinterpret_cast<sockaddr*>(&address);
        socklen_t size = sizeof address;
        fd_ = base::Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (::bind(listener.get(), generic, size) != 0 || ::listen(listener.get(), 1) != 0 ||
            ::getsockname(listener.get(), generic, &size) != 0 ||
            ::connect(fd_.get(), generic, size) != 0)
            throw std::runtime_error("making a TCP connection");
        peer_ = base::Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
        const linger minute{.l_onoff = 1, .l_linger = 60};
        ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &minute, sizeof minute);
        const std::array<char, 65'536> bytes{};
        while (::send(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT) > 0) {
        }
    }
    /// In a message; it is nobody else's then.
    void send_through(int socket) {
        send(socket, fd_);
        fd_ = {};
    }

  private:
    base::Fd fd_;
    base::Fd peer_;
};

class LingeringTest : public HostileTest {
  protected:
    void expect_prompt_service() {
        const Deadline soon(10s);
        expect_service();
        EXPECT_FALSE(soon.passed());
    }
    [[nodiscard]] base::Fd connect() const {
        test::RawClient client(daemon.socket());
        return base::Fd(::dup(client.fd()));
    }
};

TEST_F(LingeringTest, InAMessage) {
    std::array<Lingering, 3> slow;
    const auto socket = connect();
    slow[0].send_through(socket.get());
    const auto other = connect();
    slow[1].send_through(other.get());
    slow[2].send_through(other.get());
    expect_prompt_service();
}

/// With one message read, the daemon hangs up before it comes to the others.
TEST_F(LingeringTest, InMessagesThatNobodyReads) {
    std::array<Lingering, 8> slow;
    daemon.kill(SIGSTOP);
    const auto socket = connect();
    for (auto& each : slow) each.send_through(socket.get());
    daemon.kill(SIGCONT);
    expect_prompt_service();
}

TEST_F(LingeringTest, InASocketInAMessage) {
    Lingering slow;
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    const base::Fd outer(ends[0]);
    base::Fd inner(ends[1]);
    slow.send_through(outer.get());
    const auto socket = connect();
    send(socket.get(), inner);
    inner = {};
    expect_prompt_service();
}

} // namespace
} // namespace shmbus::control
