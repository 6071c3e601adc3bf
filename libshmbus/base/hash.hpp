// Hash of a key, the same in every process: the low half of XXH3.
#pragma once

#include <cstdint>
#include <string_view>

namespace shmbus::base {

[[nodiscard]] std::uint32_t key_hash(std::string_view key) noexcept;

} // namespace shmbus::base
