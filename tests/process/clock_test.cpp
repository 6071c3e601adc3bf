// A clock that is set back, and forward again: whoever starts at a time begins with the first event of that
// time or later, wherever the topic has it, in files or in its ring.
//
// Nobody can set the clock of the machine that tests run on. Events get their times from a writer of
// their own instead, which shares the memory of an ordinary publisher.
#include "process/inside.hpp"
#include "process/worker.hpp"
#include "ring/shared_writer.hpp"
#include "support/daemon_process.hpp"

#include <csignal>
#include <gtest/gtest.h>

#include <shmbus/shmbus.hpp>

namespace shmbus::test {

namespace {

using namespace std::chrono_literals;
using Time = std::chrono::sys_time<std::chrono::nanoseconds>;

constexpr Time noon{1'750'000'000s};

/// A millisecond from one event to the next; an hour back after the 2,000th, two forward after the 4,000th.
Time time_of(Sequence s) {
    const auto set = s <= 2'000 ? 0h : s <= 4'000 ? -1h : 1h;
    return noon + std::chrono::milliseconds(s) + set;
}

class ClockTest : public testing::Test {
  protected:
    ClockTest() {
        TopicOptions options{.capacity = 64, .slot_bytes = 256, .max_event = 128, .pool_bytes = 0};
        options.retention = Retention::disk;
        options.keep_bytes = 64 << 20;
        bus_.create_topic("t", options);
    }
    void publish_through(Sequence last) {
        const auto publisher = bus_.publisher("t");
        const auto topic = publisher_view(bus_, "t");
        std::uint32_t entry = 0;
        while (topic.ring.publisher(entry).id.load_acquire() != publisher.id()) ++entry;
        ring::SharedWriter writer(topic, entry);
        const std::string payload(128, 'x');
        while (head_ < last) {
            layout::EventHeader header{};
            header.time_ns =
                static_cast<std::uint64_t>(time_of(head_ + 1).time_since_epoch().count());
            header.length = static_cast<std::uint32_t>(payload.size());
            header.chunk = layout::no_chunk;
            header.publisher = publisher.id();
            const ring::Draft draft{header, nullptr, as_bytes(payload).data()};
            ring::Run run;
            ASSERT_EQ(writer.publish({&draft, 1}, patience, run), PublishOutcome::published);
            ASSERT_EQ(run.last, ++head_);
        }
        ASSERT_EQ(writer.wait_durable(head_, patience), Durability::durable);
    }
    void expect_starts() {
        for (Sequence s = 1; s <= head_; s += 89)
            for (const auto beside : {-1ns, 0ns, 1ns}) expect_start(time_of(s) + beside);
        for (const auto far : {-24h, -1h, 0h, 1h, 24h}) expect_start(noon + far);
    }
    void expect_start(Time time) {
        Sequence expected = 1;
        while (expected <= head_ && time_of(expected) < time) ++expected;
        auto subscription = bus_.subscribe("t", {.start = Start::time(time)});
        const auto received = subscription.receive(Deadline::now());
        const auto* const event = std::get_if<Event>(&received);
        ASSERT_EQ(event != nullptr, expected <= head_) << expected;
        if (event == nullptr) return;
        EXPECT_EQ(event->sequence(), expected) << (time - noon).count();
        EXPECT_EQ(event->time(), time_of(expected));
    }
    void restart() {
        daemon_.kill(SIGTERM);
        EXPECT_EQ(daemon_.wait(), 0);
        daemon_.restart();
    }

    TemporaryDirectory state_;
    DaemonProcess daemon_{{"--state-dir", state_.path().string()}};
    Bus bus_{BusOptions{.socket = daemon_.socket()}};
    Sequence head_ = 0;
};

TEST_F(ClockTest, SetBackAndForwardLeadsNoSeekAstray) {
    publish_through(1'000);
    expect_starts();
    publish_through(2'020); // just set back: what is in the ring and what is in files overlap
    expect_starts();
    restart();
    expect_starts();
    publish_through(4'500);
    expect_starts();
    restart();
    publish_through(6'000);
    expect_starts();
    std::size_t segments = 0;
    for (const auto& file : std::filesystem::directory_iterator(state_.path() / "topics/t"))
        segments += file.path().extension() == ".seg" ? 1U : 0U;
    EXPECT_GE(segments, 3U);
}

} // namespace

} // namespace shmbus::test
