#include "tools/scale/scaler.hpp"

#include <gmock/gmock.h>

namespace shmbus::tools::scale {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Act = Decision::Act;
using State = Instance::State;

/// "start 1", "stop 2", …
std::vector<std::string> shown(const std::vector<Decision>& decisions) {
    std::vector<std::string> all;
    for (const auto& one : decisions)
        all.push_back(name_of(one.act) + std::string(" ") + std::to_string(one.number));
    return all;
}

class ScalerTest : public testing::Test {
  protected:
    void limit(const Limits& limits) {
        scaler.emplace(limits);
        instances.assign(limits.most, {});
    }
    /// A second later; what is decided is done.
    std::vector<std::string> round(std::uint64_t lag, std::uint32_t in_hand = 0) {
        now += 1s;
        decisions = scaler->decide(now, {lag, in_hand}, instances);
        for (const auto& one : decisions) {
            if (one.act == Act::start) instances[one.number - 1].state = State::running;
            if (one.act == Act::stop) instances[one.number - 1].state = State::ended;
        }
        return shown(decisions);
    }
    /// Nothing is decided in so many.
    void quiet(int rounds, std::uint64_t lag, std::uint32_t in_hand = 0) {
        for (int i = 0; i < rounds; ++i) ASSERT_THAT(round(lag, in_hand), IsEmpty()) << i;
    }
    void run(unsigned count) {
        for (unsigned i = 0; i < count; ++i) instances[i].state = State::running;
    }
    void fail(unsigned number) {
        instances[number - 1] = {.state = State::failed, .result = "exit-code"};
    }
    std::optional<Scaler> scaler;
    std::vector<Instance> instances;
    std::vector<Decision> decisions;
    Clock::time_point now{1h};
};

constexpr Limits four{.most = 4, .lag = 100, .rounds = 3, .idle = 10s};

TEST_F(ScalerTest, StartsNobodyWithoutWork) {
    limit(four);
    quiet(100, 0);
}

TEST_F(ScalerTest, StartsTheFirstAtOnce) {
    limit(four);
    EXPECT_THAT(round(1), ElementsAre("start 1"));
    EXPECT_THAT(decisions[0].why, HasSubstr("there is work, lag 1, and none runs"));
    quiet(20, 1);
}

TEST_F(ScalerTest, StartsAnotherWhenTheLagStaysTooLong) {
    limit(four);
    EXPECT_THAT(round(500), ElementsAre("start 1"));
    for (const auto* next : {"start 2", "start 3", "start 4"}) {
        quiet(2, 101);
        EXPECT_THAT(round(101), ElementsAre(next));
        EXPECT_THAT(decisions[0].why, HasSubstr("lag 101 is above 100 for 3 rounds"));
    }
    quiet(20, 1'000'000);
}

TEST_F(ScalerTest, ABurstStartsNobody) {
    limit(four);
    run(1);
    for (int i = 0; i < 5; ++i) {
        quiet(2, 5000);
        quiet(1, 100);
    }
}

TEST_F(ScalerTest, WaitsForWhoIsComingUp) {
    limit(four);
    run(1);
    instances[1].state = State::starting;
    quiet(20, 5000);
    instances[1].state = State::running;
    quiet(2, 5000);
    EXPECT_THAT(round(5000), ElementsAre("start 3"));
}

TEST_F(ScalerTest, StopsOneAfterTheOtherWhenThereIsNothingToDo) {
    limit(four);
    run(3);
    quiet(10, 0);
    EXPECT_THAT(round(0), ElementsAre("stop 3"));
    EXPECT_THAT(decisions[0].why, HasSubstr("idle for 10s"));
    quiet(9, 0);
    EXPECT_THAT(round(0), ElementsAre("stop 2"));
    quiet(9, 0);
    EXPECT_THAT(round(0), ElementsAre("stop 1"));
    quiet(50, 0);
}

TEST_F(ScalerTest, WhatIsInHandIsWork) {
    limit(four);
    run(2);
    quiet(50, 0, 1);
    quiet(10, 0);
    EXPECT_THAT(round(0), ElementsAre("stop 2"));
}

TEST_F(ScalerTest, APauseBetweenEventsStopsNobody) {
    limit(four);
    run(2);
    for (int i = 0; i < 5; ++i) {
        quiet(10, 0);
        quiet(1, 1);
    }
}

TEST_F(ScalerTest, KeepsTheLeast) {
    limit({.least = 2, .most = 4, .idle = 10s});
    EXPECT_THAT(round(0), ElementsAre("start 1", "start 2"));
    quiet(50, 0);
    instances[0].state = State::ended;
    EXPECT_THAT(round(0), ElementsAre("start 1"));
}

TEST_F(ScalerTest, FillsTheFirstGap) {
    limit(four);
    run(3);
    instances[1].state = State::ended;
    quiet(2, 500);
    EXPECT_THAT(round(500), ElementsAre("start 2"));
}

TEST_F(ScalerTest, LeavesAloneWhoIsStopping) {
    limit(four);
    run(2);
    instances[1].state = State::stopping;
    quiet(2, 500);
    EXPECT_THAT(round(500), ElementsAre("start 3"));
}

TEST_F(ScalerTest, SaysThatOneFailedAndWaits) {
    limit({.most = 1});
    EXPECT_THAT(round(1), ElementsAre("start 1"));
    fail(1);
    EXPECT_THAT(round(1), ElementsAre("failed 1"));
    EXPECT_THAT(decisions[0].why, HasSubstr("exit-code; none is started for 5s"));
    quiet(4, 1);
    EXPECT_THAT(round(1), ElementsAre("start 1"));
    fail(1);
    EXPECT_THAT(round(1), ElementsAre("failed 1"));
    EXPECT_THAT(decisions[0].why, HasSubstr("none is started for 10s"));
    quiet(9, 1);
    EXPECT_THAT(round(1), ElementsAre("start 1"));
}

TEST_F(ScalerTest, WaitsFiveMinutesAtMost) {
    limit({.most = 1});
    for (int i = 0; i < 12; ++i) {
        while (round(1).empty()) {
        }
        ASSERT_EQ(shown(decisions), std::vector<std::string>{"start 1"});
        fail(1);
        ASSERT_EQ(round(1), std::vector<std::string>{"failed 1"});
    }
    EXPECT_THAT(decisions[0].why, HasSubstr("none is started for 5m"));
}

TEST_F(ScalerTest, ForgetsFailuresOfLongAgo) {
    limit({.most = 1, .idle = 1h});
    round(1);
    fail(1);
    EXPECT_THAT(round(1), ElementsAre("failed 1"));
    quiet(4, 1);
    EXPECT_THAT(round(1), ElementsAre("start 1"));
    quiet(5, 1); // as long again
    fail(1);
    EXPECT_THAT(round(1), ElementsAre("failed 1"));
    EXPECT_THAT(decisions[0].why, HasSubstr("none is started for 5s"));
}

TEST_F(ScalerTest, WhatFailedBeforeItCameIsNoNews) {
    limit({.most = 2});
    fail(1);
    EXPECT_THAT(round(1), ElementsAre("start 1"));
}

TEST_F(ScalerTest, ARefusalIsAFailure) {
    limit({.most = 1});
    EXPECT_THAT(round(1), ElementsAre("start 1"));
    instances[0].state = State::ended;
    const auto told = scaler->note_refusal(now, 1, "it is masked");
    EXPECT_EQ(told.act, Act::note_failure);
    EXPECT_THAT(told.why, HasSubstr("it is masked; none is started for 5s"));
    quiet(4, 1);
    EXPECT_THAT(round(1), ElementsAre("start 1"));
}

} // namespace
} // namespace shmbus::tools::scale
