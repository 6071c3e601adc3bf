// A fuzzer's input, taken piece by piece; zeros when it is used up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace shmbus::test {

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
    [[nodiscard]] bool empty() const { return rest_.empty(); }
    [[nodiscard]] std::span<const std::uint8_t> rest() const { return rest_; }

  private:
    std::span<const std::uint8_t> rest_;
};

} // namespace shmbus::test
