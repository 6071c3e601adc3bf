#include "base/hash.hpp"

namespace shmbus::base {

std::uint32_t key_hash(std::string_view key) noexcept {
    return static_cast<std::uint32_t>(XXH3_64bits(key.data(), key.size()));
}

} // namespace shmbus::base
