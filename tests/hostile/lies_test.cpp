// Proves that the client library believes no daemon: descriptors without seals, of a wrong kind or
// size, objects of another topic, version or geometry, answers that make no sense. Each is refused
// with the Error that says so; nothing of it stays mapped, and no descriptor stays open.
//
// The honest offer of the same fake daemon is accepted, so what is refused is refused for the lie.
#include "hostile/fake_daemon.hpp"
#include "process/child.hpp"
#include "process/inside.hpp"
#include "shmbus/bus.hpp"
#include "support/daemon_process.hpp"

#include <algorithm>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

namespace shmbus::test {

namespace {

SHMBUS_WORKER(fake_daemon) { run_fake_daemon(args.text(0)); }

unsigned shared_mappings() {
    unsigned count = 0;
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);)
        if (line.find("/memfd:") != std::string::npos ||
            line.find("/dev/zero") != std::string::npos)
            ++count;
    return count;
}

class Lies : public ::testing::Test {
  protected:
    void SetUp() override { ASSERT_EQ(daemon_.hear(), "ready"); }
    TemporaryDirectory directory_;
    const std::string socket_ = directory_.path() / "bus.sock";
    Child daemon_ = Child::worker("fake_daemon", {socket_});
};

/// Whether `open` fails as the lie deserves.
template <class Open> void expect_answer(const Lie& lie, const char* role, Open open) {
    SCOPED_TRACE(std::string(lie.topic) + ", as a " + role);
    const unsigned mappings = shared_mappings();
    const unsigned descriptors = usage_of(::getpid()).descriptors;
    try {
        open();
        EXPECT_TRUE(lie.answers.empty()) << "believed";
    } catch (const Error& e) {
        EXPECT_NE(std::find(lie.answers.begin(), lie.answers.end(), e.code()), lie.answers.end())
            << name_of(e.code()) << ": " << e.what();
    }
    EXPECT_EQ(shared_mappings(), mappings);
    const Deadline deadline = patience; // the library's thread closes what came with the answer
    while (usage_of(::getpid()).descriptors != descriptors)
        ASSERT_FALSE(deadline.passed()) << "a descriptor stays open";
}

TEST_F(Lies, AreNotBelieved) {
    for (const auto& lie : lies()) {
        Bus bus({.socket = socket_});
        (void)usage_of(::getpid());
        expect_answer(lie, "publisher", [&] { (void)bus.publisher(lie.topic); });
        expect_answer(lie, "subscriber", [&] { (void)bus.subscribe(lie.topic); });
    }
    EXPECT_EQ(daemon_.ended(Deadline::now()), false);
}

TEST_F(Lies, AnHonestOfferWorks) {
    Bus bus({.socket = socket_});
    auto publisher = bus.publisher("honest");
    EXPECT_TRUE(publisher.publish("into a ring of nobody else"));
    auto subscription = bus.subscribe("honest");
    EXPECT_TRUE(std::holds_alternative<Nothing>(subscription.receive(Deadline::now())));
}

template <class Call> Errc code_of(Call call) {
    try {
        call();
    } catch (const Error& e) {
        return e.code();
    }
    ADD_FAILURE() << "believed";
    return Errc::system;
}

TEST_F(Lies, AnswersThatMakeNoSenseAreErrors) {
    Bus bus({.socket = socket_});
    EXPECT_EQ(code_of([&] { (void)bus.topic("any"); }), Errc::damaged);
    EXPECT_EQ(code_of([&] { (void)bus.topics(); }), Errc::damaged);
    EXPECT_EQ(code_of([&] { bus.create_topic("any", {.retention = Retention::memory}); }),
              Errc::incompatible);
    EXPECT_EQ(code_of([&] { bus.remove_topic("any"); }), Errc::system);
    EXPECT_EQ(code_of([&] { bus.drain_topic("any", Deadline::now()); }), Errc::unsupported);
}

} // namespace

} // namespace shmbus::test
