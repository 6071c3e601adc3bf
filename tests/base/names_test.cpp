// Which names are allowed, and the names of the enumerations.
#include "shmbus/error.hpp"
#include "shmbus/types.hpp"

#include <gtest/gtest.h>
#include <set>
#include <string>

namespace shmbus {
namespace {

TEST(Names, OfTopicsAreLettersDigitsAndSomePunctuation) {
    for (const char* name : {"a", "Z", "0", "a.b", "a_b", "a-b", "orders.v2_eu-west", "9..--__"})
        EXPECT_TRUE(is_valid_name(name)) << name;
    for (const char* name :
         {"", ".", "-a", "_a", ".a", "a b", "a/b", "a\n", "\xc3\xa4", "a:", "a@"})
        EXPECT_FALSE(is_valid_name(name)) << name;
    EXPECT_FALSE(is_valid_name(std::string_view("a\0b", 3)));
    EXPECT_TRUE(is_valid_name(std::string(max_name_bytes, 'x')));
    EXPECT_FALSE(is_valid_name(std::string(max_name_bytes + 1, 'x')));
}

TEST(Names, EveryByteIsJudged) {
    int allowed_first = 0;
    int allowed_later = 0;
    for (int byte = 0; byte < 256; ++byte) {
        const auto c = static_cast<char>(byte);
        allowed_first += is_valid_name(std::string{c}) ? 1 : 0;
        allowed_later += is_valid_name(std::string{'a', c}) ? 1 : 0;
    }
    EXPECT_EQ(allowed_first, 62);
    EXPECT_EQ(allowed_later, 65);
}

template <class E> std::set<std::string> names(int first, int last) {
    std::set<std::string> all;
    for (int i = first; i <= last; ++i) all.insert(name_of(static_cast<E>(i)));
    EXPECT_EQ(all.count("unknown"), 0U);
    EXPECT_STREQ(name_of(static_cast<E>(last + 1)), "unknown");
    return all;
}

TEST(Names, OfEnumerationsAreAllThereAndDiffer) {
    EXPECT_EQ(names<Errc>(1, static_cast<int>(Errc::subscription_exists)).size(), 16U);
    EXPECT_EQ(names<Retention>(0, 1).size(), 2U);
    EXPECT_EQ(names<Sync>(0, 2).size(), 3U);
    EXPECT_EQ(names<FullPolicy>(0, 2).size(), 3U);
    EXPECT_EQ(names<GapReason>(1, 6).size(), 6U);
    EXPECT_STREQ(name_of(FullPolicy::drop_oldest), "drop-oldest");
    EXPECT_STREQ(name_of(Errc::no_such_topic), "no_such_topic");
}

} // namespace
} // namespace shmbus
