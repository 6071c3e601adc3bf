// Consumers that the daemon has started: when it asks for them, and what it makes of the answers.
#include "daemon/activation/activator.hpp"
#include "daemon/activation/helper.hpp"

#include "daemon/storage_fixture.hpp"

#include <condition_variable>
#include <mutex>
#include <sys/socket.h>
#include <thread>

namespace shmbus::activation {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Time = Pace::Time;

TEST(Pace, IsAtOnceAndThenSlower) {
    Pace pace;
    const Time start{1h};
    EXPECT_TRUE(pace.is_due(start, 7));
    EXPECT_FALSE(pace.is_due(start, 7));
    EXPECT_FALSE(pace.is_due(start + 999ms, 7));
    EXPECT_TRUE(pace.is_due(start + 1s, 7));
    EXPECT_FALSE(pace.is_due(start + 2s, 7));
    EXPECT_TRUE(pace.is_due(start + 3s, 7));
    EXPECT_EQ(pace.attempts(), 3U);
    EXPECT_EQ(pace.pause(), 4s);
}

TEST(Pace, GrowsNoFurtherThanItsLongest) {
    Pace pace;
    Time now{1h};
    for (int attempt = 0; attempt < 30; ++attempt) {
        EXPECT_TRUE(pace.is_due(now, 1));
        now += pace.pause();
    }
    EXPECT_EQ(pace.pause(), Pace::longest);
}

TEST(Pace, BeginsAnewWhenSomebodyGotOn) {
    Pace pace;
    const Time start{1h};
    for (const auto later : {0s, 1s, 3s}) EXPECT_TRUE(pace.is_due(start + later, 7));
    EXPECT_TRUE(pace.is_due(start + 4s, 8));
    EXPECT_EQ(pace.pause(), Pace::shortest);
    pace.rest();
    EXPECT_TRUE(pace.is_due(start + 4s, 8));
}

TEST(ServiceName, IsOneThatSystemdStarts) {
    for (const auto* good : {"mail.service", "mail@a.service", "a-b_c:d\\x2de.f.service"})
        EXPECT_TRUE(is_service_name(good)) << good;
    for (const auto* bad : {"", ".service", "mail", "mail@.service", "@a.service", "a b.service",
                            "a/b.service", "mail.target", "-.mount"})
        EXPECT_FALSE(is_service_name(bad)) << bad;
    EXPECT_FALSE(is_service_name(std::string(248, 'a') + ".service"));
    EXPECT_TRUE(is_service_name(std::string(247, 'a') + ".service"));
}

TEST(Request, NamesASubscription) {
    EXPECT_EQ(parse_of("orders/mail"), (Of{"orders", "mail"}));
    for (const auto* bad : {"", "orders", "/mail", "orders/", "a/b/c", "../mail", "a/b\n", "a/ b"})
        EXPECT_FALSE(parse_of(bad)) << bad;
}

/// The helper's answer to this request, both over a socket.
std::string answer_to(const std::string& request, const std::function<Outcome(const Of&)>& start) {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    const base::Fd ours(ends[0]);
    const base::Fd theirs(ends[1]);
    EXPECT_EQ(::write(ours.get(), request.data(), request.size()), std::ssize(request));
    ::shutdown(ours.get(), SHUT_WR);
    EXPECT_EQ(answer(theirs.get(), theirs.get(), start), 0);
    ::shutdown(theirs.get(), SHUT_WR);
    std::string text(4096, '\0');
    text.resize(static_cast<std::size_t>(
        std::max<ssize_t>(0, ::recv(ours.get(), text.data(), text.size(), MSG_WAITALL))));
    return text;
}

TEST(Helper, AnswersOneRequest) {
    const auto start = [](const Of& of) {
        return Outcome{.state = "failed (exit-code)", .problem = of.topic + "\nno"};
    };
    EXPECT_EQ(answer_to("orders/mail\n", start), "failed (exit-code)\norders no\n");
    EXPECT_EQ(answer_to("orders/mail", start), "failed (exit-code)\norders no\n");
}

TEST(Helper, StartsNothingForNonsense) {
    bool started = false;
    const auto start = [&](const Of&) {
        started = true;
        return Outcome();
    };
    for (const auto& nonsense :
         {std::string(), std::string("\n"), std::string("mail.service\n"), std::string(5000, 'a')})
        EXPECT_EQ(answer_to(nonsense, start), "\nthis is no TOPIC/NAME\n");
    EXPECT_FALSE(started);
}

TEST(Helper, ThatIsNotThereIsAProblem) {
    EXPECT_FALSE(is_helped("/nowhere/sock"));
    EXPECT_THAT(ask_helper("/nowhere/sock", {"a", "b"}).problem, HasSubstr("/nowhere/sock"));
}

/// Stands for systemd: notes what it is asked for.
class FakeSystemd {
  public:
    Outcome start(const Starter::Request& request) {
        const std::lock_guard lock(mutex_);
        asked_.push_back(request.unit);
        changed_.notify_all();
        return outcome;
    }
    /// What it was asked for by now, once it is so many.
    std::vector<std::string> asked(std::size_t count) {
        std::unique_lock lock(mutex_);
        EXPECT_TRUE(changed_.wait_for(lock, 30s, [&] { return asked_.size() >= count; }));
        return asked_;
    }
    Outcome outcome{.state = "inactive"}; // set while nobody asks

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::string> asked_;
};

class ActivatorTest : public registry::StorageFixture {
  protected:
    ActivatorTest() {
        begin();
        activator().set({{{"t", "mail"}, "mail.service"}});
    }
    void begin() {
        run = std::make_unique<Run>(path());
        activator_ = std::make_unique<Activator>(
            run->registry, [this](const auto& request) { return systemd.start(request); });
    }
    void end() {
        activator_.reset();
        EXPECT_THAT(run->registry.close_all(registry::patience), IsEmpty());
        run.reset();
    }
    Activator& activator() { return *activator_; }
    std::shared_ptr<registry::Topic> topic() const { return run->registry.find("t"); }
    void make(int events = 0) const {
        run->registry.create("t", registry::on_disk(), true, registry::user);
        if (events != 0) publish(*topic(), events);
    }
    /// Looks `later` than the start, and again until the answers of before have come.
    void look(std::chrono::seconds later, std::size_t asked) {
        activator().look(start + later);
        EXPECT_EQ(systemd.asked(asked).size(), asked) << later.count();
        const auto end = std::chrono::steady_clock::now() + 30s;
        while (activator().is_waiting_for_answers() && std::chrono::steady_clock::now() < end)
            activator().look(start + later);
        EXPECT_EQ(systemd.asked(asked).size(), asked) << later.count();
    }
    void put_to_sleep() const {
        auto& topics = run->registry;
        const auto end = std::chrono::steady_clock::now() + 30s;
        while (topics.awake("t") && std::chrono::steady_clock::now() < end) {
            topics.look_for_sleepers();
            (void)topics.put_to_sleep();
        }
        ASSERT_FALSE(topics.awake("t"));
    }
    FakeSystemd systemd;
    std::unique_ptr<Run> run;
    const Time start{1h};

