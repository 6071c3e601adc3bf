// The bytes of a ring: one topic's newest events, its publishers and its chunk pool.
//
//     offset 0     RingHeader        geometry (fixed at creation), then the hot words, a line each
//     4096         ReaderWatch[]     one for each subscriber entry: whom publishers wait for no more
//     ...          PublisherEntry[]  one line each
//     ...          ChunkWord[]       one stamp for each chunk
//     page         Slot[]            capacity x slot_bytes; allocated when the ring is made
//     page         chunks            the pool, class after class; sparse
//
// Only the parameters are stored. Every offset is computed from them by geometry_of(), in the
// daemon as in a client, so there is no offset in shared memory that could be forged. Publishers
// and the daemon map the ring for writing, subscribers read-only.
#pragma once

#include "base/atomic.hpp"
#include "layout/stamp.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

namespace shmbus::layout {

using base::Word32;
using base::Word64;

inline constexpr std::uint64_t ring_magic = 0x31676e6972'6d6873; // "shmring1", little-endian
inline constexpr std::uint16_t layout_major = 1;
inline constexpr std::uint16_t layout_minor = 0;
inline constexpr std::size_t page = 4096;

using Uuid = std::array<std::uint8_t, 16>;

/// What is chosen when a ring is made and never changes.
struct RingParameters {
    std::uint32_t capacity;        // slots, a power of two
    std::uint32_t slot_bytes;      // a power of two
    std::uint64_t max_event;       // bytes of payload
    std::uint64_t pool_bytes;      // what the chunks may take together
    std::uint64_t first_sequence;  // the first event's
    std::uint16_t max_publishers;  // entries
    std::uint16_t max_readers;     // entries, a multiple of 64
    std::uint32_t evict_after_ms;  // a gate that stands still this long is ignored
    std::uint32_t hold_timeout_ms; // a chunk held this long may be taken
    std::uint8_t full_policy;      // shmbus::FullPolicy
    std::uint8_t gate;             // GateKind
    std::array<std::uint8_t, 2> reserved;
    bool operator==(const RingParameters&) const = default;
};
static_assert(sizeof(RingParameters) == 48 && std::is_trivially_copyable_v<RingParameters>);

inline constexpr std::uint32_t min_capacity = 2;
inline constexpr std::uint32_t max_capacity = 1U << 24U;
inline constexpr std::uint32_t min_slot_bytes = 128;
inline constexpr std::uint32_t max_slot_bytes = 65'536;
inline constexpr std::uint64_t max_max_event = 1ULL << 30U;
inline constexpr std::uint64_t max_pool_bytes = 1ULL << 36U;
/// The daemon goes through the hold bits of all chunks when a subscriber ends, and nobody else is
/// served meanwhile: 64 MiB of them with 256 subscriber entries.
inline constexpr std::uint32_t max_chunks = 1U << 21U;
inline constexpr std::uint16_t max_max_publishers = 4'095; // what a stamp's owner can name
inline constexpr std::uint16_t max_max_readers = 1'024;

/// What must have an event before its slot may be overwritten.
enum class GateKind : std::uint8_t {
    readers = 0, // the subscribers that publishers wait for
    written = 1, // a file, as far as RingHeader::written says
    durable = 2, // the disk, as far as RingHeader::durable says
};

/// Whether a ring takes events.
enum class RingState : std::uint32_t {
    open = 0,
    draining = 1, // refuses new events until it is opened again
    closed = 2,   // the daemon went away in order
    removed = 3,  // the topic was removed
};

/// First page of a ring.
///
///      0  magic                8  major|minor|page of header   16  total bytes   24  topic uuid
///     40  RingParameters      88  reserved
///     256 tail          384 wake, rung     512 space_armed     640 state, publisher_limit
///     768 hands[]           896 written, durable
struct RingHeader {
    std::uint64_t magic;
    std::uint16_t major;
    std::uint16_t minor;
    std::uint32_t reserved0;
    std::uint64_t total_bytes;
    Uuid topic;
    RingParameters parameters;
    std::array<std::uint8_t, 168> reserved1;

    // 128 bytes apart: the prefetcher fetches lines in pairs.
    alignas(128) Word64 tail; // the next sequence to be claimed

    alignas(128) Word64 wake; // bumped before sleepers are woken; the futex is its low half
    Word64 rung;              // the wake word up to which everybody has been woken

    alignas(128) Word64 space_armed; // publishers sleep for space since this value of `space`

