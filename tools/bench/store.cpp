// Cases of publishing to a topic on disk.
#include "tools/bench/bare.hpp"
#include "tools/bench/bare_file.hpp"
#include "tools/bench/ticks.hpp"
#include "tools/own_bus.hpp"

#include <stdexcept>
#include <thread>

#include <shmbus/shmbus.hpp>

namespace shmbus::tools::bench {

namespace {

using namespace std::chrono_literals;

constexpr auto patience = 30s;

/// A topic on disk with its publisher, and the file that does without.
class Store : public Player {
  public:
    explicit Store(const Setup& setup)
        : setup_(setup), daemon_(setup.daemon, setup.directory),
          file_(daemon_.state() / "bare", setup.bytes), payload_(setup.bytes),
          bus_(shmbus::BusOptions{.socket = daemon_.socket()}),
          out_((bus_.create_topic("store", topic_on_disk(setup)),
                bus_.publisher("store", {.timeout = patience}))) {}

  protected:
    Sequence publish(std::uint64_t i) {
        fill(payload_, i);
        const auto result = out_.publish(payload_);
        if (!result) throw std::runtime_error("publish failed");
        return result.sequence;
    }
    void await_durable(Sequence last) {
        if (out_.wait_durable(last, patience) != Durability::durable)
            throw std::runtime_error("nothing becomes durable");
    }

    Setup setup_;
    OwnBus daemon_;
    BareFile file_;
    std::vector<std::byte> payload_;
    shmbus::Bus bus_;
    shmbus::Publisher out_;
};

/// Until all is on disk, or, where nobody syncs, in a file.
class StoreRate final : public Store {
  public:
    using Store::Store;

    double raw() override {
        file_.prepare(setup_.events * setup_.bytes);
        const std::uint64_t start = now_ns();
        for (std::uint64_t i = 0; i < setup_.events; ++i) fill(file_.next(setup_.bytes), i);
        file_.flush();
        if (setup_.sync != Sync::none) file_.sync();
        return each(start);
    }

    double bus(Histogram&) override {
        const std::uint64_t start = now_ns();
        Sequence last = 0;
        for (std::uint64_t i = 0; i < setup_.events; ++i) last = publish(i);
        if (setup_.sync != Sync::none)
            await_durable(last);
        else
            while (bus_.topic("store").written < last) std::this_thread::sleep_for(100us);
        return each(start);
    }

  private:
    [[nodiscard]] double each(std::uint64_t start) const noexcept {
        return static_cast<double>(now_ns() - start) / static_cast<double>(setup_.events);
    }
};

/// From before the publish until the event survives a power loss, one at a time.
class DurableLatency final : public Store {
  public:
    using Store::Store;

    double raw() override {
        Histogram single;
        file_.prepare(setup_.events * setup_.bytes);
        return of_all(single, [this](std::uint64_t i) {
            fill(file_.next(setup_.bytes), i);
            file_.flush();
            file_.sync();
        });
    }

    double bus(Histogram& single) override {
        return of_all(single, [this](std::uint64_t i) { await_durable(publish(i)); });
    }

  private:
    template <class Step> double of_all(Histogram& single, Step step) {
        for (std::uint64_t i = 0; i < setup_.events; ++i) {
            const std::uint64_t start = now_ns();
            step(i);
            single.add(now_ns() - start);
        }
        return static_cast<double>(single.percentile(0.5));
    }
};

} // namespace

std::unique_ptr<Player> store(Pair&, const Setup& setup) {
    return std::make_unique<StoreRate>(setup);
}

std::unique_ptr<Player> durable(Pair&, const Setup& setup) {
    return std::make_unique<DurableLatency>(setup);
}

} // namespace shmbus::tools::bench
