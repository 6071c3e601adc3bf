#include "tools/bench/bare.hpp"

#include <climits>
#include <cstring>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace shmbus::tools::bench {

void fill(std::span<std::byte> bytes, std::uint64_t value) noexcept {
    std::fill(bytes.begin(), bytes.end(), static_cast<std::byte>(value & 0xffU));
}

std::uint64_t sum_of(Bytes bytes) noexcept {
    // Sums that do not wait for each other: reading is bound by memory, not by adding.
    using Words [[gnu::vector_size(16)]] = std::uint64_t;
    Words even{};
    Words odd{};
    for (; bytes.size() >= 2 * sizeof(Words); bytes = bytes.subspan(2 * sizeof(Words))) {
        Words next;
        std::memcpy(&next, bytes.data(), sizeof next);
        even += next;
        std::memcpy(&next, bytes.data() + sizeof next, sizeof next);
        odd += next;
    }
    even += odd;
    std::uint64_t rest = 0;
    for (const std::byte byte : bytes) rest += std::to_integer<std::uint64_t>(byte);
    return even[0] + even[1] + rest;
}

// ---- BareLine ----------------------------------------------------------------------------------

BareLine::Direction BareLine::direction(const Setup& setup, std::size_t i) {
    const std::span<std::byte> payload(setup.memory + i * setup.bytes, setup.bytes);
    return {setup.words[2 * i].value, setup.words[2 * i + 1].value,
            setup.bytes > line_bytes ? payload : std::span<std::byte>()};
}

BareLine::BareLine(const Pair& pair, const Setup& setup)
    : out_(direction(setup, pair.is_first() ? 0 : 1)),
      in_(direction(setup, pair.is_first() ? 1 : 0)), spin_(setup.spin) {}

void BareLine::send() {
    ++sent_;
    fill(out_.payload, sent_);
    out_.word.store(sent_, std::memory_order_seq_cst);
    if (!spin_ && out_.sleeping.load(std::memory_order_seq_cst) != 0)
        ::syscall(SYS_futex, &out_.word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

void BareLine::receive() {
    await(in_, ++received_);
    sum_ = sum_ + sum_of(in_.payload);
}

void BareLine::await(const Direction& from, std::uint64_t value) const {
    while (from.word.load(std::memory_order_seq_cst) != value) {
        if (spin_) continue;
        from.sleeping.store(1, std::memory_order_seq_cst);
        const std::uint64_t seen = from.word.load(std::memory_order_seq_cst);
        if (seen != value)
            ::syscall(SYS_futex, &from.word, FUTEX_WAIT, static_cast<std::uint32_t>(seen), nullptr,
                      nullptr, 0);
        from.sleeping.store(0, std::memory_order_relaxed);
    }
}

// ---- BareRing ----------------------------------------------------------------------------------

BareRing::BareRing(const Setup& setup)
    : bytes_(setup.bytes), memory_(setup.memory, probe_bytes(setup.bytes)),
      cells_(memory_.size() / bytes_), batch_(std::clamp<std::uint64_t>(cells_ / 4, 1, 64)),
      written_(setup.words[4].value), read_(setup.words[5].value) {}

void BareRing::produce(bool last) {
    while (position_ - seen_ >= cells_) seen_ = read_.load(std::memory_order_acquire);
    fill(cell(), position_);
    ++position_;
    if (last || position_ % batch_ == 0) written_.store(position_, std::memory_order_release);
}

void BareRing::consume() {
    while (position_ == seen_) seen_ = written_.load(std::memory_order_acquire);
    sum_ = sum_ + sum_of(cell());
    ++position_;
    if (position_ % batch_ == 0 || position_ == seen_)
        read_.store(position_, std::memory_order_release);
}

} // namespace shmbus::tools::bench
