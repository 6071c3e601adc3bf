// The cases `shmbus bench` knows.
#pragma once

#include "tools/bench/measure.hpp"

#include <shmbus/types.hpp>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

namespace shmbus::tools::bench {

struct Setup {
    std::string socket;
    std::string topic; // a prefix nobody else uses
    std::size_t bytes = 64;
    bool exclusive = false;      // the publisher has the topic to itself
    bool batches = false;        // 32 events a call, on both sides
    bool spin = true;            // the receiver spins, else it is parked on a futex
    std::uint64_t events = 0;    // in a slice
    LonelyWord* words = nullptr; // 8 of them, shared: the probes' own
    std::byte* ring = nullptr;   // probe_ring_bytes, shared: likewise
};
inline constexpr std::size_t probe_ring_bytes = 4U << 20U;

/// Reads every byte, as fast as a word at a time allows.
inline std::uint64_t sum_of(shmbus::Bytes bytes) noexcept {
    std::uint64_t sum = 0;
    while (!bytes.empty()) {
        std::uint64_t word = 0;
        const std::size_t size = std::min(bytes.size(), sizeof word);
        std::memcpy(&word, bytes.data(), size);
        sum += word;
        bytes = bytes.subspan(size);
    }
    return sum;
}

/// One-way latency, half a round trip: two topics, or two cache lines.
std::unique_ptr<Player> latency(Pair& pair, const Setup& setup);

/// Events a second from the first side to the second: a topic with policy block, or a bare byte ring
/// of one producer and one consumer in the same size.
std::unique_ptr<Player> throughput(Pair& pair, const Setup& setup);

/// Publishes a second with 64 subscribers, beside those with one.
std::unique_ptr<Player> fanout(Pair& pair, const Setup& setup);

} // namespace shmbus::tools::bench
