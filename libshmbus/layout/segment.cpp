#include "layout/segment.hpp"

#include "base/hash.hpp"

#include <charconv>

namespace shmbus::layout {

namespace {

constexpr std::string_view suffix = ".seg";
constexpr std::size_t digits = 20;

template <class T> std::uint64_t checksum_of_object(const T& object, std::uint64_t seed) noexcept {
    return base::checksum(std::as_bytes(std::span(&object, 1)), seed);
}

} // namespace

SegmentSeed::SegmentSeed(const SegmentHeader& header) noexcept {
    struct {
        Uuid topic;
        std::uint64_t first;
        std::uint64_t salt;
    } const identity{header.topic, header.first, header.salt};
    seed_ = checksum_of_object(identity, segment_magic);
}

// These are made once an event, of a few bytes, so that calls would be a good part of the work.
[[gnu::flatten]] std::uint64_t SegmentSeed::head_checksum(std::span<const std::byte> head,
                                                          std::uint64_t offset) const noexcept {
    constexpr std::size_t skipped = sizeof(FrameHead::head_checksum);
    if (head.size() == event_head_bytes) // nearly always: the compiler knows the length
        return base::checksum(head.first(event_head_bytes).subspan(skipped), seed_ + offset);
    return base::checksum(head.subspan(skipped), seed_ + offset);
}

[[gnu::flatten]] std::uint64_t SegmentSeed::body_checksum(std::span<const std::byte> first,
                                                          std::span<const std::byte> second,
                                                          std::uint64_t sequence) const noexcept {
    return body_checksum(base::checksum(first), base::checksum(second), sequence);
}

[[gnu::flatten]] std::uint64_t SegmentSeed::body_checksum(std::uint64_t first, std::uint64_t second,
                                                          std::uint64_t sequence) const noexcept {
    return checksum_of_object(std::array{first, second, sequence}, seed_);
}

std::uint64_t checksum_of(const SegmentHeader& header) noexcept {
    const auto bytes = std::as_bytes(std::span(&header, 1));
    return base::checksum(bytes.first(offsetof(SegmentHeader, checksum)), segment_magic);
}

std::string segment_name(std::uint64_t first) {
    const std::string number = std::to_string(first);
    return std::string(digits - number.size(), '0') + number + std::string(suffix);
}

std::optional<std::uint64_t> segment_first(std::string_view name) noexcept {
    if (name.size() != digits + suffix.size() || !name.ends_with(suffix)) return {};
    std::uint64_t first = 0;
    const char* end = name.data() + digits;
    const auto [stopped, error] = std::from_chars(name.data(), end, first);
    if (error != std::errc{} || stopped != end || first == 0 || first > max_sequence) return {};
    return first;
}

} // namespace shmbus::layout
