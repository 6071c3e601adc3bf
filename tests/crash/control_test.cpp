// Proves that the daemon keeps nothing of a client that is killed, with SIGKILL, while the two talk: while it
// opens publishers and subscriptions, makes a cursor durable, and comes back after the daemon itself was
// killed.
//
// The library talks in a thread of its own, so all threads are traced. A client is killed
//
//   * behind the k-th system call of any of its threads, for every k;
//   * behind every store that it makes into shared memory, found by looking at these bytes behind each
//     instruction: all such stores are the calling thread's, and coming back makes none;
//   * at random: some instructions, up to 65,536, behind a system call, of the thread that made it.
//
// Afterwards, within a deadline: the daemon knows the same holders as before and has as many descriptors
// open; nothing is left in the topic's memory; another publisher goes on for a lap, and another subscriber
// reads it. What persist() had confirmed is not received again, nor is anything missed.
//
// With --long every k, and 1,000 at random of each operation; else a share of them.
#include "base/mapping.hpp"
#include "crash/tracer.hpp"
#include "layout/cursor.hpp"
#include "process/child.hpp"
#include "process/inside.hpp"
#include "process/load.hpp"
#include "process/shared_array.hpp"
#include "support/daemon_process.hpp"
#include "support/stepper.hpp"

#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <gtest/gtest.h>
#include <iostream>
#include <map>
#include <sys/stat.h>
#include <thread>

#include <shmbus/shmbus.hpp>

namespace shmbus::test {

namespace {

using namespace std::chrono_literals;

/// What the holders of the durable subscription have done, in memory that outlives them.
enum Counter : std::size_t { acknowledging, persisted, counter_count };

constexpr std::uint32_t capacity = 16;

/// attach SOCKET
SHMBUS_WORKER(attach) {
    say("ready");
    hear();
    mark();
    Bus bus({.socket = args.text(0)});
    auto publisher = bus.publisher("fast");
    auto subscription = bus.subscribe("fast");
    auto durable = bus.subscribe("kept", {.start = Start::all(), .name = "victim"});
    mark();
    return 0;
}

/// persist SOCKET [3: counters]
SHMBUS_WORKER(persist) {
    const auto counters = SharedCounters::inherited(3);
    Bus bus({.socket = args.text(0)});
    auto durable =
        bus.subscribe("kept", {.start = Start::all(), .name = "victim", .auto_acknowledge = false});
    Sequence last = 0;
    for (int i = 0; i < 3; ++i) {
        const auto received = durable.receive(patience);
        const auto* event = std::get_if<Event>(&received);
        if (event == nullptr) throw std::runtime_error("no event");
        last = event->sequence();
        if (last <= counters[persisted]) throw std::runtime_error("a persisted event came again");
        if (i == 0 && last > counters[acknowledging] + 1)
            throw std::runtime_error("an event that nobody acknowledged is missing");
    }
    say("ready");
    hear();
    mark();
    counters[acknowledging] = last;
    durable.acknowledge(last);
    durable.persist(patience);
    counters[persisted] = last;
    mark();
    return 0;
}

/// reconnect SOCKET: the daemon dies behind the first mark.
SHMBUS_WORKER(reconnect) {
    Bus bus({.socket = args.text(0)});
    auto publisher = bus.publisher("fast");
    auto subscription = bus.subscribe("fast", {.lossy = true});
    auto durable = bus.subscribe("kept", {.start = Start::all(), .name = "victim"});
    say("ready");
    hear();
    mark();
    hear();
    for (bool is_back = false; !is_back;) {
        try {
            is_back = bus.topic("fast").publisher_count != 0;
        } catch (const Error&) {
            std::this_thread::sleep_for(1ms);
        }
    }
    mark();
    return 0;
}

struct Talk {
    const char* worker;
    bool kills_daemon = false; // at its first mark
    bool persists = false;
};
std::ostream& operator<<(std::ostream& out, const Talk& talk) { return out << talk.worker; }

/// The words that a client may write into a topic's memory while it opens or persists, as they are now.
using Words = std::vector<std::uint64_t>;
void add_words(const ring::Topic& topic, Words& words) {
    for (std::uint32_t i = 0; i < 8; ++i) {
        const auto& entry = topic.readers.entry(i);
        words.push_back(entry.cursor.load_relaxed());
        words.push_back(entry.attach.load_relaxed());
        words.push_back(topic.ring.publisher(i).gate.load_relaxed());
        for (std::uint32_t c = 0; c < layout::hold_cells; ++c)
            words.push_back(topic.readers.cells(i)[c].load_relaxed());
    }
}

/// What a process has open, and the link to it in /proc.
std::vector<std::pair<std::string, std::string>> open_in(pid_t pid) {
    std::vector<std::pair<std::string, std::string>> all;
    const auto directory = "/proc/" + std::to_string(pid) + "/fd";
    for (const auto& link : std::filesystem::directory_iterator(directory)) {
        std::error_code gone; // it takes and drops some all the time
        const auto target = std::filesystem::read_symlink(link, gone);
        if (!gone) all.emplace_back(target, link.path());
    }
    return all;
}

class Control : public testing::TestWithParam<Talk> {
  protected:
    void SetUp() override {
        if (GetParam().kills_daemon) kill_daemon(); // the first one had nobody coming back
        expect_settled();
        (void)bus_.topics(); // when it has answered it has closed what it had sent before
        descriptors_ = descriptors();
    }
    [[nodiscard]] pid_t worker() const { return child_of(daemon_.pid()); }

