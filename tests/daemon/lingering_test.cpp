// Descriptors that are slow to close, which anybody may send who reaches the socket: nobody else waits for it.
#include "daemon/hostile_fixture.hpp"

#include <array>
#include <capnp/serialize.h>
#include <cerrno>
#include <cstring>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <system_error>

namespace shmbus::control {
namespace {

using test::RawClient;
using testing::HasSubstr;

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
        throw std::system_error(errno, std::generic_category(), "sending a descriptor");
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
    /// The sender; and nobody else waits for what it sent.
    void expect_cut_off(RawClient& sender) {
        const Deadline soon(10s);
        const auto last_words = sender.receive(); // none for who only says no hello
        ASSERT_TRUE(last_words);
        capnp::FlatArrayMessageReader reader(*last_words);
        const auto message = reader.getRoot<capnp::rpc::Message>();
        ASSERT_TRUE(message.isAbort());
        EXPECT_THAT(message.getAbort().getReason().cStr(), HasSubstr("what is no memory"));
        sender.expect_hang_up();
        expect_service();
        EXPECT_FALSE(soon.passed());
    }
};

/// One message each: the daemon may hang up before the same client can send another.
TEST_F(LingeringTest, InAMessage) {
    std::array<Lingering, 2> slow;
    RawClient client(daemon.socket());
    slow[0].send_through(client.fd());
    RawClient other(daemon.socket());
    slow[1].send_through(other.fd());
    expect_cut_off(client);
    expect_cut_off(other);
}

/// With one message read, the daemon hangs up before it comes to the others.
TEST_F(LingeringTest, InMessagesThatNobodyReads) {
    std::array<Lingering, 8> slow;
    daemon.kill(SIGSTOP);
    RawClient client(daemon.socket());
    for (auto& each : slow) each.send_through(client.fd());
    daemon.kill(SIGCONT);
    expect_cut_off(client);
}

TEST_F(LingeringTest, InASocketInAMessage) {
    Lingering slow;
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    const base::Fd outer(ends[0]);
    base::Fd inner(ends[1]);
    slow.send_through(outer.get());
    RawClient client(daemon.socket());
    send(client.fd(), inner);
    inner = {};
    expect_cut_off(client);
}

} // namespace
} // namespace shmbus::control
