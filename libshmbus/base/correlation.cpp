// Correlation ids: random ones, and their text.
#include "base/random.hpp"
#include "shmbus/types.hpp"

namespace shmbus {

namespace {

constexpr std::string_view digits = "0123456789abcdef";

int value_of(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

} // namespace

CorrelationId CorrelationId::random() {
    CorrelationId id;
    while (id.empty()) base::fill_random(std::as_writable_bytes(std::span(id.bytes)));
    return id;
}

std::optional<CorrelationId> CorrelationId::parse(std::string_view hex) {
    CorrelationId id;
    if (hex.size() != 2 * id.bytes.size()) return std::nullopt;
    for (std::size_t i = 0; i < id.bytes.size(); ++i) {
        const int high = value_of(hex[2 * i]);
        const int low = value_of(hex[2 * i + 1]);
        if (high < 0 || low < 0) return std::nullopt;
        id.bytes[i] = static_cast<std::uint8_t>(high * 16 + low);
    }
    return id;
}

std::string CorrelationId::to_string() const {
    std::string text;
    text.reserve(2 * bytes.size());
    for (const std::uint8_t byte : bytes) {
        text += digits[byte >> 4U];
        text += digits[byte & 0xfU];
    }
    return text;
}

} // namespace shmbus
