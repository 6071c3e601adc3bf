#include "tools/scale/run.hpp"

#include "tools/failure.hpp"

#include <gmock/gmock.h>
#include <set>

namespace shmbus::tools::scale {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using State = Instance::State;

TopicInfo topic_of(Sequence first, Sequence head) {
    TopicInfo topic;
    topic.first = first;
    topic.head = head;
    return topic;
}

SubscriptionInfo subscription_at(std::optional<Sequence> cursor) {
    SubscriptionInfo subscription;
    subscription.cursor = cursor;
    return subscription;
}

TEST(LoadOf, IsWhatIsNotAcknowledged) {
    const auto topic = topic_of(11, 30);
    EXPECT_EQ(load_of(topic, subscription_at(20)).lag, 10U);
    EXPECT_TRUE(load_of(topic, subscription_at(30)).is_none());
    EXPECT_TRUE(load_of(topic, subscription_at(31)).is_none()); // the topic was looked at before
    EXPECT_EQ(load_of(topic, subscription_at({})).lag, 20U);
    auto paused = subscription_at(20);
    paused.paused = true;
    EXPECT_TRUE(load_of(topic, paused).is_none());
    EXPECT_TRUE(load_of(topic_of(1, 0), subscription_at({})).is_none());
}

TEST(LoadOf, AGroupHasSomeInHand) {
    auto group = subscription_at(20);
    group.group.emplace().in_flight = 3;
    EXPECT_EQ(load_of(topic_of(1, 30), group).lag, 10U);
    EXPECT_EQ(load_of(topic_of(1, 30), group).in_hand, 3U);
}

/// Does at once what it is told.
class FakeManager final : public Manager {
  public:
    std::vector<Instance> look(const std::vector<std::string>& units) override {
        std::vector<Instance> instances;
        for (const auto& unit : units) {
            looked_at.push_back(unit);
            instances.push_back({.state = up.contains(unit) ? State::running : State::ended});
        }
        return instances;
    }
    void start(const std::string& unit) override {
        if (!refusal.empty()) throw Refused(refusal);
        up.insert(unit);
    }
    void stop(const std::string& unit) override { up.erase(unit); }
    std::set<std::string> up;
    std::vector<std::string> looked_at;
    std::string refusal;
};

class ScaleRunTest : public testing::Test {
  protected:
    void round(const Load& load) { run.round(now += 1s, load); }
    FakeManager manager;
    std::vector<std::string> told;
    scale::Run run{{.most = 2, .lag = 10, .rounds = 2, .idle = 3s},
                   "worker@",
                   manager,
                   [this](const Decision& decision, const std::string& unit, const Load& load,
                          unsigned running) {
                       told.push_back(std::string(name_of(decision.act)) + " " + unit + " at " +
                                      std::to_string(load.lag) + " of " + std::to_string(running) +
                                      ": " + decision.why);
                   }};
    Clock::time_point now{1h};
};

TEST_F(ScaleRunTest, LooksAtEachInstance) {
    round({});
    EXPECT_THAT(manager.looked_at, ElementsAre("worker@1.service", "worker@2.service"));
    EXPECT_THAT(told, IsEmpty());
}

TEST_F(ScaleRunTest, StartsAndStopsThem) {
    for (int i = 0; i < 3; ++i) round({.lag = 20});
    EXPECT_THAT(manager.up, ElementsAre("worker@1.service", "worker@2.service"));
    EXPECT_THAT(told, ElementsAre(HasSubstr("start worker@1.service at 20 of 0: "),
                                  HasSubstr("start worker@2.service at 20 of 1: ")));
    told.clear();
    for (int i = 0; i < 8; ++i) round({});
    EXPECT_THAT(manager.up, IsEmpty());
    EXPECT_THAT(told, ElementsAre(HasSubstr("stop worker@2.service at 0 of 2: "),
                                  HasSubstr("stop worker@1.service at 0 of 1: ")));
}

TEST_F(ScaleRunTest, TellsOfWhatSystemdRefuses) {
    manager.refusal = "worker@1.service is masked";
    round({.lag = 1});
    EXPECT_THAT(told, ElementsAre(HasSubstr("failed worker@1.service at 1 of 0: worker@1.service "
                                            "is masked; none is started for 5s")));
    round({.lag = 1});
    EXPECT_EQ(told.size(), 1U);
    manager.refusal.clear();
    for (int i = 0; i < 4; ++i) round({.lag = 1});
    EXPECT_THAT(manager.up, ElementsAre("worker@1.service"));
}

} // namespace
} // namespace shmbus::tools::scale
