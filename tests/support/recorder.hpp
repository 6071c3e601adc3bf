// Watches every access to shared memory that the code under test makes; see
// base/recording_atomic.hpp. For tests with one thread that compile ring/ with SHMBUS_RECORD_ORDER.
#pragma once

#include "support/ring_fixture.hpp"

#include <functional>

namespace shmbus::test {

struct Access {
    base::AtomicOp op;
    const void* word;
    std::memory_order order;
};

/// Runs `body`; `handler` is called before each access of it, but not for what it does itself.
void watch(const std::function<void()>& body, const std::function<void(const Access&)>& handler);

/// How many accesses `body` makes.
std::size_t count_accesses(const std::function<void()>& body);

/// Runs `body`, and `act` just before its n-th access (from 0).
void interrupt_at(std::size_t n, const std::function<void()>& body,
                  const std::function<void()>& act);

/// The accesses of a body, with names: "cas stamp", "store content", "fence".
class Log {
  public:
    Log(const ring::Topic& topic, const std::function<void()>& body);

    static constexpr std::size_t none = ~std::size_t{0};
    /// The first access of that name after access `after`; none: a failure.
    [[nodiscard]] std::size_t next(const std::string& name, std::size_t after = none) const;
    /// The last access of that name.
    [[nodiscard]] std::size_t last(const std::string& name) const;
    [[nodiscard]] std::size_t count(const std::string& name) const;
    /// The first fence of at least that order after access `after`.
    [[nodiscard]] std::size_t fence(std::memory_order order, std::size_t after) const;
    /// Whether access i is at least that strong.
    [[nodiscard]] bool has(std::size_t i, std::memory_order order) const;
    [[nodiscard]] std::string text() const;

  private:
    struct Entry {
        std::string name;
        std::memory_order order;
    };
    std::vector<Entry> entries_;
};

} // namespace shmbus::test
