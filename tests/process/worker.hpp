// Tests of several processes: one program that is the test and, started again, each of its workers.
//
//     SHMBUS_WORKER(echo) {            // echo(Args args): runs in a process of its own
//         say(hear());
//         return 0;
//     }
//     TEST(Echo, Answers) {
//         Child child = Child::worker("echo");
//         child.say("hello");
//         EXPECT_EQ(child.hear(), "hello");
//     }
//
// Test and worker talk in lines over two pipes, so that every step waits for the one before it and
// none for a length of time. A worker dies with the test. Workers are exec'ed, never only forked.
#pragma once

#include "shmbus/types.hpp"
#include "support/sanitizers.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace shmbus::test {

/// What the test gave Child::worker(), by position.
class Args {
  public:
    explicit Args(std::vector<std::string> args) : args_(std::move(args)) {}
    [[nodiscard]] const std::string& text(std::size_t i) const { return args_.at(i); }
    [[nodiscard]] std::uint64_t number(std::size_t i) const { return std::stoull(args_.at(i)); }

  private:
    std::vector<std::string> args_;
};

using Worker = int (*)(const Args& args);
/// Makes a worker known to main(). @returns true
bool add_worker(const char* name, Worker worker);

#define SHMBUS_WORKER(name)                                                                        \
    static int worker_##name(const shmbus::test::Args& args);                                      \
    static const bool added_##name = shmbus::test::add_worker(#name, worker_##name);               \
    static int worker_##name([[maybe_unused]] const shmbus::test::Args& args)

/// In a worker: a line to the test.
void say(std::string_view line);
/// In a worker: the next line from the test; exits when the test is gone.
std::string hear();

/// Whether the program was started with --long: the full size of a test that has a short form.
[[nodiscard]] bool long_form();
/// The seed of this run: --seed=N, else $SHMBUS_TEST_SEED, else a fresh one. Printed by main().
[[nodiscard]] std::uint64_t seed();

/// How long a test waits for what must come: beyond any noise of the machine.
inline constexpr std::chrono::seconds patience{60};

} // namespace shmbus::test
