// A stream of events that its receiver can check without knowing it: sizes from nothing to 100 KiB,
// inline and chunk payloads mixed, each payload sealed by a checksum that travels beside it.
#pragma once

#include "shmbus/event.hpp"

#include <cstring>
#include <random>
#include <vector>
#include <xxhash.h>

namespace shmbus::test {

/// Fast and good enough: splitmix64.
class Random {
  public:
    explicit Random(std::uint64_t seed) noexcept : state_(seed) {}
    std::uint64_t operator()() noexcept {
        std::uint64_t z = state_ += 0x9e3779b97f4a7c15U;
        z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
        z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
        return z ^ (z >> 31U);
    }
    /// From 0 to limit - 1.
    std::uint64_t below(std::uint64_t limit) noexcept { return (*this)() % limit; }

  private:
    std::uint64_t state_;
};

/// The publisher's own number of an event is part of its seal, so a payload under the header of
/// another event does not pass.
inline CorrelationId seal(Bytes payload, std::uint64_t id) noexcept {
    const std::uint64_t words[2] = {XXH3_64bits_withSeed(payload.data(), payload.size(), id), ~id};
    CorrelationId seal;
    std::memcpy(seal.bytes.data(), words, sizeof words);
    return seal;
}

/// What one publisher sends: events numbered from 1.
class Load {
  public:
    static constexpr std::size_t largest = 100 << 10;

    explicit Load(std::uint64_t seed) : random_(seed), source_(2 * largest) {
        for (auto& byte : source_) byte = static_cast<std::byte>(random_());
    }
    struct Item {
        Bytes payload;
        std::uint64_t id;
    };
    Item next() noexcept {
        const std::uint64_t dice = random_.below(1000);
        std::size_t size = largest;
        if (dice < 600) {
            size = random_.below(193); // a slot of 256 bytes has room for 192
        } else if (dice < 999) {
            size = random_.below(4097);
        }
        return {{source_.data() + random_.below(largest), size}, ++id_};
    }

  private:
    Random random_;
    std::vector<std::byte> source_;
    std::uint64_t id_ = 0;
};

/// What one subscriber must see, computed as it goes.
class Checker {
  public:
    /// Whether the event is whole, and follows the one its publisher sent before.
    bool check(const Event& event) {
        if (event.correlation() != seal(event.payload(), event.id())) ++torn_;
        const std::size_t publisher = event.publisher();
        if (publisher >= last_.size()) last_.resize(publisher + 1);
        // Where sequences may be lost the numbers have gaps; they still go up.
        if (event.id() <= last_[publisher]) ++disordered_;
        missing_ += event.id() - last_[publisher] - 1;
        last_[publisher] = event.id();
        bytes_ += event.payload().size();
        if (event.in_place()) ++in_place_;
        std::uint64_t seal_word = 0;
        std::memcpy(&seal_word, event.correlation().bytes.data(), sizeof seal_word);
        for (const std::uint64_t word : {event.sequence(), publisher, event.id(), seal_word})
            hash_ = (hash_ ^ word) * 0x9fb21c651e98df25U ^ hash_ >> 29U;
        return torn_ == 0 && disordered_ == 0;
    }
    [[nodiscard]] std::uint64_t hash() const { return hash_; } // of all events, in their order
    [[nodiscard]] std::uint64_t torn() const { return torn_; }
    [[nodiscard]] std::uint64_t disordered() const { return disordered_; }
    [[nodiscard]] std::uint64_t missing() const { return missing_; } // of publishers' own numbers
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
    [[nodiscard]] std::uint64_t in_place() const { return in_place_; }

  private:
    std::vector<std::uint64_t> last_; // by publisher
    std::uint64_t hash_ = 1;
    std::uint64_t torn_ = 0;
    std::uint64_t disordered_ = 0;
    std::uint64_t missing_ = 0;
    std::uint64_t bytes_ = 0;
    std::uint64_t in_place_ = 0;
};

} // namespace shmbus::test
