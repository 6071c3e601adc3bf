// SIGINT and SIGTERM: ending a stream of events in good order.
//
// The first signal sets a flag, makes a descriptor readable and wakes whatever is registered; the
// stream then finishes what it has begun and leaves with 130. A second signal, or the first while
// nothing is registered, leaves at once. Only the main thread takes these signals: others block
// them, so registering needs no lock.
#pragma once

#include <chrono>

namespace shmbus::tools {

/// From now on SIGINT and SIGTERM end the program as described above. Once, at the start.
void handle_interrupts();

/// Whether a signal has come.
[[nodiscard]] bool interrupted() noexcept;

/// Blocks both signals in the calling thread; threads it starts inherit that.
void block_interrupts() noexcept;
void unblock_interrupts() noexcept;

/// Waits until `fd` is readable (or closed). @throws Interrupted
void wait_readable(int fd);

/// @throws Interrupted
void sleep_until(std::chrono::steady_clock::time_point when);

/// While it lives, the first signal calls wake(object). Main thread only, last in, first out.
class OnInterrupt {
  public:
    template <class T>
    explicit OnInterrupt(T& object)
        : OnInterrupt(&object, [](void* it) noexcept { static_cast<T*>(it)->interrupt(); }) {}
    OnInterrupt(const OnInterrupt&) = delete;
    OnInterrupt& operator=(const OnInterrupt&) = delete;
    ~OnInterrupt();

    /// For the signal handler.
    void wake_all() noexcept;

  private:
    using Wake = void (*)(void*) noexcept;
    OnInterrupt(void* object, Wake wake);
    void* object_;
    Wake wake_;
    OnInterrupt* next_;
};

} // namespace shmbus::tools
