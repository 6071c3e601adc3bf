// The bytes of a group: words, options, and what damaged memory is refused for.
#include "group/fixture.hpp"

#include "shmbus/error.hpp"

#include <set>

namespace shmbus::group {
namespace {

using namespace std::chrono_literals;

TEST(SlotWordTest, KeepsWhatItIsMadeOf) {
    const SlotWord word(0x1234, SlotPhase::out, 77);
    EXPECT_EQ(word.epoch(), 0x1234U);
    EXPECT_EQ(word.phase(), SlotPhase::out);
    EXPECT_EQ(word.seq(70), 77U);
    EXPECT_EQ(SlotWord(SlotWord::epoch_mask + 1, SlotPhase::rest, 1).epoch(), 0U)
        << "round and round";
}

TEST(SlotWordTest, MeansTheNearestSequence) {
    constexpr Sequence far = Sequence{1} << 60U;
    EXPECT_EQ(SlotWord(0, SlotPhase::rest, far + 5).seq(far), far + 5);
    EXPECT_EQ(SlotWord(0, SlotPhase::rest, far - 5).seq(far), far - 5);
    constexpr Sequence turn = Sequence{1} << 48U;
    EXPECT_EQ(SlotWord(0, SlotPhase::rest, turn - 1).seq(turn + 1), turn - 1);
    EXPECT_EQ(SlotWord(0, SlotPhase::rest, turn + 1).seq(turn - 1), turn + 1);
    EXPECT_EQ(SlotWord(0, SlotPhase::rest, 3).seq(Sequence{1} << 46U), 3U) << "quiet for long";
}

TEST(SlotWordTest, OfBytesThatNobodyWroteSoIsAtRest) {
    EXPECT_EQ(SlotWord(~std::uint64_t{0}).phase(), SlotPhase::rest);
}

TEST(DueWordTest, IsNeverEarlierThanTold) {
    const layout::DueWord due(0x4001, true, 5'000'000'001);
    EXPECT_EQ(due.epoch(), 1U) << "round and round";
    EXPECT_TRUE(due.waits());
    EXPECT_EQ(due.ns(), 5'000'001'000U);
    constexpr std::uint64_t years = 10ULL * 365 * 24 * 3600 * 1'000'000'000;
    EXPECT_EQ(layout::DueWord(0, false, years).ns(), years);
}

TEST(TriesWordTest, IsOfOneEvent) {
    const TriesWord tries(9, 4, Failure::timed_out);
    EXPECT_TRUE(tries.is_of(9));
    EXPECT_FALSE(tries.is_of(8));
    EXPECT_EQ(tries.count(), 4U);
    EXPECT_EQ(tries.failure(), Failure::timed_out);
    EXPECT_EQ(TriesWord(9, 100'000, Failure::none).count(), 4'095U) << "as many as fit";
}

TEST(KeySlotTest, SpreadsEventsWithoutAKey) {
    std::set<std::uint32_t> slots;
    for (Sequence s = 1; s <= key_slots; ++s)
        slots.insert(layout::key_slot_of(Order::per_key, false, 7, s));
    EXPECT_EQ(slots.size(), key_slots);
    EXPECT_EQ(layout::key_slot_of(Order::per_key, true, 1024 + 7, 1), 7U);
    EXPECT_EQ(layout::key_slot_of(Order::none, true, 7, 5),
              layout::key_slot_of(Order::none, false, 0, 5));
}

TEST_F(GroupTest, ItsMemorySaysWhatItWasMadeWith) {
    options.ack_wait = 5s;
    options.max_deliver = 0;
    options.max_in_flight = 7;
    options.order = Order::none;
    options.back_off = {0ms, 10ms, 7 * 24h};
    std::fill(memory.begin(), memory.end(), std::byte{});
    format(memory, layout::Uuid{1}, options, 1);
    EXPECT_EQ(check(memory, layout::Uuid{1}), options);
}

TEST_F(GroupTest, OtherMemoryIsRefused) {
    const auto refused = [&](std::size_t at) {
        const auto before = memory[at];
        memory[at] ^= std::byte{0x80};
        Errc code{};
        try {
            (void)check(memory, layout::Uuid{1});
        } catch (const Error& e) {
            code = e.code();
        }
        memory[at] = before;
        return code;
    };
    using layout::GroupHeader;
    EXPECT_EQ(refused(offsetof(GroupHeader, magic)), Errc::damaged);
    EXPECT_EQ(refused(offsetof(GroupHeader, major)), Errc::incompatible);
    EXPECT_EQ(refused(offsetof(GroupHeader, total_bytes)), Errc::damaged);
    EXPECT_EQ(refused(offsetof(GroupHeader, topic)), Errc::damaged);
    EXPECT_EQ(refused(offsetof(GroupHeader, ack_wait_ms) + 3), Errc::damaged);
    EXPECT_EQ(refused(offsetof(GroupHeader, max_deliver) + 1), Errc::damaged);
    EXPECT_EQ(refused(offsetof(GroupHeader, max_in_flight) + 1), Errc::damaged);
    EXPECT_EQ(refused(offsetof(GroupHeader, order)), Errc::damaged);
    EXPECT_EQ(refused(offsetof(GroupHeader, back_off_count)), Errc::damaged);
    EXPECT_THROW((void)check(memory.first(memory.size() - 1), layout::Uuid{1}), Error);
    EXPECT_EQ(check(memory, layout::Uuid{1}), options) << "what was not touched is none of these";
}

TEST(GroupOptionsTest, HaveBounds) {
    EXPECT_EQ(problem_with({}), "");
    EXPECT_NE(problem_with({.ack_wait = 99ms}), "");
    EXPECT_NE(problem_with({.ack_wait = 25h}), "");
    EXPECT_NE(problem_with({.max_deliver = 4'001}), "");
    EXPECT_NE(problem_with({.max_in_flight = 0}), "");
    EXPECT_NE(problem_with({.max_in_flight = 1'025}), "");
    EXPECT_NE(problem_with({.order = static_cast<Order>(2)}), "");
    EXPECT_NE(problem_with({.back_off = std::vector(9, 1ms)}), "");
    EXPECT_NE(problem_with({.back_off = {-1ms}}), "");
    EXPECT_NE(problem_with({.back_off = {8 * 24h}}), "");
}

TEST(BackOffTest, GoesOnWithTheLastPause) {
    const GroupOptions options{.back_off = {1ms, 2ms}};
    EXPECT_EQ(back_off_ns(options, 1), 1'000'000U);
    EXPECT_EQ(back_off_ns(options, 2), 2'000'000U);
    EXPECT_EQ(back_off_ns(options, 9), 2'000'000U);
    EXPECT_EQ(back_off_ns({}, 1), 0U);
}

} // namespace
} // namespace shmbus::group