    /// Kills one client at `place`, or behind a store for which `goes_on` says no; false if it had come to
    /// its end.
    bool die_at(const Place& place, const std::function<bool()>& goes_on = {});
    /// What clients have written so far.
    Words words();
    void report(const char* what) const {
        std::cout << GetParam().worker << ", " << what << ": " << kills_ << " killed, " << returns_
                  << " of them at the end\n";
    }

    bool written_ = false; // by the last one, into the topics' memory
    std::uint64_t kills_ = 0;
    std::uint64_t returns_ = 0;      // who were at their end by then
    std::uint64_t system_calls_ = 0; // of the last one
    Random random_{seed()};

  private:
    static TopicOptions fast() {
        return {.capacity = capacity,
                .slot_bytes = 128,
                .max_event = 4096,
                .pool_bytes = 1U << 20U,
                .evict_after_ms = 600'000,
                .retention = Retention::memory};
    }
    static TopicOptions kept() {
        return {.capacity = capacity,
                .slot_bytes = 128,
                .max_event = 64,
                .pool_bytes = 0,
                .retention = Retention::disk,
                .sync = Sync::none};
    }
    /// The daemon has noticed every death, and the living go on.
    void expect_settled();
    /// Another one comes at once.
    void kill_daemon();
    /// What the daemon has open, but for files, which come with the events.
    [[nodiscard]] std::size_t descriptors() const;
    void await(const std::function<bool()>& condition, const char* what);
    void expect_cursor_kept();
    [[nodiscard]] std::map<ino_t, base::Fd> cursor_pages() const;
    void map_cursor_page(const std::map<ino_t, base::Fd>& of_others);

