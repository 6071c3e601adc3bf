// The bytes of a topic's readers object: what subscribers tell publishers. Hints only.
//
//     offset 0     ReadersHeader   identity, then the hot words, a line each
//     1024         ReaderEntry[]   128 bytes each
//     ...          HoldCell[]      64 for each entry: which chunk it holds, since when
//     ...          HoldBits[]      for each chunk one bit for each entry: who holds it
//
// Subscribers and the daemon map it for writing, publishers read-only. Whatever is written here
// may delay or revoke subscribers of this topic; it cannot change an event.
#pragma once

#include "layout/ring.hpp"

namespace shmbus::layout {

inline constexpr std::uint64_t readers_magic = 0x3164616572'6d6873; // "shmread1", little-endian
inline constexpr std::uint32_t hold_cells = 64; // chunks one subscription may hold at a time

///      0  magic    8  major|minor   16  total bytes   24  topic uuid   40  chunk_count, max_readers
///     128 armed   256 space, space_rung     384 reader_limit
struct ReadersHeader {
    std::uint64_t magic;
    std::uint16_t major;
    std::uint16_t minor;
    std::uint32_t reserved0;
    std::uint64_t total_bytes;
    Uuid topic;
    std::uint32_t chunk_count;
    std::uint32_t max_readers;
    std::array<std::uint8_t, 80> reserved1;

    alignas(128) Word64 armed; // subscribers sleep for events since this value of `wake`

    alignas(128) Word64 space; // bumped before sleeping publishers are woken; futex: its low half
    Word64 space_rung;         // the space word up to which every publisher has been woken

    alignas(128) Word32 reader_limit; // entries from here on were never used; written by the daemon
    std::array<std::uint8_t, 636> reserved2;
};
static_assert(offsetof(ReadersHeader, armed) == 128 && offsetof(ReadersHeader, space) == 256);
static_assert(offsetof(ReadersHeader, reader_limit) == 384 && sizeof(ReadersHeader) == 1024);

enum class ReaderMode : std::uint8_t {
    free = 0,
    gate = 1,  // publishers of a block or reject topic wait for its cursor
    lossy = 2, // nobody waits
};

/// One subscriber. The daemon hands entries out and takes them back; the subscriber writes them.
struct ReaderEntry {
    Word64 cursor; // the last acknowledged sequence
    Word64 attach; // attach token, and ReaderMode in the low 8 bits; 0: free
    Word32 pid;    // as the daemon sees it; for tools
    std::array<std::uint8_t, 108> reserved;
};
static_assert(sizeof(ReaderEntry) == 128); // each is written at every event: no neighbours

constexpr std::uint64_t attach_word(std::uint64_t token, ReaderMode mode) noexcept {
    return token << 8U | static_cast<std::uint8_t>(mode);
}
/// A subscriber that joins again takes the next token of its lease by itself, round and round.
inline constexpr unsigned lease_bits = 20;
inline constexpr std::uint64_t tokens_per_lease = std::uint64_t{1} << lease_bits;
constexpr std::uint64_t next_token(std::uint64_t token) noexcept {
    return (token & ~(tokens_per_lease - 1)) | ((token + 1) & (tokens_per_lease - 1));
}
/// The first token of the lease that an attach word is of; the subscriber may have come to a later one.
constexpr std::uint64_t lease_of(std::uint64_t attach) noexcept {
    return attach >> 8U & ~(tokens_per_lease - 1);
}
constexpr ReaderMode mode_of(std::uint64_t attach) noexcept {
    return static_cast<ReaderMode>(attach & 0xffU);
}

/// ReaderWatch::seen: in the upper 16 bits whose lease the entry is, odd, so that it is not the zero
/// of an entry that nobody has; in the lower 48 how far its holder had come: twice the sequence, and
/// one more when the event behind that is there for it to read.
inline constexpr unsigned progress_bits = 48;
constexpr std::uint64_t seen_word(std::uint64_t attach, Sequence progress, bool more) noexcept {
    const std::uint64_t lease = attach >> (8U + lease_bits);
    const std::uint64_t tag = (lease * 0x9e3779b97f4a7c15U >> progress_bits) | 1U;
    const std::uint64_t far = 2 * progress + (more ? 1 : 0);
    return tag << progress_bits | (far & ((std::uint64_t{1} << progress_bits) - 1));
}
constexpr bool same_lease(std::uint64_t seen, std::uint64_t other) noexcept {
    return seen >> progress_bits == other >> progress_bits;
}

/// Chunk + 1 in the upper half (0: unused cell), monotonic milliseconds in the lower.
using HoldCell = Word64;
constexpr std::uint64_t hold_word(std::uint32_t chunk, std::uint32_t since_ms) noexcept {
    return (std::uint64_t{chunk} + 1) << 32U | since_ms;
}

using HoldBits = Word64; // max_readers / 64 of them for each chunk

struct ReadersGeometry {
    std::uint64_t entries;
    std::uint64_t cells;
    std::uint64_t bits;
    std::uint64_t total_bytes;
    std::uint32_t words_per_chunk;
};

[[nodiscard]] ReadersGeometry readers_geometry_of(const RingParameters& parameters) noexcept;

} // namespace shmbus::layout
