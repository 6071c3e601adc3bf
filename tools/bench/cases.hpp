// The cases `shmbus bench` knows.
#pragma once

#include "tools/bench/measure.hpp"

#include <shmbus/types.hpp>

#include <memory>
#include <string>

namespace shmbus::tools::bench {

/// How a payload gets from one side to the other.
enum class Payload {
    copied,    // filled in the publisher's memory, published by copy, read
    loaned,    // filled in a loan, read in place
    untouched, // a loan that nobody looks into
};

/// What a receiver does with an event.
enum class Handler : std::uint8_t { none, spins_1_us, waits_1_ms };

struct Setup {
    std::string socket;
    std::string daemon;    // of cases on disk: the program, and
    std::string directory; // where it keeps its state
    std::string topic;     // what its topics' names begin with, and no others
    std::size_t bytes = 64;
    Payload payload = Payload::copied;
    bool exclusive = false;    // the publisher has the topic to itself
    bool batches = false;      // 32 events a call, on both sides
    bool spin = true;          // the receiver spins, else it is parked on a futex
    Sync sync = Sync::none;    // of a topic on disk
    std::uint64_t events = 0;  // in a slice
    std::uint32_t members = 0; // of a group
    Handler handler = Handler::none;
    LonelyWord* words = nullptr; // probe_words of them, shared: the probes' own
    std::byte* memory = nullptr; // probe_bytes(), shared: likewise
};

/// A topic made for events of that size: slots for what fits one of 4 KiB, together not larger than
/// the probe's ring; a pool for what is larger or loaned.
[[nodiscard]] TopicOptions topic_for(const Setup& setup, FullPolicy full);

/// The same on disk.
[[nodiscard]] TopicOptions topic_on_disk(const Setup& setup);

/// One-way latency, half a round trip: two topics, or two bare lines. Of untouched payloads, beside
/// the bus's own of 64 bytes.
std::unique_ptr<Player> latency(Pair& pair, const Setup& setup);

/// Events a second from the first side to the second: a topic with policy block, or a bare ring
/// of one producer and one consumer, with cells of the same size.
std::unique_ptr<Player> throughput(Pair& pair, const Setup& setup);

/// Publishes a second with 64 subscribers, beside those with one.
std::unique_ptr<Player> fanout(Pair& pair, const Setup& setup);

/// Events a second that a group handles, beside a plain subscription with the same handler. One side is all there is;
/// members are threads, each with a connection of its own.
std::unique_ptr<Player> group(Pair& pair, const Setup& setup);

// On disk. One side is all there is, beside a daemon of its own.

/// Events a second into a topic, until they are on disk, or, where nobody syncs, in a file. Beside the
/// same bytes through large writes into a preallocated file, and one fdatasync.
std::unique_ptr<Player> store(Pair& pair, const Setup& setup);

/// From publish until the event survives a power loss, one at a time. Beside a write and an fdatasync.
std::unique_ptr<Player> durable(Pair& pair, const Setup& setup);

/// Events a second that a new subscriber gets from the files, beside copying as many bytes out of them.
std::unique_ptr<Player> catch_up(Pair& pair, const Setup& setup);

/// From the start of a daemon, whose predecessor was killed, until somebody has the oldest event.
/// There are so many bytes in files, and reading them is what it is beside.
std::unique_ptr<Player> recovery(Pair& pair, const Setup& setup);

} // namespace shmbus::tools::bench
