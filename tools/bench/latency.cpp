#include "tools/bench/cases.hpp"
#include "tools/bench/ticks.hpp"

#include <climits>
#include <cstring>
#include <linux/futex.h>
#include <stdexcept>
#include <sys/syscall.h>
#include <unistd.h>

#include <shmbus/shmbus.hpp>

namespace shmbus::tools::bench {

namespace {

using namespace std::chrono_literals;

/// Waits for a cache line as a bare program would.
class BareLine {
  public:
    BareLine(LonelyWord& word, LonelyWord& sleeping, bool spin)
        : word_(word.value), sleeping_(sleeping.value), spin_(spin) {}

    void set(std::uint64_t value) {
        word_.store(value, std::memory_order_seq_cst);
        if (!spin_ && sleeping_.load(std::memory_order_seq_cst) != 0)
            ::syscall(SYS_futex, &word_, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
    }
    void await(std::uint64_t value) {
        while (word_.load(std::memory_order_seq_cst) != value) {
            if (spin_) continue;
            sleeping_.store(1, std::memory_order_seq_cst);
            const std::uint64_t seen = word_.load(std::memory_order_seq_cst);
            if (seen != value)
                ::syscall(SYS_futex, &word_, FUTEX_WAIT, static_cast<std::uint32_t>(seen), nullptr,
                          nullptr, 0);
            sleeping_.store(0, std::memory_order_relaxed);
        }
    }

  private:
    std::atomic<std::uint64_t>& word_;
    std::atomic<std::uint64_t>& sleeping_;
    bool spin_;
};

class Latency : public Player {
  public:
    Latency(Pair& pair, const Setup& setup)
        : pair_(pair), setup_(setup), ping_(setup.words[0], setup.words[1], setup.spin),
          pong_(setup.words[2], setup.words[3], setup.spin),
          bus_(shmbus::BusOptions{.socket = setup.socket}), payload_(setup.bytes),
          out_(open_publisher(pair.is_first() ? "ping" : "pong")),
          in_(open_subscription(pair.is_first() ? "pong" : "ping", setup.spin)) {}

    double raw() override {
        Histogram single;
        for (std::uint64_t i = 0; i < setup_.events; ++i) {
            ++round_;
            const std::uint64_t before = ticks();
            if (pair_.is_first()) {
                ping_.set(round_);
                pong_.await(round_);
                single.add(one_way(before));
            } else {
                ping_.await(round_);
                pong_.set(round_);
            }
        }
        return static_cast<double>(single.percentile(0.5));
    }

    double bus(Histogram& single) override {
        for (std::uint64_t i = 0; i < setup_.events; ++i) {
            const std::uint64_t before = ticks();
            if (pair_.is_first()) {
                send();
                receive();
                single.add(one_way(before));
            } else {
                receive();
                send();
            }
        }
        return static_cast<double>(single.percentile(0.5));
    }

  private:
    shmbus::Publisher open_publisher(const std::string& name) {
        shmbus::TopicOptions options{.full = shmbus::FullPolicy::drop_oldest};
        if (setup_.bytes <= 64) options.slot_bytes = 128;
        options.max_event = std::max<std::uint64_t>(setup_.bytes, 64);
        options.pool_bytes = std::max<std::uint64_t>(64U << 20U, 16 * options.max_event);
        bus_.create_topic_if_missing(setup_.topic + ".ping", options);
        bus_.create_topic_if_missing(setup_.topic + ".pong", options);
        return bus_.publisher(setup_.topic + "." + name, {.exclusive = setup_.exclusive});
    }
    shmbus::Subscription open_subscription(const std::string& name, bool spin) {
        return bus_.subscribe(setup_.topic + "." + name,
                              {.start = shmbus::Start::all(), .spin = spin ? 10s : 0s});
    }
    [[nodiscard]] std::uint64_t one_way(std::uint64_t start) const noexcept {
        return static_cast<std::uint64_t>(static_cast<double>(ticks() - start) * ns_per_tick_ / 2);
    }
    void send() {
        std::memset(payload_.data(), static_cast<int>(++sent_), payload_.size());
        if (!out_.publish(payload_)) throw std::runtime_error("publish failed");
    }
    void receive() {
        auto received = in_.receive(10s);
        auto* event = std::get_if<shmbus::Event>(&received);
        if (event == nullptr) throw std::runtime_error("receive failed");
        sum_ = sum_ + sum_of(event->payload());
    }

    Pair& pair_;
    Setup setup_;
    BareLine ping_;
    BareLine pong_;
    shmbus::Bus bus_;
    std::vector<std::byte> payload_;
    shmbus::Publisher out_;
    shmbus::Subscription in_;
    double ns_per_tick_ = calibrate();
    std::uint64_t round_ = 0;
    std::uint64_t sent_ = 0;
    volatile std::uint64_t sum_ = 0; // so that reading is not optimised away
};

} // namespace

std::unique_ptr<Player> latency(Pair& pair, const Setup& setup) {
    return std::make_unique<Latency>(pair, setup);
}

} // namespace shmbus::tools::bench
