#include "tools/bench/cases.hpp"
#include "tools/bench/ticks.hpp"

#include <stdexcept>
#include <vector>

#include <shmbus/shmbus.hpp>

namespace shmbus::tools::bench {

namespace {

/// The probe is the same topic with one subscriber. The subscribers are attached, and do not run.
class FanOut : public Player {
  public:
    FanOut(Pair& pair, const Setup& setup)
        : pair_(pair), events_(setup.events), payload_(setup.bytes),
          bus_(shmbus::BusOptions{.socket = setup.socket}), one_(open(setup.topic + "one", 1)),
          many_(open(setup.topic + "many", 64)) {}

    double raw() override { return publish(one_); }
    double bus(Histogram&) override { return publish(many_); }

  private:
    struct End {
        std::optional<shmbus::Publisher> out;
        std::vector<shmbus::Subscription> in;
    };
    End open(const std::string& topic, int subscribers) {
        bus_.create_topic_if_missing(topic, {.full = shmbus::FullPolicy::drop_oldest,
                                             .slot_bytes = 128,
                                             .max_event = 64,
                                             .pool_bytes = 0,
                                             .retention = Retention::memory});
        End end;
        if (pair_.is_first())
            end.out.emplace(bus_.publisher(topic));
        else
            for (int i = 0; i < subscribers; ++i) end.in.push_back(bus_.subscribe(topic));
        return end;
    }
    double publish(End& end) {
        const std::uint64_t start = now_ns();
        for (std::uint64_t i = 0; end.out && i < events_; ++i)
            if (!end.out->publish(payload_)) throw std::runtime_error("publish failed");
        return static_cast<double>(now_ns() - start) / static_cast<double>(events_);
    }

    Pair& pair_;
    std::uint64_t events_;
    std::vector<std::byte> payload_;
    shmbus::Bus bus_;
    End one_;
    End many_;
};

} // namespace

std::unique_ptr<Player> fanout(Pair& pair, const Setup& setup) {
    return std::make_unique<FanOut>(pair, setup);
}

} // namespace shmbus::tools::bench
