// A publisher of the torture: bursts of events of any size, by every way there is to publish one. It says
// what it is about to publish, and then what it was told.
#include "tools/torture/schedule.hpp"
#include "tools/torture/seal.hpp"
#include "tools/torture/worker.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <shmbus/publisher.hpp>
#include <vector>

namespace shmbus::tools::torture {

namespace {

class PublisherWorker {
  public:
    PublisherWorker(Channel& channel, Publisher publisher)
        : channel_(channel), task_(channel.task()), publisher_(std::move(publisher)),
          random_(task_.seed), id_(publisher_.last_event_id()) {
        for (std::uint64_t i = 0; i < task_.largest; i += sizeof i) {
            const std::uint64_t word = random_();
            const auto bytes = std::as_bytes(std::span(&word, 1));
            source_.insert(source_.end(), bytes.begin(), bytes.end());
        }
        channel_.say({.sequence = id_, .number = publisher_.id(), .said = Said::opened});
    }

    /// Until it is told to finish, or the topic takes no events any more.
    void run() {
        while (!is_over()) {
            const auto burst = 1 + random_.below(random_.one_in(16) ? 512 : 32);
            for (std::uint64_t i = 0; i < burst && !is_over(); ++i) step();
            const std::chrono::microseconds rest(random_.below(longest_rest_us));
            std::this_thread::sleep_for(rest);
        }
    }

  private:
    static constexpr std::uint64_t longest_rest_us = 20'000;
    static constexpr std::size_t longest_batch = 24;
    struct Item {
        Bytes payload;
        std::string key;
        std::uint64_t digest;
        Attributes attributes;
    };

    [[nodiscard]] bool is_over() const noexcept {
        return is_closed_ || channel_.shared().told_to_finish.load(std::memory_order_relaxed);
    }

    /// The next event; it is said that it is intended.
    Item next() {
        // Most fit a slot; some take a chunk.
        const std::uint64_t dice = random_.below(100);
        const std::uint64_t most = dice < 70 ? 64 : dice < 96 ? 512 : task_.largest;
        const std::uint64_t size = random_.below(std::min(most, task_.largest) + 1);
        Item item{.payload = Bytes(source_).subspan(random_.below(source_.size() - size + 1), size),
                  .key = random_.one_in(4) ? fmt::format("key {}", random_.below(100)) : "",
                  .digest = 0,
                  .attributes = {}};
        item.digest = digest_of(item.payload, item.key, task_.writer, ++id_);
        item.attributes = {.type = task_.writer, .id = id_, .correlation = seal_of(item.digest)};
        channel_.say({.number = id_, .digest = item.digest, .said = Said::intended});
        return item;
    }

    void step() {
        if (task_.may_batch && random_.one_in(12)) {
            publish_batch();
            return;
        }
        Item item = next();
        item.attributes.key = item.key;
        const bool is_named = !task_.name.get().empty();
        const auto result = !is_named && random_.one_in(4)
                                ? publish_loan(item)
                                : publisher_.publish(item.payload, item.attributes, patience);
        tell(id_, result.outcome, result.sequence);
        if (!result) return;
        if (is_named && random_.one_in(32)) {
            const auto again = publisher_.publish(item.payload, item.attributes, patience);
            channel_.say({.sequence = again.sequence,
                          .number = id_,
                          .said = Said::repeated,
                          .detail = static_cast<std::uint8_t>(again.outcome)});
        }
        if (random_.one_in(100)) {
            const auto durability = publisher_.wait_durable(result.sequence, patience);
            channel_.say({.sequence = result.sequence,
                          .said = Said::durable,
                          .detail = static_cast<std::uint8_t>(durability)});
        }
    }

    PublishResult publish_loan(const Item& item) {
        auto loan = publisher_.loan(item.payload.size(), item.attributes, patience);
        if (!loan) return {loan.outcome()};
        std::copy(item.payload.begin(), item.payload.end(), loan.payload().begin());
        return publisher_.publish(loan, item.payload.size(), patience);
    }

    void publish_batch() {
        const std::size_t count = 2 + random_.below(longest_batch - 1);
        const std::uint64_t before = id_;
        items_.clear();
        for (std::size_t i = 0; i < count; ++i) items_.push_back(next());
        std::vector<Outgoing> outgoing;
        for (Item& item : items_) {
            item.attributes.key = item.key;
            outgoing.push_back({item.payload, item.attributes});
        }
        const auto result = publisher_.publish(outgoing, patience);
        for (std::size_t i = 0; i < count; ++i) {
            const bool is_last = i + 1 == result.published;
            tell(before + 1 + i, i < result.published ? PublishOutcome::published : result.outcome,
                 is_last ? result.last : 0);
        }
    }

    void tell(std::uint64_t id, PublishOutcome outcome, Sequence sequence) {
        is_closed_ |= outcome == PublishOutcome::closed;
        channel_.say(
            {.sequence = sequence,
             .number = id,
             .said = outcome == PublishOutcome::published ? Said::published : Said::refused,
             .detail = static_cast<std::uint8_t>(outcome)});
    }

    Channel& channel_;
    const Task& task_;
    Publisher publisher_;
    Random random_;
    std::uint64_t id_;
    bool is_closed_ = false;
    std::vector<std::byte> source_;
    std::vector<Item> items_;
};

} // namespace

void publish_on(Channel& channel) {
    const Task& task = channel.task();
    auto bus = insist(task.may_be_removed, [&] { return Bus(bus_of(task)); });
    auto publisher = insist(
        task.may_be_removed,
        [&] {
            return bus->publisher(task.topic.get(), {.name = std::string(task.name.get()),
                                                     .timeout = patience,
                                                     .exclusive = task.is_exclusive});
        },
        task.is_exclusive ? patience_with_holders : patience);
    if (publisher) PublisherWorker(channel, std::move(*publisher)).run();
}

} // namespace shmbus::tools::torture
