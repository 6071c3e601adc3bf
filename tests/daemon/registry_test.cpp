#include "daemon/registry/registry.hpp"

#include "base/memfd.hpp"
#include "daemon/registry/limits.hpp"
#include "daemon/registry/options.hpp"
#include "shmbus/error.hpp"

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/stat.h>

namespace shmbus::registry {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr uid_t user = 1000;
const Holder holder{.session = 1, .pid = 4321, .uid = user, .command = "worker"};

TopicOptions small() {
    return {.capacity = 64,
            .slot_bytes = 128,
            .max_event = 64,
            .pool_bytes = 0,
            .retention = Retention::memory};
}

/// What `work` is refused with.
template <class Work> std::pair<Errc, std::string> refusal(Work work) {
    try {
        work();
    } catch (const Error& e) {
        return {e.code(), e.what()};
    }
    ADD_FAILURE() << "not refused";
    return {};
}

std::vector<std::string> names(const Registry::Page& page) {
    std::vector<std::string> names;
    for (const auto& topic : page.topics) names.push_back(topic.name);
    return names;
}

TEST(Registry, MakesATopicOnce) {
    Registry registry;
    EXPECT_TRUE(registry.create("a", small(), false, user));
    EXPECT_EQ(registry.find("a")->creator(), user);
    EXPECT_EQ(refusal([&] { registry.create("a", small(), false, user); }).first,
              Errc::topic_exists);
    EXPECT_FALSE(registry.create("a", small(), true, user));
}

TEST(Registry, NamesEachOptionThatDiffers) {
    Registry registry;
    registry.create("a", small(), false, user);
    auto other = small();
    other.capacity = 128;
    other.full = FullPolicy::drop_oldest;
    const auto [code, message] = refusal([&] { registry.create("a", other, true, user); });
    EXPECT_EQ(code, Errc::different_options);
    EXPECT_THAT(message, HasSubstr("capacity is 64, not 128"));
    EXPECT_THAT(message, HasSubstr("full is block, not drop-oldest"));
    EXPECT_THAT(message, Not(HasSubstr("slot")));
}

TEST(Registry, ComparesEveryOption) {
    const TopicOptions one;
    TopicOptions two = one;
    two.full = FullPolicy::reject;
    two.capacity *= 2;
    two.slot_bytes *= 2;
    two.max_event += 1;
    two.pool_bytes += 1;
    two.evict_after_ms += 1;
    two.hold_timeout_ms += 1;
    const auto text = difference(one, two);
    for (const char* option :
         {"full", "capacity", "slot", "max-event", "pool", "evict-after", "hold-timeout"})
        EXPECT_THAT(text, HasSubstr(option));
    EXPECT_EQ(difference(one, one), "");
}

TEST(Registry, RefusesBadNamesAndOptions) {
    Registry registry;
    const std::vector<std::string> bad{"", "a b", "../a", "-a", std::string(129, 'a')};
    for (const auto& name : bad)
        EXPECT_EQ(refusal([&] { registry.create(name, small(), true, user); }).first,
                  Errc::bad_argument);
    auto odd = small();
    odd.capacity = 63;
    EXPECT_THAT(refusal([&] { registry.create("a", odd, true, user); }).second,
                HasSubstr("capacity must be a power of two"));
    odd = small();
    odd.full = static_cast<FullPolicy>(200);
    EXPECT_EQ(refusal([&] { registry.create("a", odd, true, user); }).first, Errc::bad_argument);
}

TEST(Registry, FindsNothingThatIsNotThere) {
    Registry registry;
    const auto [code, message] = refusal([&] { (void)registry.find("orders"); });
    EXPECT_EQ(code, Errc::no_such_topic);
    EXPECT_THAT(message, HasSubstr("shmbus topic create orders"));
    EXPECT_EQ(refusal([&] { (void)registry.find("/"); }).first, Errc::bad_argument);
}

TEST(Registry, ListsInOrderPageByPage) {
    Registry registry;
    for (const char* name : {"c", "a", "B", "b"}) registry.create(name, small(), false, user);
    const auto first = registry.list("", 3);
    EXPECT_THAT(names(first), ElementsAre("B", "a", "b"));
    EXPECT_TRUE(first.more);
    const auto rest = registry.list("b", 3);
    EXPECT_THAT(names(rest), ElementsAre("c"));
    EXPECT_FALSE(rest.more);
}

TEST(Registry, RemovesWhatIsHeldOnlyByForce) {
    Registry registry;
    registry.create("a", small(), false, user);
    const auto topic = registry.find("a");
    ASSERT_TRUE(topic->lease_subscriber(holder));
    const auto [code, message] = refusal([&] { registry.remove(topic, false); });
    EXPECT_EQ(code, Errc::busy);
    EXPECT_THAT(message, HasSubstr("worker (pid 4321)"));
    registry.remove(topic, true);
    EXPECT_EQ(topic->state(), layout::RingState::removed);
    EXPECT_EQ(refusal([&] { (void)registry.find("a"); }).first, Errc::no_such_topic);
    registry.create("a", small(), false, user);
    EXPECT_NE(registry.find("a")->uuid(), topic->uuid());
}

TEST(Registry, ChargesMemoryBeforeItIsTaken) {
    Registry registry;
    TopicOptions huge;
    huge.capacity = layout::max_capacity;
    const auto [code, message] = refusal([&] { registry.create("a", huge, false, user); });
    EXPECT_EQ(code, Errc::limit);
    EXPECT_THAT(message, HasSubstr("user 1000"));
    EXPECT_THAT(message, HasSubstr("fewer or smaller slots"));
}

/// A quarter of what a user may have, and a bit.
TopicOptions large() {
    return {.capacity = 1U << 20U,
            .slot_bytes = 256,
            .max_event = 64,
            .pool_bytes = 0,
            .retention = Retention::memory};
}

TEST(Registry, ChargesATopicUntilItsLastHolderIsGone) {
    Registry registry;
    for (const char* name : {"a", "b", "c"}) registry.create(name, large(), false, user);
    const auto create = [&] { registry.create("d", large(), false, user); };
    EXPECT_EQ(refusal(create).first, Errc::limit);
    auto held = registry.find("a");
    const base::Fd kept = base::writable_twin(held->shared().ring().writable);
    const auto bytes = [&] {
        struct stat status {};
        EXPECT_EQ(::fstat(kept.get(), &status), 0);
        return status.st_blocks * 512;
    };
    registry.remove(held, true);
    EXPECT_EQ(refusal(create).first, Errc::limit) << "its memory is still there";
    EXPECT_GT(bytes(), 100 << 20);
    held.reset();
    EXPECT_NO_THROW(create());
    EXPECT_LE(bytes(), 4096) << "whoever kept a descriptor";
    EXPECT_NO_THROW(registry.create("another", large(), false, user + 1)) << "quota is per user";
}

/// Connections need descriptors too, the one that removes a topic among them.
TEST(Registry, KeepsDescriptorsForConnections) {
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    rlimit few = before;
    few.rlim_cur = 200;
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
    Registry registry;
    const int most = 100 / int(descriptors_per_topic);
    for (int i = 0; i < most; ++i)
        EXPECT_TRUE(registry.create("t" + std::to_string(i), small(), false, uid_t(i)));
    const auto refused = refusal([&] { registry.create("one-more", small(), false, user); });
    EXPECT_EQ(refused.first, Errc::limit);
    EXPECT_THAT(refused.second, HasSubstr("ulimit -n"));
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
}

TEST(Registry, ClosesAll) {
    Registry registry;
    registry.create("a", small(), false, user);
    EXPECT_THAT(registry.close_all(Deadline::now()), testing::IsEmpty());
    EXPECT_EQ(registry.find("a")->state(), layout::RingState::closed);
}

} // namespace
} // namespace shmbus::registry
