// A fuzzer's input, taken piece by piece; zeros when it is used up. And what a fuzzer finds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>

namespace shmbus::test {

/// The stack shows what was expected.
inline void expect(bool truth) {
    if (!truth) std::abort();
}

class Input {
  public:
    Input(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}
    template <class T> T take() {
        T value{};
        const auto size = rest_.size() < sizeof value ? rest_.size() : sizeof value;
        if (size != 0) std::memcpy(&value, rest_.data(), size);
        rest_ = rest_.subspan(size);
        return value;
    }
    /// Less than `count`, which is at most 256.
    std::size_t pick(std::size_t count) { return take<std::uint8_t>() % count; }
    /// At most so many bytes.
    std::span<const std::uint8_t> take_bytes(std::size_t most) {
        const auto bytes = rest_.first(most < rest_.size() ? most : rest_.size());
        rest_ = rest_.subspan(bytes.size());
        return bytes;
    }
    [[nodiscard]] bool empty() const { return rest_.empty(); }
    [[nodiscard]] std::span<const std::uint8_t> rest() const { return rest_; }

  private:
    std::span<const std::uint8_t> rest_;
};

} // namespace shmbus::test
