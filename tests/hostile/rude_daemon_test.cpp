// Proves that whatever listens at the socket, a client gets an Error in bounded time, and its
// process goes on: one that hangs up at once, that never answers, that talks nonsense, that
// promises a message of gigabytes, that floods.
#include "process/child.hpp"
#include "process/load.hpp"
#include "shmbus/bus.hpp"
#include "support/daemon_process.hpp"

#include <cstring>
#include <gtest/gtest.h>
#include <iostream>
#include <sys/socket.h>
#include <sys/un.h>

namespace shmbus::test {

namespace {

base::Fd listen_at(const std::string& path) {
    base::Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(fd.get(), 16) != 0)
        throw std::runtime_error("cannot listen at " + path);
    return fd;
}

void send(const base::Fd& to, const void* bytes, std::size_t size) {
    (void)::send(to.get(), bytes, size, MSG_NOSIGNAL);
}

/// rude SOCKET MANNER SEED: serves one client after the other.
SHMBUS_WORKER(rude) {
    const auto listener = listen_at(args.text(0));
    const std::string& manner = args.text(1);
    Random random(args.number(2));
    std::vector<base::Fd> kept;
    say("ready");
    for (;;) {
        base::Fd client(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (manner == "hangs-up") continue;
        if (manner == "talks-nonsense") {
            std::vector<std::uint64_t> words(1 + random.below(512));
            for (auto& word : words) word = random();
            if (random.below(2) == 0)
                words[0] = words.size() << 32U; // a plausible frame of nonsense
            send(client, words.data(), words.size() * sizeof words[0]);
        } else if (manner == "promises-gigabytes") {
            const std::uint32_t head[] = {0, 0x3fff'ffff, 0, 0};
            send(client, head, sizeof head);
        } else if (manner == "promises-many-segments") {
            const std::uint32_t head[] = {0xffff'ffff, 1, 1, 1};
            send(client, head, sizeof head);
        } else if (manner == "floods") {
            const std::vector<std::uint64_t> zeros(8'192);
            for (int i = 0; i < 200; ++i)
                if (::send(client.get(), zeros.data(), zeros.size() * 8, MSG_NOSIGNAL) <= 0) break;
        }
        kept.push_back(std::move(client)); // and never answers
    }
}

class RudeDaemon : public ::testing::TestWithParam<const char*> {};

TEST_P(RudeDaemon, IsAnErrorInBoundedTime) {
    constexpr auto limit = std::chrono::milliseconds(100);
    const std::string manner = GetParam();
    const TemporaryDirectory directory;
    const std::string socket = directory.path() / "bus.sock";
    auto daemon = Child::worker("rude", {socket, manner, std::to_string(seed())});
    ASSERT_EQ(daemon.hear(), "ready");
    const int rounds = manner == "talks-nonsense" ? 50 : 3;
    for (int i = 0; i < rounds; ++i) {
        const auto start = Deadline::Clock::now();
        try {
            const Bus bus({.socket = socket, .request_timeout = limit});
            ADD_FAILURE() << "connected";
        } catch (const Error& e) {
            if (i == 0)
                std::cout << manner << ": " << name_of(e.code()) << ": " << e.what() << '\n';
            EXPECT_TRUE(e.code() == Errc::timed_out || e.code() == Errc::disconnected ||
                        e.code() == Errc::damaged || e.code() == Errc::system ||
                        e.code() == Errc::incompatible)
                << name_of(e.code());
        }
        EXPECT_LT(Deadline::Clock::now() - start, limit + std::chrono::seconds(5));
    }
}

INSTANTIATE_TEST_SUITE_P(Manners, RudeDaemon,
                         ::testing::Values("hangs-up", "never-answers", "talks-nonsense",
                                           "promises-gigabytes", "promises-many-segments",
                                           "floods"));

} // namespace

} // namespace shmbus::test
