// Proves what publishing and receiving cost, in instructions, and that they make no system call: a
// count is the same on every run and every machine, where a time is noise.
//
// A process that publishes and receives is stepped through both, event by event, for one lap of the
// ring, after some laps at full speed: what is resolved, mapped or allocated once is not counted.
// Nobody sleeps and there is room. `usual` is the median of the lap, `most` its dearest event, which
// looks at the gate anew.
//
// All instructions count, libc's and the few between the calls and the marks too, but for those of
// the kernel's clock (vDSO): it tries again when it is interrupted, which stepping does. How often it
// is asked counts instead.
//
// A figure that is too low now says that something became dearer; one that is too high, that
// something became cheaper, and that the figure is to be lowered, or the gain may be lost unseen.
#include "process/child.hpp"
#include "shmbus/bus.hpp"
#include "support/daemon_process.hpp"
#include "support/stepper.hpp"

#include <algorithm>
#include <fstream>
#include <gtest/gtest.h>
#include <iostream>
#include <sstream>

namespace shmbus::test {

namespace {

constexpr unsigned lap = 16;       // events
constexpr unsigned warm = 4 * lap; // at full speed
constexpr std::size_t inline_payload = 64;
constexpr std::size_t chunk_payload = 65'536;

/// As counted with the compiler of Debian 12. Its patch levels, and the memcpy that libc chooses for
/// the processor, are good for some percent.
constexpr double margin = 0.15;

struct Figures {
    std::uint64_t usual;
    std::uint64_t most;
    std::uint64_t clock; // how often it is asked for each event
};
struct Case {
    const char* name;
    bool exclusive;
    bool loan; // of chunk_payload bytes, untouched; else inline_payload bytes are copied
    Figures publish;
    Figures receive; // with release and acknowledge
};
constexpr Case cases[] = {
    {"inline_shared", false, false, {509, 672, 1}, {386, 386, 0}},
    {"inline_exclusive", true, false, {540, 704, 1}, {386, 386, 0}},
    {"loan_shared", false, true, {902, 1065, 1}, {530, 530, 1}},
    {"loan_exclusive", true, true, {930, 1094, 1}, {530, 530, 1}},
};

void publish(Publisher& publisher, Bytes payload) {
    if (!publisher.publish(payload)) throw std::runtime_error("not published");
}
void publish_loan(Publisher& publisher) {
    if (!publisher.publish(publisher.loan(chunk_payload))) throw std::runtime_error("no loan");
}
void receive(Subscription& subscription) {
    auto received = subscription.receive(Deadline::now());
    auto* event = std::get_if<Event>(&received);
    if (event == nullptr) throw std::runtime_error("not received");
    event->release();
    subscription.acknowledge(*event);
}

/// events SOCKET EXCLUSIVE LOAN: warm ones, then a lap with marks around each publish and receive.
SHMBUS_WORKER(events) {
    Bus bus({.socket = args.text(0)});
    auto publisher = bus.publisher("steps", {.exclusive = args.number(1) != 0});
    auto subscription = bus.subscribe("steps", {.auto_acknowledge = false});
    const bool loan = args.number(2) != 0;
    const std::vector<std::byte> payload(inline_payload);
    say("ready");
    hear();
    for (unsigned i = 0; i < warm + lap; ++i) {
        const bool marked = i >= warm;
        if (marked) mark();
        loan ? publish_loan(publisher) : publish(publisher, payload);
        if (marked) mark();
        if (marked) mark();
        receive(subscription);
        if (marked) mark();
    }
    say("done");
    return 0;
}

struct Range {
    std::uint64_t from = 0;
    std::uint64_t to = 0;
    [[nodiscard]] bool has(std::uint64_t address) const { return from <= address && address < to; }
};

/// Where the kernel's clock is mapped.
Range vdso_of(pid_t pid) {
    std::ifstream maps("/proc/" + std::to_string(pid) + "/maps");
    for (std::string line; std::getline(maps, line);) {
        if (!line.ends_with("[vdso]")) continue;
        Range range;
        char dash = 0;
        std::istringstream(line) >> std::hex >> range.from >> dash >> range.to;
        return range;
    }
    throw std::runtime_error("no vDSO");
}

/// What was counted between pairs of marks.
class Counts {
  public:
    void add(Stepper& stepper, Range vdso) {
        std::uint64_t instructions = 0;
        bool in_clock = false;
        stepper.run_to_mark();
        const Walk walk = stepper.step_to_mark([&](const Instruction& next) {
            const bool was_in_clock = std::exchange(in_clock, vdso.has(next.address));
            if (in_clock && !was_in_clock) ++clock_;
            if (!in_clock) ++instructions;
            if (next.is_system_call) ++system_calls_;
            return true;
        });
        EXPECT_EQ(walk.end, Walk::End::mark);
        counts_.push_back(instructions);
    }
    void expect(const std::string& what, const Figures& kept) const {
        auto sorted = counts_;
        std::sort(sorted.begin(), sorted.end());
        compare(what + ", usual", sorted.at(sorted.size() / 2), kept.usual);
        compare(what + ", most", sorted.back(), kept.most);
        EXPECT_EQ(clock_, kept.clock * counts_.size()) << what << ": looks at the clock";
        EXPECT_EQ(system_calls_, 0U) << what;
    }

  private:
    static void compare(const std::string& what, std::uint64_t counted, std::uint64_t kept) {
        std::cout << what << ": " << counted << " instructions, kept " << kept << '\n';
        const double ratio = static_cast<double>(counted) / static_cast<double>(kept);
        EXPECT_LE(ratio, 1 + margin) << what << ": dearer than it was";
        EXPECT_GE(ratio, 1 - margin) << what << ": cheaper than it was; lower the figure";
    }
    std::vector<std::uint64_t> counts_;
    std::uint64_t clock_ = 0;
    std::uint64_t system_calls_ = 0;
};

class Instructions : public testing::TestWithParam<Case> {
  protected:
    DaemonProcess daemon_;
    Bus bus_{BusOptions{.socket = daemon_.socket()}};
};

TEST_P(Instructions, AreAsManyAsTheyWere) {
    const Case& which = GetParam();
    bus_.create_topic("steps", {.capacity = lap,
                                .slot_bytes = 128,
                                .max_event = chunk_payload,
                                .retention = Retention::memory});
    auto child = Child::worker(
        "events", {daemon_.socket(), std::to_string(which.exclusive), std::to_string(which.loan)});
    ASSERT_EQ(child.hear(), "ready");
    const Range vdso = vdso_of(child.pid());
    Counts published;
    Counts received;
    {
        Stepper stepper(child.pid());
        child.say("go");
        for (unsigned i = 0; i < lap; ++i) {
            published.add(stepper, vdso);
            received.add(stepper, vdso);
        }
    }
    EXPECT_EQ(child.hear(), "done");
    EXPECT_EQ(child.wait(), 0);
    published.expect("publish", which.publish);
    received.expect("receive", which.receive);
}

std::string name_of_case(const testing::TestParamInfo<Case>& which) { return which.param.name; }

INSTANTIATE_TEST_SUITE_P(Cases, Instructions, testing::ValuesIn(cases), name_of_case);

} // namespace

} // namespace shmbus::test