    TemporaryDirectory state_;
    DaemonProcess daemon_{{"--supervise", "--state-dir", state_.path().string()}};
    Bus bus_{BusOptions{.socket = daemon_.socket()}};
    const bool made_ = bus_.create_topic_if_missing("fast", fast()) &&
                       bus_.create_topic_if_missing("kept", kept());
    Publisher publisher_ = bus_.publisher("fast");
    Publisher keeper_ = bus_.publisher("kept");
    Subscription subscription_ = bus_.subscribe("fast");
    ring::Topic fast_ = publisher_view(bus_, "fast");
    ring::Topic kept_ = publisher_view(bus_, "kept");
    SharedCounters counters_{counter_count};
    std::size_t descriptors_ = 0; // of the daemon when only the test is there
    std::optional<base::Mapping> page_;
};

void Control::await(const std::function<bool()>& condition, const char* what) {
    for (const Deadline end = patience;;) {
        try { // the daemon may be about to come back
            if (condition()) return;
        } catch (const Error&) {
        }
        if (end.passed()) throw std::runtime_error(std::string("in vain: ") + what);
        std::this_thread::sleep_for(1ms);
    }
}

void Control::expect_settled() {
    await([&] { return bus_.topic("fast").publisher_count == 1; }, "the dead publisher goes");
    await([&] { return bus_.topic("fast").subscriber_count == 1; }, "the dead subscriber goes");
    await([&] { return bus_.topic("kept").subscriber_count == 0; }, "its subscription is free");
    await(
        [&] {
            const auto all = bus_.subscriptions("kept");
            return all.empty() || !all.front().holder;
        },
        "the durable subscription has no holder");
    if (descriptors_ != 0) await([&] { return descriptors() == descriptors_; }, "descriptors go");
    EXPECT_EQ(traces_of(fast_), (Traces{.publishers = 1, .readers = 1}));
    for (std::uint32_t i = 0; i <= capacity; ++i) {
        const auto sent = publisher_.publish("on", {}, patience);
        ASSERT_TRUE(sent) << name_of(sent.outcome);
        const auto received = subscription_.receive(patience);
        const auto* event = std::get_if<Event>(&received);
        ASSERT_NE(event, nullptr);
        EXPECT_EQ(event->sequence(), sent.sequence);
    }
}

void Control::kill_daemon() {
    const pid_t dead = worker();
    ::kill(dead, SIGKILL);
    await([&] { return worker() != dead && worker() != 0; }, "the daemon starts again");
}

std::size_t Control::descriptors() const {
    std::size_t count = 0;
    for (const auto& [target, link] : open_in(worker()))
        if (!target.starts_with(state_.path().string())) ++count;
    return count;
}

/// Not behind what was confirmed, nor beyond what was done with.
void Control::expect_cursor_kept() {
    const auto all = bus_.subscriptions("kept");
    if (all.empty()) return;
    const Sequence cursor = all.front().cursor.value_or(0);
    EXPECT_GE(cursor, counters_[persisted].load());
    EXPECT_LE(cursor, counters_[acknowledging].load());
}

/// Those of the durable subscription, by inode: the daemon's parent keeps them, of the last holder's, too.
std::map<ino_t, base::Fd> Control::cursor_pages() const {
    std::map<ino_t, base::Fd> pages;
    for (const auto& [target, link] : open_in(daemon_.pid())) {
        if (!target.starts_with("/memfd:shmbus-cursor-")) continue;
        base::Fd fd(::open(link.c_str(), O_RDONLY | O_CLOEXEC));
        struct stat status {};
        if (fd && ::fstat(fd.get(), &status) == 0) pages.emplace(status.st_ino, std::move(fd));
    }
    return pages;
}

/// The victim's, as soon as it has one.
void Control::map_cursor_page(const std::map<ino_t, base::Fd>& of_others) {
    for (const auto& [inode, fd] : cursor_pages())
        if (!of_others.contains(inode))
            page_.emplace(fd, base::Access::read_only, layout::cursor_page_bytes);
}

Words Control::words() {
    Words words;
    add_words(fast_, words);
    add_words(kept_, words);
    if (page_)
        words.push_back(reinterpret_cast<const layout::CursorPage*>(page_->bytes().data())
                            ->cursor.load_relaxed());
    return words;
}

bool Control::die_at(const Place& place, const std::function<bool()>& goes_on) {
    const Talk& talk = GetParam();
    for (int i = 0; talk.persists && i < 3; ++i) EXPECT_TRUE(keeper_.publish("kept", {}, patience));
    const auto of_others = cursor_pages();
    auto victim = Child::worker(talk.worker, {daemon_.socket()}, {counters_.fd()});
    EXPECT_EQ(victim.hear(), "ready");
    page_.reset();
    bool is_there = false;
    {
        Tracer tracer(victim.pid());
        victim.say("go");
        tracer.run_to_mark();
        if (talk.kills_daemon) {
            kill_daemon();
            victim.say("killed");
        }
        map_cursor_page(of_others);
        const Words at_entry = words();
        Words before = at_entry;
        const auto look = [&] {
            if (!page_ && tracer.reached().instructions % 64 == 0) {
                map_cursor_page(of_others);
                if (page_) before = words();
            }
            const Words now = words();
            return std::exchange(before, now) == now || goes_on();
        };
        is_there = goes_on ? tracer.run(place, look) : tracer.run(place);
        written_ = words() != at_entry;
        system_calls_ = tracer.reached().system_calls;
    }
    EXPECT_EQ(victim.wait(), -SIGKILL);
    ++kills_;
    if (!is_there) ++returns_;
    page_.reset();
    expect_settled();
    if (talk.persists) expect_cursor_kept();
    return is_there;
}

TEST_P(Control, KilledBehindAnySystemCallLeavesNothing) {
    const std::uint64_t stride = long_form() ? 1 : 7;
    std::uint64_t k = 1 + (long_form() ? 0 : seed() % stride);
    while (die_at({.system_calls = k})) {
        ASSERT_FALSE(HasFailure()) << "killed behind system call " << k;
        k += stride;
    }
    ASSERT_FALSE(HasFailure()) << "it came to its end";
    report("behind system calls");
    EXPECT_GE(system_calls_, 5U);
    EXPECT_GE(kills_, system_calls_ / stride / 2);
}

TEST_P(Control, KilledBehindAnyStoreLeavesNothing) {
    constexpr std::uint64_t all = ~std::uint64_t{0};
    constexpr std::uint64_t usual = 3; // for who opens a publisher and two subscriptions
    if (GetParam().kills_daemon) {
        EXPECT_FALSE(die_at({.system_calls = all}));
        EXPECT_FALSE(written_) << "coming back makes stores";
        return;
    }
    const bool each = long_form() || GetParam().persists; // which has little to step through
    std::uint64_t store = each ? 0 : seed() % usual;
    const auto die_behind = [&] {
        std::uint64_t left = store;
        return die_at({.system_calls = 0, .instructions = all}, [&] { return left-- != 0; });
    };
    while (die_behind()) {
        ASSERT_FALSE(HasFailure()) << "killed behind store " << store;
        ++store;
        if (!each) break;
    }
    ASSERT_FALSE(HasFailure()) << "it came to its end";
    report("behind stores");
    EXPECT_GE(kills_, each ? 3U : 1U);
    EXPECT_GE(store, each ? 2U : 1U) << "a cursor in the topic's memory, and the daemon's";
}

TEST_P(Control, KilledAtRandomLeavesNothing) {
    const std::uint64_t times = long_form() ? 1'000 : 8;
    constexpr std::uint64_t furthest = 16; // its logarithm
    (void)die_at({.system_calls = ~std::uint64_t{0}});
    const std::uint64_t calls = system_calls_;
    for (std::uint64_t i = 0; i < times; ++i) {
        const Place place{.system_calls = random_.below(calls),
                          .instructions = 1 + random_.below(2U << random_.below(furthest))};
        (void)die_at(place);
        ASSERT_FALSE(HasFailure()) << "killed " << place.instructions
                                   << " instructions behind system call " << place.system_calls;
    }
    report("at random");
    if (long_form()) {
        EXPECT_LE(returns_, kills_ / 2) << "too few were in the middle of it";
    }
}

INSTANTIATE_TEST_SUITE_P(Talks, Control,
                         testing::Values(Talk{"attach"},
                                         Talk{.worker = "persist", .persists = true},
                                         Talk{.worker = "reconnect", .kills_daemon = true}),
                         [](const auto& of) { return std::string(of.param.worker); });

} // namespace

} // namespace shmbus::test
