#include "tools/bench/bare.hpp"
#include "tools/bench/ticks.hpp"

#include <stdexcept>
#include <vector>

#include <shmbus/shmbus.hpp>

namespace shmbus::tools::bench {

namespace {

using namespace std::chrono_literals;

class Throughput : public Player {
  public:
    Throughput(Pair& pair, const Setup& setup)
        : pair_(pair), setup_(setup), probe_(setup), payloads_(batch * setup.bytes),
          outgoing_(batch), incoming_(batch), bus_(shmbus::BusOptions{.socket = setup.socket}) {
        for (std::size_t i = 0; i < batch; ++i) outgoing_[i].payload = payload(i);
        const std::string topic = setup.topic + "stream";
        bus_.create_topic_if_missing(topic, topic_for(setup, shmbus::FullPolicy::block));
        if (pair.is_first())
            out_.emplace(bus_.publisher(topic, {.exclusive = setup.exclusive}));
        else
            in_.emplace(bus_.subscribe(topic, {.start = shmbus::Start::all()}));
    }

    double raw() override {
        const std::uint64_t start = now_ns();
        for (std::uint64_t i = 0; i < setup_.events; ++i) {
            if (pair_.is_first())
                probe_.produce(i + 1 == setup_.events);
            else
                probe_.consume();
        }
        return each(start);
    }

    double bus(Histogram&) override {
        const std::uint64_t start = now_ns();
        for (std::uint64_t i = 0; i < setup_.events;)
            i += pair_.is_first() ? publish(i) : receive();
        return each(start);
    }

  private:
    static constexpr std::size_t batch = 32;

    std::uint64_t publish(std::uint64_t i) {
        if (setup_.batches) return publish_batch(i);
        return setup_.payload == Payload::loaned ? publish_loan(i) : publish_one(i);
    }
    std::uint64_t publish_one(std::uint64_t i) {
        fill(payload(0), i);
        if (!out_->publish(payload(0))) throw std::runtime_error("publish failed");
        return 1;
    }
    std::uint64_t publish_loan(std::uint64_t i) {
        auto loan = out_->loan(setup_.bytes);
        fill(loan.payload(), i);
        if (!out_->publish(loan)) throw std::runtime_error("publish failed");
        return 1;
    }
    std::uint64_t publish_batch(std::uint64_t i) {
        const std::size_t count = std::min<std::uint64_t>(batch, setup_.events - i);
        for (std::size_t n = 0; n < count; ++n) fill(payload(n), i + n);
        if (!out_->publish(std::span(outgoing_).first(count)))
            throw std::runtime_error("publish failed");
        return count;
    }
    std::uint64_t receive() { return setup_.batches ? receive_batch() : receive_one(); }
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
    [[nodiscard]] std::span<std::byte> payload(std::size_t i) {
        return std::span(payloads_).subspan(i * setup_.bytes, setup_.bytes);
    }
    /// Ends when the consumer has all, so that both sides measure the same time.
    double each(std::uint64_t start) {
        pair_.meet();
        return static_cast<double>(now_ns() - start) / static_cast<double>(setup_.events);
    }

    Pair& pair_;
    Setup setup_;
    BareRing probe_;
    std::vector<std::byte> payloads_; // of a batch, filled anew for each event
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