    alignas(128) Word32 state; // RingState, written by the daemon
    Word32 publisher_limit;    // entries from here on were never used; written by the daemon

    // Each a chunk class's clock hand; a hint, any value is safe.
    alignas(128) std::array<Word32, 8> hands;
    std::array<std::uint8_t, 96> reserved2;

    // Topics on disk; written by the daemon. Everything up to here is in a file, and on disk.
    alignas(128) Word64 written;
    Word64 durable;
    std::array<std::uint8_t, 112> reserved3;
};
static_assert(offsetof(RingHeader, major) == 8 && offsetof(RingHeader, total_bytes) == 16);
static_assert(offsetof(RingHeader, topic) == 24 && offsetof(RingHeader, parameters) == 40);
static_assert(offsetof(RingHeader, tail) == 256 && offsetof(RingHeader, wake) == 384);
static_assert(offsetof(RingHeader, space_armed) == 512 && offsetof(RingHeader, state) == 640);
static_assert(offsetof(RingHeader, hands) == 768 && offsetof(RingHeader, written) == 896);
static_assert(sizeof(RingHeader) == 1024);

/// What publishers know of one subscriber entry; see ring/gate.hpp.
struct ReaderWatch {
    /// ReaderEntry::attach of a subscriber that they wait for no more; 0: none. Nobody clears it: a
    /// subscriber that joins again takes a new token, which makes a new word.
    Word64 lossy;
    Word64 seen;  // seen_word(): whose lease it is, as the daemon says, and how far it had come
    Word64 since; // monotonic ns at which it was first seen so
};

/// One publisher. The daemon hands entries out and takes them back.
struct PublisherEntry {
    Word64 gate; // the gate this publisher is about to rely on; see ring/gate.hpp
    Word32 id;   // counts the topic's publishers; 0: entry is free
    Word32 pid;  // as the daemon sees it; for tools
    std::array<std::uint8_t, 48> reserved;
};
static_assert(sizeof(PublisherEntry) == 64);

using ChunkWord = Word64; // a Stamp with a ChunkState

inline constexpr std::uint32_t no_chunk = 0xffffffff;

enum SlotFlags : std::uint16_t {
    flag_key = 1U << 0U,         // the extension block has a key, key_hash is its hash
    flag_correlation = 1U << 1U, // correlation is set
};

/// What a slot says of its event, after the stamp. Copied out before anything in it is believed.
///
///      0  stamp              8  time            16  length     20  chunk
///     24  type              28  publisher       32  key_hash   36  flags  38  extension
///     40  correlation (16)  56  event_id        64  extension block, payload
struct EventHeader {
    std::uint64_t time_ns; // CLOCK_REALTIME, taken before the claim: not monotone in the sequence
    std::uint32_t length;  // of the payload
    std::uint32_t chunk;   // where extension block and payload are, or no_chunk: in the slot
    std::uint32_t type;
    std::uint32_t publisher; // PublisherEntry::id
    std::uint32_t key_hash;
    std::uint16_t flags;
    std::uint16_t extension; // bytes of the extension block; the payload begins at the next 8
    std::array<std::uint8_t, 16> correlation;
    std::uint64_t event_id;
};
inline constexpr std::size_t slot_header_bytes = 64;
static_assert(sizeof(EventHeader) + sizeof(Stamp) == slot_header_bytes);
static_assert(std::is_trivially_copyable_v<EventHeader>);

/// One class of chunks: `count` chunks of `bytes`, numbered from `first`, at `offset`.
struct ChunkClass {
    std::uint64_t bytes;
    std::uint64_t offset;
    std::uint32_t first;
    std::uint32_t count;
};

/// Where everything is; computed, never read from shared memory.
struct RingGeometry {
    static constexpr std::size_t max_classes = 8;
    std::uint64_t watches;
    std::uint64_t publishers;
    std::uint64_t chunk_words;
    std::uint64_t slots;
    std::uint64_t slots_end; // allocated at creation up to here
    std::uint64_t total_bytes;
    std::uint32_t chunk_count;
    std::uint32_t class_count;
    std::array<ChunkClass, max_classes> classes;
};

/// Why these parameters cannot make a ring; empty if they can.
[[nodiscard]] std::string problem_with(const RingParameters& parameters);

/// @pre problem_with(parameters).empty()
[[nodiscard]] RingGeometry geometry_of(const RingParameters& parameters) noexcept;

} // namespace shmbus::layout
