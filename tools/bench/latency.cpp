#include "tools/bench/bare.hpp"
#include "tools/bench/ticks.hpp"

#include <stdexcept>
#include <vector>

#include <shmbus/shmbus.hpp>

namespace shmbus::tools::bench {

namespace {

using namespace std::chrono_literals;

/// What BareLine does, over the bus: a topic in each direction.
class BusLine {
  public:
    BusLine(Pair& pair, const Setup& setup)
        : setup_(setup), payload_(setup.bytes), bus_(shmbus::BusOptions{.socket = setup.socket}) {
        const std::string ping = topic("ping");
        const std::string pong = topic("pong");
        out_.emplace(bus_.publisher(pair.is_first() ? ping : pong, {.exclusive = setup.exclusive}));
        in_.emplace(bus_.subscribe(pair.is_first() ? pong : ping,
                                   {.start = shmbus::Start::all(), .spin = setup.spin ? 10s : 0s}));
    }
    void send() {
        ++sent_;
        if (setup_.payload == Payload::copied) {
            fill(payload_, sent_);
            if (!out_->publish(payload_)) throw std::runtime_error("publish failed");
            return;
        }
        auto loan = out_->loan(setup_.bytes);
        if (setup_.payload == Payload::loaned) fill(loan.payload(), sent_);
        if (!out_->publish(loan)) throw std::runtime_error("publish failed");
    }
    void receive() {
        auto received = in_->receive(10s);
        auto* event = std::get_if<shmbus::Event>(&received);
        if (event == nullptr) throw std::runtime_error("receive failed");
        if (setup_.payload != Payload::untouched) sum_ = sum_ + sum_of(event->payload());
    }

  private:
    std::string topic(const std::string& name) {
        std::string full_name = name_of(name);
        bus_.create_topic_if_missing(full_name, topic_for(setup_, shmbus::FullPolicy::drop_oldest));
        return full_name;
    }
    [[nodiscard]] std::string name_of(const std::string& name) const {
        return setup_.topic + name + '-' + std::to_string(setup_.bytes);
    }

    Setup setup_;
    std::vector<std::byte> payload_;
    shmbus::Bus bus_;
    std::optional<shmbus::Publisher> out_;
    std::optional<shmbus::Subscription> in_;
    std::uint64_t sent_ = 0;
    volatile std::uint64_t sum_ = 0; // so that reading is not optimised away
};

/// The bus's line beside another.
template <class Probe> class Latency : public Player {
  public:
    Latency(Pair& pair, const Setup& probe, const Setup& bus)
        : pair_(pair), events_(bus.events), probe_(pair, probe), bus_(pair, bus) {}

    double raw() override {
        Histogram single;
        return round_trips(probe_, single);
    }
    double bus(Histogram& single) override { return round_trips(bus_, single); }

  private:
    template <class Line> double round_trips(Line& line, Histogram& single) {
        for (std::uint64_t i = 0; i < events_; ++i) {
            if (!pair_.is_first()) {
                line.receive();
                line.send();
                continue;
            }
            const std::uint64_t before = ticks();
            line.send();
            line.receive();
            single.add(one_way(before));
        }
        return static_cast<double>(single.percentile(0.5));
    }
    [[nodiscard]] std::uint64_t one_way(std::uint64_t start) const noexcept {
        return static_cast<std::uint64_t>(static_cast<double>(ticks() - start) * ns_per_tick_ / 2);
    }

    Pair& pair_;
    std::uint64_t events_;
    Probe probe_;
    BusLine bus_;
    double ns_per_tick_ = calibrate();
};

} // namespace

std::unique_ptr<Player> latency(Pair& pair, const Setup& setup) {
    if (setup.payload != Payload::untouched)
        return std::make_unique<Latency<BareLine>>(pair, setup, setup);
    Setup small = setup;
    small.bytes = line_bytes;
    small.payload = Payload::copied;
    return std::make_unique<Latency<BusLine>>(pair, small, setup);
}

} // namespace shmbus::tools::bench
