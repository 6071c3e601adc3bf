// The arithmetic of stamps: modulo 2^48, with states and owners that do not get into its way.
#include "layout/stamp.hpp"

#include <gtest/gtest.h>

namespace shmbus::layout {
namespace {

constexpr Sequence wrap = Sequence{1} << 48U;

TEST(Stamp, KeepsItsPartsApart) {
    for (const Sequence s : {Sequence{0}, Sequence{1}, wrap - 1})
        for (const auto state : {SlotState::empty, SlotState::claimed, SlotState::evicted})
            for (const std::uint32_t owner : {0U, 1U, Stamp::max_owner}) {
                const auto stamp = Stamp::slot(s, state, owner);
                EXPECT_EQ(stamp.slot_state(), state);
                EXPECT_EQ(stamp.owner(), owner);
                EXPECT_EQ(stamp.word() & Stamp::sequence_mask, s);
                EXPECT_EQ(stamp.ahead_of(s), 0);
            }
}

TEST(Stamp, BitsAreWhereTheLayoutSays) {
    EXPECT_EQ(Stamp::slot(0x123456789abc, SlotState::quarantined, 0xdef).word(),
              0xdef4'1234'5678'9abcU);
    EXPECT_EQ(Stamp::chunk(ChunkState::published, 0x123456789abc, 0).word(), 0x2'1234'5678'9abcU);
    EXPECT_EQ(Stamp().word(), 0U);
}

TEST(Stamp, ComparesAcrossTheWrap) {
    for (const Sequence base : {wrap, 2 * wrap, 5 * wrap})
        for (std::int64_t distance = -20; distance <= 20; ++distance)
            for (std::int64_t at = -10; at <= 10; ++at) {
                const Sequence near = base + static_cast<Sequence>(at);
                const Sequence s = near + static_cast<Sequence>(distance);
                const auto stamp = Stamp::slot(s, SlotState::committed, 4095);
                EXPECT_EQ(stamp.ahead_of(near), distance);
                EXPECT_EQ(stamp.sequence(near), s);
            }
}

TEST(Stamp, TellsDistancesUpToTwoToThe47) {
    constexpr std::int64_t far = std::int64_t{1} << 47U;
    EXPECT_EQ(Stamp::slot(far - 1, SlotState::claimed).ahead_of(0), far - 1);
    EXPECT_EQ(Stamp::slot(0, SlotState::claimed).ahead_of(far), -far);
    EXPECT_EQ(Stamp::slot(0, SlotState::claimed).ahead_of(far - 1), 1 - far);
}

} // namespace
} // namespace shmbus::layout
