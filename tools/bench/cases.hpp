// The cases `shmbus bench` knows.
#pragma once

#include "tools/bench/measure.hpp"

#include <shmbus/types.hpp>

#include <memory>
#include <string>

namespace shmbus::tools::bench {

struct Setup {
    std::string socket;
    std::string topic; // a prefix nobody else uses
    std::size_t bytes = 64;
    std::uint64_t events = 0;    // in a slice
    LonelyWord* words = nullptr; // 8 of them, shared: the probes' own
    std::byte* ring = nullptr;   // probe_ring_bytes, shared: likewise
};
inline constexpr std::size_t probe_ring_bytes = 4U << 20U;

/// Reads every byte.
inline std::uint64_t sum_of(shmbus::Bytes bytes) noexcept {
    std::uint64_t sum = 0;
    for (const std::byte b : bytes) sum += static_cast<std::uint64_t>(b);
    return sum;
}

/// One-way latency, half a round trip: two topics, or two cache lines. `spin`: the receiver spins;
/// otherwise it is parked on a futex, in the probe as on the bus.
std::unique_ptr<Player> latency(Pair& pair, const Setup& setup, bool spin);

/// Events a second from the first side to the second: a topic with policy block, or a bare byte ring
/// of one producer and one consumer in the same size.
std::unique_ptr<Player> throughput(Pair& pair, const Setup& setup);

} // namespace shmbus::tools::bench