  private:
    std::unique_ptr<Activator> activator_;
};

TEST_F(ActivatorTest, AsksForNothingWithoutWork) {
    look(0s, 0); // there is no such topic
    EXPECT_FALSE(activator().has_chores());
    make();
    look(1s, 0);
    EXPECT_FALSE(activator().has_chores());
}

TEST_F(ActivatorTest, AsksAsSoonAsThereIsWorkAndThenSlower) {
    make(1);
    look(0s, 1);
    EXPECT_THAT(systemd.asked(1), ElementsAre("mail.service"));
    EXPECT_TRUE(activator().has_chores());
    look(0s, 1);
    look(1s, 2);
    look(2s, 2);
    look(3s, 3);
}

TEST_F(ActivatorTest, LeavesAloneWhoHoldsIt) {
    make(1);
    const auto grant = topic()->subscriptions().open("mail", registry::holder, false);
    look(0s, 0);
    EXPECT_FALSE(activator().has_chores());
    topic()->subscriptions().release("mail", grant.hold);
    look(0s, 1);
}

TEST_F(ActivatorTest, LeavesAGroupWithAMemberAlone) {
    make(1);
    const auto entry = topic()->lease_subscriber(registry::holder)->entry;
    const auto grant = topic()->subscriptions().join("mail", registry::holder, entry, {});
    look(0s, 0);
    EXPECT_FALSE(activator().has_chores());
    topic()->subscriptions().release("mail", grant.hold);
    look(0s, 1);
}

TEST_F(ActivatorTest, LeavesAPausedOneAlone) {
    make(1);
    topic()->subscriptions().create("mail", registry::user, {}, {});
    topic()->subscriptions().pause("mail", true, {});
    look(0s, 0);
    topic()->subscriptions().pause("mail", false, {});
    look(0s, 1);
}

TEST_F(ActivatorTest, AsksAtOnceWhenSomebodyGotOn) {
    make(2);
    look(0s, 1);
    look(1s, 2);
    topic()->subscriptions().create("mail", registry::user, {}, {});
    topic()->subscriptions().seek("mail", 1, {});
    look(1s, 3);
    topic()->subscriptions().seek("mail", 2, {});
    look(1s, 3);
    EXPECT_FALSE(activator().has_chores());
    publish(*topic(), 1);
    look(1s, 4);
}

TEST_F(ActivatorTest, AsksAgainAtOnceAfterAReload) {
    make(1);
    look(0s, 1);
    look(0s, 1);
    activator().set({{{"t", "mail"}, "mail.service"}});
    look(0s, 2);
    activator().set({});
    look(9s, 2);
    EXPECT_FALSE(activator().has_chores());
}

TEST_F(ActivatorTest, KnowsOfATopicThatIsAsleepAndWakesItNot) {
    make(1);
    put_to_sleep();
    look(0s, 1);
    look(1s, 2);
    EXPECT_FALSE(run->registry.awake("t"));
}

TEST_F(ActivatorTest, LooksAgainWhenATopicFellAsleep) {
    make();
    look(0s, 0);
    publish(*topic(), 1);
    put_to_sleep(); // before the next look
    look(1s, 1);
}

TEST_F(ActivatorTest, FindsTheWorkThatAnEarlierDaemonLeft) {
    make(3);
    topic()->subscriptions().create("mail", registry::user, {}, {});
    topic()->subscriptions().seek("mail", 2, {});
    end();
    begin();
    activator().set({{{"t", "mail"}, "mail.service"}});
    EXPECT_TRUE(activator().has_chores());
    look(0s, 1);
}

TEST_F(ActivatorTest, FindsNoWorkWhereThereIsNone) {
    make(3);
    topic()->subscriptions().create("mail", registry::user, {}, {});
    topic()->subscriptions().seek("mail", 3, {});
    end();
    begin();
    activator().set({{{"t", "mail"}, "mail.service"}});
    look(0s, 0);
    EXPECT_FALSE(activator().has_chores());
}

/// What is said of a unit: each complaint once, until somebody got on.
TEST_F(ActivatorTest, SaysWhatIsWrongOnce) {
    make(2);
    systemd.outcome = {.problem = "there is no such unit"};
    testing::internal::CaptureStderr();
    look(0s, 1);
    look(1s, 2);
    look(3s, 3);
    const auto said = testing::internal::GetCapturedStderr();
    EXPECT_THAT(said, HasSubstr("topic t: subscription mail has work, and mail.service cannot be "
                                "started: there is no such unit; asked again after 1 s"));
    EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
}

TEST_F(ActivatorTest, SaysWhatBecameOfTheUnit) {
    make(2);
    testing::internal::CaptureStderr();
    look(0s, 1);
    EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("started mail.service"));
    const auto said_when = [&](const char* state, std::chrono::seconds later, std::size_t asked) {
        systemd.outcome = {.state = state};
        testing::internal::CaptureStderr();
        look(later, asked);
        return testing::internal::GetCapturedStderr();
    };
    EXPECT_THAT(said_when("activating", 1s, 2), IsEmpty());
    EXPECT_THAT(said_when("active", 3s, 3), HasSubstr("runs, but does not receive"));
    EXPECT_THAT(said_when("failed (exit-code)", 7s, 4), HasSubstr("has failed (exit-code)"));
    EXPECT_THAT(said_when("inactive", 15s, 5), HasSubstr("has ended without receiving"));
}

TEST_F(ActivatorTest, SaysOnceThatThereIsNoSystemd) {
    make(1);
    systemd.outcome = {.problem = "there is no system D-Bus to ask", .is_nobody_there = true};
    testing::internal::CaptureStderr();
    look(0s, 1);
    look(1s, 2);
    const auto said = testing::internal::GetCapturedStderr();
    EXPECT_THAT(said, HasSubstr("nobody starts what [Activate] names: there is no system D-Bus"));
    EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
}

} // namespace
} // namespace shmbus::activation
