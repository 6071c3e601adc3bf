#include "tools/bench/cases.hpp"
#include "tools/bench/ticks.hpp"

#include <cstring>
#include <stdexcept>

#include <shmbus/shmbus.hpp>

namespace shmbus::tools::bench {

namespace {

using namespace std::chrono_literals;

/// The barest ring of bytes there is: one producer, one consumer, cells of one size, positions
/// published every 64 cells, nothing looked at twice.
class BareRing {
  public:
    BareRing(const Setup& setup)
        : ring_(setup.ring), bytes_(setup.bytes), cells_(probe_ring_bytes / setup.bytes),
          written_(setup.words[4].value), read_(setup.words[5].value) {}

    void produce(const std::vector<std::byte>& payload, bool last) {
        while (position_ - seen_ >= cells_) seen_ = read_.load(std::memory_order_acquire);
        std::memcpy(ring_ + position_ % cells_ * bytes_, payload.data(), bytes_);
        ++position_;
        if (last || position_ % batch == 0) written_.store(position_, std::memory_order_release);
    }
    std::uint64_t consume() {
        while (position_ == seen_) seen_ = written_.load(std::memory_order_acquire);
        const std::uint64_t sum = sum_of({ring_ + position_ % cells_ * bytes_, bytes_});
        ++position_;
        if (position_ % batch == 0 || position_ == seen_)
            read_.store(position_, std::memory_order_release);
        return sum;
    }

  private:
    static constexpr std::uint64_t batch = 64;
    std::byte* ring_;
    std::size_t bytes_;
    std::uint64_t cells_;
    std::atomic<std::uint64_t>& written_;
    std::atomic<std::uint64_t>& read_;
    std::uint64_t position_ = 0;
    std::uint64_t seen_ = 0;
};

class Throughput : public Player {
  public:
    Throughput(Pair& pair, const Setup& setup)
        : pair_(pair), setup_(setup), probe_(setup), payload_(setup.bytes),
          outgoing_(batch, {payload_, {}}), incoming_(batch),
          bus_(shmbus::BusOptions{.socket = setup.socket}) {
        shmbus::TopicOptions options;
        if (setup.bytes <= 64) options.slot_bytes = 128;
        options.max_event = std::max<std::uint64_t>(setup.bytes, 64);
        options.pool_bytes = std::max<std::uint64_t>(64U << 20U, 16 * options.max_event);
        bus_.create_topic_if_missing(setup.topic, options);
        if (pair.is_first())
            out_.emplace(bus_.publisher(setup.topic, {.exclusive = setup.exclusive}));
        else
            in_.emplace(bus_.subscribe(setup.topic, {.start = shmbus::Start::all()}));
    }

    double raw() override {
        const std::uint64_t start = now_ns();
        for (std::uint64_t i = 0; i < setup_.events; ++i) {
            if (pair_.is_first())
                probe_.produce(payload_, i + 1 == setup_.events);
            else
                sum_ = sum_ + probe_.consume();
        }
        return each(start);
    }

    double bus(Histogram&) override {
        const std::uint64_t start = now_ns();
        for (std::uint64_t i = 0; i < setup_.events;) {
            if (pair_.is_first())
                i += setup_.batches ? publish_batch(i) : publish_one(i);
            else
                i += setup_.batches ? receive_batch() : receive_one();
        }
        return each(start);
    }

  private:
    static constexpr std::size_t batch = 32;

    std::uint64_t publish_one(std::uint64_t i) {
        std::memcpy(payload_.data(), &i, sizeof i);
        if (!out_->publish(payload_)) throw std::runtime_error("publish failed");
        return 1;
    }
    std::uint64_t publish_batch(std::uint64_t i) {
        const std::size_t count = std::min<std::uint64_t>(batch, setup_.events - i);
        std::memcpy(payload_.data(), &i, sizeof i);
        if (!out_->publish(std::span(outgoing_).first(count)))
            throw std::runtime_error("publish failed");
        return count;
    }
    std::uint64_t receive_one() {
        auto received = in_->receive(10s);
        const auto* event = std::get_if<shmbus::Event>(&received);
        if (event == nullptr) throw std::runtime_error("receive failed");
        sum_ = sum_ + sum_of(event->payload());
        return 1;
    }
    std::uint64_t receive_batch() {
        const auto received = in_->receive(incoming_, 10s);
        const auto* count = std::get_if<std::size_t>(&received);
        if (count == nullptr) throw std::runtime_error("receive failed");
        for (const auto& event : std::span(incoming_).first(*count))
            sum_ = sum_ + sum_of(event.payload());
        return *count;
    }
    /// Ends when the consumer has all, so that both sides measure the same time.
    double each(std::uint64_t start) {
        pair_.meet();
        return static_cast<double>(now_ns() - start) / static_cast<double>(setup_.events);
    }

    Pair& pair_;
    Setup setup_;
    BareRing probe_;
    std::vector<std::byte> payload_;
    std::vector<shmbus::Outgoing> outgoing_;
    std::vector<shmbus::Event> incoming_;
    shmbus::Bus bus_;
    std::optional<shmbus::Publisher> out_;
    std::optional<shmbus::Subscription> in_;
    volatile std::uint64_t sum_ = 0; // so that reading is not optimised away
};

} // namespace

std::unique_ptr<Player> throughput(Pair& pair, const Setup& setup) {
    return std::make_unique<Throughput>(pair, setup);
}

} // namespace shmbus::tools::bench
