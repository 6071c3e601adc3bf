// The bare probes: what the same work takes between two processes with nothing but shared memory.
//
// Payloads are filled by one side and read by the other, byte for byte, as those of the bus are. A
// payload that shares a line with the word that announces it is that line.
#pragma once

#include "tools/bench/cases.hpp"

#include <shmbus/types.hpp>

#include <algorithm>
#include <span>

namespace shmbus::tools::bench {

inline constexpr std::size_t line_bytes = 64;
inline constexpr std::size_t probe_words = 6;

/// Enough for a payload in each direction, and for a ring of some.
constexpr std::size_t probe_bytes(std::size_t payload) noexcept {
    return std::max<std::size_t>(4U << 20U, 4 * payload);
}

/// Writes every byte.
void fill(std::span<std::byte> bytes, std::uint64_t value) noexcept;

/// Reads every byte.
[[nodiscard]] std::uint64_t sum_of(Bytes bytes) noexcept;

/// A payload in each direction, announced by a word that the other side waits for.
class BareLine {
  public:
    BareLine(const Pair& pair, const Setup& setup);
    void send();
    void receive();

  private:
    struct Direction {
        std::atomic<std::uint64_t>& word;
        std::atomic<std::uint64_t>& sleeping;
        std::span<std::byte> payload; // empty: the word's line is the payload
    };
    static Direction direction(const Setup& setup, std::size_t i);
    void await(const Direction& from, std::uint64_t value) const;

    Direction out_;
    Direction in_;
    bool spin_;
    std::uint64_t sent_ = 0;
    std::uint64_t received_ = 0;
    volatile std::uint64_t sum_ = 0; // so that reading is not optimised away
};

/// The barest ring there is: one producer, one consumer, cells of one size, positions published
/// some cells at a time, nothing looked at twice.
class BareRing {
  public:
    explicit BareRing(const Setup& setup);
    void produce(bool last);
    void consume();

  private:
    [[nodiscard]] std::span<std::byte> cell() const noexcept {
        return memory_.subspan(position_ % cells_ * bytes_, bytes_);
    }
    std::size_t bytes_;
    std::span<std::byte> memory_;
    std::uint64_t cells_;
    std::uint64_t batch_;
    std::atomic<std::uint64_t>& written_;
    std::atomic<std::uint64_t>& read_;
    std::uint64_t position_ = 0;
    std::uint64_t seen_ = 0;
    volatile std::uint64_t sum_ = 0; // so that reading is not optimised away
};

} // namespace shmbus::tools::bench
