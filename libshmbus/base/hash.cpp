#include "base/hash.hpp"

#include <xxhash.h>

namespace shmbus::base {

std::uint32_t key_hash(std::string_view key) noexcept {
    return static_cast<std::uint32_t>(XXH3_64bits(key.data(), key.size()));
}

std::uint64_t checksum(std::span<const std::byte> bytes, std::uint64_t seed) noexcept {
    // Without a seed the secret need not be made first, which long inputs feel.
    return seed == 0 ? XXH3_64bits(bytes.data(), bytes.size())
                     : XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

} // namespace shmbus::base
