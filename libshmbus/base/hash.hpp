// The one hash, XXH3, the same in every process and in every version: of keys, and of what is kept on
// disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace shmbus::base {

/// The low half of the key's hash.
[[nodiscard]] std::uint32_t key_hash(std::string_view key) noexcept;

/// Of bytes that are kept. Short ones (up to 240 bytes) are as fast with a seed as without.
[[nodiscard]] inline std::uint64_t checksum(std::span<const std::byte> bytes,
                                            std::uint64_t seed = 0) noexcept {
    // Without a seed the secret need not be made first, which long inputs feel.
    return seed == 0 ? XXH3_64bits(bytes.data(), bytes.size())
                     : XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

} // namespace shmbus::base
