// A seal on everything that a publisher says of an event: who receives it can tell that it is whole, and
// that nothing in it is another event's.
#pragma once

#include <shmbus/event.hpp>
#include <shmbus/types.hpp>

#include <array>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace shmbus::tools::torture {

/// Of payload and attributes, but the correlation.
inline std::uint64_t digest_of(Bytes payload, std::string_view key, std::uint32_t type,
                               std::uint64_t id) noexcept {
    const std::array<std::uint64_t, 4> words{XXH3_64bits(payload.data(), payload.size()),
                                             XXH3_64bits(key.data(), key.size()), type, id};
    return XXH3_64bits(words.data(), sizeof words);
}

/// The digest, as the correlation of an event.
inline CorrelationId seal_of(std::uint64_t digest) noexcept {
    const std::array<std::uint64_t, 2> words{digest, ~digest};
    CorrelationId seal;
    std::memcpy(seal.bytes.data(), words.data(), sizeof words);
    return seal;
}

inline std::uint64_t digest_of(const Event& event) noexcept {
    return digest_of(event.payload(), event.key(), event.type(), event.id());
}

inline bool is_whole(const Event& event, std::uint64_t digest) noexcept {
    return event.correlation() == seal_of(digest);
}

} // namespace shmbus::tools::torture
