// The seam: each method does what its name says. That the orders are right is ring/order_test's.
#include "base/atomic.hpp"

#include <array>
#include <gtest/gtest.h>
#include <string>

namespace shmbus::base {
namespace {

TEST(Word, HasTheSizeOfItsValueAndNothingElse) {
    static_assert(sizeof(Word32) == 4 && sizeof(Word64) == 8);
    static_assert(alignof(Word64) == 8);
    EXPECT_EQ(Word64(7).load_relaxed(), 7U);
}

TEST(Word, StoresAndLoads) {
    Word64 word{0};
    word.store_relaxed(1);
    EXPECT_EQ(word.load_acquire(), 1U);
    word.store_release(2);
    EXPECT_EQ(word.load_seq_cst(), 2U);
    EXPECT_EQ(word.exchange_seq_cst(3), 2U);
    EXPECT_EQ(word.load_relaxed(), 3U);
}

TEST(Word, EveryCompareAndSwapTellsWhatItFound) {
    using Cas = bool (Word64::*)(std::uint64_t&, std::uint64_t) noexcept;
    for (const Cas cas :
         {&Word64::cas_acquire, &Word64::cas_release, &Word64::cas_acq_rel, &Word64::cas_seq_cst}) {
        Word64 word{5};
        std::uint64_t expected = 4;
        EXPECT_FALSE((word.*cas)(expected, 9));
        EXPECT_EQ(expected, 5U);
        EXPECT_EQ(word.load_relaxed(), 5U);
        EXPECT_TRUE((word.*cas)(expected, 9));
        EXPECT_EQ(expected, 5U);
        EXPECT_EQ(word.load_relaxed(), 9U);
    }
}

TEST(Word, CountsAndSetsBits) {
    Word64 word{12};
    EXPECT_EQ(word.fetch_add_seq_cst(3), 12U);
    EXPECT_EQ(word.fetch_or_acq_rel(16), 15U);
    EXPECT_EQ(word.fetch_and_seq_cst(~std::uint64_t{1}), 31U);
    EXPECT_EQ(word.load_relaxed(), 30U);
}

TEST(Word, IsRaisedButNeverLowered) {
    Word64 word{5};
    word.raise_seq_cst(3);
    EXPECT_EQ(word.load_relaxed(), 5U);
    word.raise_seq_cst(8);
    EXPECT_EQ(word.load_relaxed(), 8U);
}

TEST(Bytes, AreCopiedInAndOutInWholeWords) {
    std::string text = "0123456789abcdefghijklmn";
    for (std::size_t size = 0; size <= text.size(); ++size) {
        std::array<Word64, 4> words;
        for (auto& word : words) word.store_relaxed(~std::uint64_t{0});
        store_bytes_relaxed(words.data(), reinterpret_cast<const std::byte*>(text.data()), size);
        const std::size_t used = (size + 7) / 8;
        if (used < words.size()) {
            EXPECT_EQ(words[used].load_relaxed(), ~std::uint64_t{0});
        }
        if (size % 8 != 0) {
            EXPECT_EQ(words[used - 1].load_relaxed() >> size % 8 * 8, 0U) << "padded with zeros";
        }

        std::array<std::byte, 32> back{};
        load_bytes_relaxed(back.data(), words.data(), size);
        EXPECT_EQ(std::memcmp(back.data(), text.data(), size), 0);
        for (std::size_t i = used * 8; i < back.size(); ++i) EXPECT_EQ(back[i], std::byte{0});
    }
}

} // namespace
} // namespace shmbus::base
