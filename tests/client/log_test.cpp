// What the library says by itself, and that it says it to nobody but the handler.
#include "client/fixture.hpp"

#include <condition_variable>

namespace shmbus::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class LogTest : public testing::Test {
  protected:
    ~LogTest() override { set_log_handler({}); }
    void listen() {
        set_log_handler([this](LogLevel level, std::string_view line) {
            const std::lock_guard lock(mutex_);
            lines_.push_back(std::string(name_of(level)) + ": " + std::string(line));
            grown_.notify_all();
        });
    }
    /// The next line.
    std::string line() {
        std::unique_lock lock(mutex_);
        if (!grown_.wait_for(lock, 30s, [&] { return next_ < lines_.size(); })) return "none";
        return lines_[next_++];
    }
    bool has_more() {
        const std::lock_guard lock(mutex_);
        return next_ < lines_.size();
    }
    DaemonProcess daemon;

  private:
    std::mutex mutex_;
    std::condition_variable grown_;
    std::vector<std::string> lines_;
    std::size_t next_ = 0;
};

TEST_F(LogTest, TellsHowTheConnectionComesAndGoes) {
    testing::internal::CaptureStderr();
    testing::internal::CaptureStdout();
    listen();
    Bus bus(BusOptions{.socket = daemon.socket()});
    EXPECT_THAT(line(), HasSubstr("info: connected to the daemon at " + daemon.socket()));
    daemon.kill(SIGKILL);
    EXPECT_THAT(line(), HasSubstr("warning: the daemon at " + daemon.socket() + " went away"));
    daemon.wait();
    EXPECT_THROW((void)bus.topics(), Error);
    daemon.restart();
    EXPECT_TRUE(bus.topics().empty());
    EXPECT_THAT(line(), HasSubstr("connected"));
    EXPECT_FALSE(has_more()) << "the failed request was its caller's affair";
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
    EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
}

TEST_F(LogTest, IsSilentWithoutAHandler) {
    listen();
    set_log_handler({});
    testing::internal::CaptureStderr();
    Bus bus(BusOptions{.socket = daemon.socket()});
    EXPECT_TRUE(bus.topics().empty());
    EXPECT_FALSE(has_more());
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_F(LogTest, OutlivesAHandlerThatThrows) {
    set_log_handler([](LogLevel, std::string_view) { throw std::runtime_error("no room"); });
    Bus bus(BusOptions{.socket = daemon.socket()});
    EXPECT_TRUE(bus.topics().empty());
}

} // namespace
} // namespace shmbus::test
