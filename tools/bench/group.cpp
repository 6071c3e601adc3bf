#include "tools/bench/cases.hpp"
#include "tools/bench/ticks.hpp"

#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include <shmbus/shmbus.hpp>

namespace shmbus::tools::bench {

namespace {

using namespace std::chrono_literals;
using Window = std::chrono::milliseconds;

/// How a receiver handles an event.
void handle(Handler handler) {
    switch (handler) {
    case Handler::none: break;
    case Handler::spins_1_us:
        for (const std::uint64_t begin = now_ns(); now_ns() - begin < 1'000;) {
        }
        break;
    case Handler::waits_1_ms: std::this_thread::sleep_for(1ms); break;
    }
}

/// A topic with a publisher, and with the members of a group, or one plain subscription. Each is a thread with a
/// connection of its own, and sleeps between runs.
class Line {
  public:
    /// `members` 0: a plain subscription.
    Line(const Setup& setup, std::string topic, std::uint32_t members)
        : is_group_(members != 0), done_(std::max(members, 1U)), topic_(std::move(topic)),
          setup_(setup) {
        Bus({.socket = setup.socket}).create_topic_if_missing(topic_, options());
        for (auto& done : done_) start([this, &done] { receive_all(done.value); });
        start([this] { publish_all(); });
        wait_for([this] { return ready_ == threads_.size(); });
    }
    ~Line() {
        set(running_, false);
        set(ended_, true);
        for (auto& thread : threads_) thread.join();
    }
    Line(const Line&) = delete;
    Line& operator=(const Line&) = delete;

    /// What an event takes, by those that are done with between two moments while all are at work. What is left then
    /// is received, and not handled.
    double run(Window window) {
        set(running_, true);
        std::this_thread::sleep_for(window / 10); // until all are
        const std::uint64_t begin = now_ns();
        const std::uint64_t before = done();
        std::this_thread::sleep_for(window);
        const std::uint64_t events = done() - before;
        const std::uint64_t end = now_ns();
        set(running_, false);
        wait_for([this] { return is_quiet_ && done() == published_; });
        if (events == 0) throw std::runtime_error("nothing was received");
        return static_cast<double>(end - begin) / static_cast<double>(events);
    }

  private:
    [[nodiscard]] TopicOptions options() const {
        TopicOptions options{.retention = Retention::memory};
        options.slot_bytes = 256; // there is a key
        options.max_event = setup_.bytes;
        options.pool_bytes = 0;
        return options;
    }
    template <class Work> void start(Work work) {
        threads_.emplace_back([this, work] {
            try {
                work();
            } catch (...) {
                const std::lock_guard lock(mutex_);
                failure_ = std::current_exception();
                changed_.notify_all();
            }
        });
    }
    template <class Is> void wait_for(Is is) {
        constexpr auto now_and_then = 1ms; // those that count events do not notify
        std::unique_lock lock(mutex_);
        while (!failure_ && !is()) changed_.wait_for(lock, now_and_then);
        if (failure_) std::rethrow_exception(failure_);
    }
    void set(std::atomic<bool>& what, bool value) {
        const std::lock_guard lock(mutex_);
        what = value;
        changed_.notify_all();
    }
    void get_ready() {
        const std::lock_guard lock(mutex_);
        ++ready_;
        changed_.notify_all();
    }
    [[nodiscard]] std::uint64_t done() const {
        std::uint64_t sum = 0;
        for (const auto& done : done_) sum += done.value.load(std::memory_order_relaxed);
        return sum;
    }

    void publish_all() {
        constexpr std::uint64_t keys = 10'000;
        Bus bus({.socket = setup_.socket});
        auto publisher = bus.publisher(topic_, {.timeout = 10s});
        const std::vector<std::byte> payload(setup_.bytes);
        std::uint64_t key = 0;
        get_ready();
        while (!ended_) {
            while (running_) {
                key = (key + 1) % keys;
                const char* bytes = reinterpret_cast<const char*>(&key);
                if (!publisher.publish(payload, {.key = {bytes, sizeof key}}))
                    throw std::runtime_error("publish failed");
                published_.fetch_add(1, std::memory_order_relaxed);
            }
            set(is_quiet_, true);
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [this] { return running_ || ended_; });
            is_quiet_ = false;
        }
    }
    void receive_all(std::atomic<std::uint64_t>& done) {
        Bus bus({.socket = setup_.socket});
        SubscribeOptions options{.start = Start::all()};
        if (is_group_) {
            options.name = "bench";
            options.group = GroupOptions{};
        }
        auto subscription = bus.subscribe(topic_, options);
        get_ready();
        while (!ended_) {
            const auto received = subscription.receive(100ms);
            if (const auto* nothing = std::get_if<Nothing>(&received)) {
                if (*nothing == Nothing::timed_out) continue;
                throw std::runtime_error(std::string("receive: ") + name_of(*nothing));
            }
            if (!std::holds_alternative<Event>(received)) throw std::runtime_error("a gap");
            if (running_.load(std::memory_order_relaxed)) handle(setup_.handler);
            done.fetch_add(1, std::memory_order_relaxed);
        }
    }

    // In the order that leaves the fewest holes between them.
    alignas(128) std::atomic<bool> running_ = false;
    bool is_group_;
    std::atomic<bool> ended_ = false;
    std::atomic<bool> is_quiet_ = false; // the publisher is
    std::size_t ready_ = 0;
    std::exception_ptr failure_;
    std::vector<LonelyWord> done_; // by receiver
    std::vector<std::thread> threads_;
    std::string topic_;
    std::mutex mutex_;
    std::condition_variable changed_;
    Setup setup_;
    alignas(128) std::atomic<std::uint64_t> published_ = 0;
};

/// The probe is the plain subscription. While one of the two runs, the other one sleeps.
class Group : public Player {
  public:
    explicit Group(const Setup& setup)
        : window_(setup.handler == Handler::waits_1_ms ? 600ms : 100ms), // 500 events, or many
          plain_(setup, setup.topic + "plain", 0),
          group_(setup, setup.topic + "group", setup.members) {}

    double raw() override { return plain_.run(window_); }
    double bus(Histogram&) override { return group_.run(window_); }

  private:
    Window window_;
    Line plain_;
    Line group_;
};

} // namespace

std::unique_ptr<Player> group(Pair&, const Setup& setup) { return std::make_unique<Group>(setup); }

} // namespace shmbus::tools::bench
