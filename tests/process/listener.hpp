// Every way in which a program can wait for events, behind one face.
#pragma once

#include "shmbus/bus.hpp"
#include "shmbus/wait_set.hpp"

#include <functional>
#include <memory>

namespace shmbus::test {

/// A kind of receiver: how many topics it listens to, and how.
struct Listening {
    enum class By : std::uint8_t {
        receive,    // of the one subscription
        batches,    // likewise, several events a call
        wait_set,   // of all subscriptions
        descriptor, // of such a set, in epoll
    };
    const char* name;
    By by = By::receive;
    std::size_t topics = 1;
    std::chrono::nanoseconds spin = std::chrono::nanoseconds::zero();
    bool lossy = false;
    /// How long going to sleep takes, about.
    std::chrono::nanoseconds to_sleep = std::chrono::microseconds(4);
};

/// All kinds. A set of more than 127 subscriptions has helpers; so has one with a descriptor.
inline constexpr Listening listenings[] = {
    {.name = "parked"},
    {.name = "spinning",
     .spin = std::chrono::microseconds(5),
     .to_sleep = std::chrono::microseconds(15)},
    {.name = "lossy", .lossy = true},
    {.name = "batches", .by = Listening::By::batches},
    {.name = "few", .by = Listening::By::wait_set, .topics = 3},
    {.name = "many",
     .by = Listening::By::wait_set,
     .topics = 130,
     .to_sleep = std::chrono::microseconds(150)},
    {.name = "descriptor", .by = Listening::By::descriptor, .topics = 3},
};

class Listener {
  public:
    using See = std::function<void(const Event&)>;
    virtual ~Listener() = default;
    /// Waits until something is there, and shows what is. @returns how many events: 0 when there
    /// was none within the deadline. @throws std::runtime_error on anything but an event
    virtual std::size_t take(Deadline deadline, const See& see) = 0;
    /// Whether an event is there that take() did not see.
    [[nodiscard]] virtual bool is_behind() const = 0;
};

/// Listens to topics `prefix`0, `prefix`1, …
std::unique_ptr<Listener> make_listener(Bus& bus, const Listening& how, const std::string& prefix);

} // namespace shmbus::test
