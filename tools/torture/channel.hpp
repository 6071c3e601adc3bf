// What a worker of the torture is told, and what it says: memory that outlives it, whatever kills it.
//
// Records go through a ring with one writer and one reader. The writer waits for room, so nothing that
// was said is lost; a record that was not complete when its writer died was not said.
#pragma once

#include "tools/torture/record.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <string_view>

namespace shmbus::tools::torture {

enum class Role : std::uint8_t { publisher, subscriber };

/// A text in shared memory; longer ones are cut off.
template <std::size_t size> class SharedText {
  public:
    void set(std::string_view text) noexcept {
        const std::size_t count = text.copy(bytes_.data(), size - 1);
        bytes_[count] = 0;
    }
    [[nodiscard]] std::string_view get() const noexcept { return bytes_.data(); }

  private:
    std::array<char, size> bytes_{};
};

/// What a worker is to do.
struct Task {
    SharedText<108> socket; // as long as the address of one may be
    SharedText<64> topic;
    SharedText<64> name; // of a named publisher, or a durable subscription
    Role role = Role::publisher;
    bool may_be_removed = false; // the topic
    std::uint64_t seed = 0;
    std::uint32_t writer = 0;
    // Publishers.
    std::uint64_t largest = 0; // payload
    bool is_exclusive = false;
    bool may_batch = false;
    // Subscribers.
    bool is_late = false; // it begins anywhere; else with the first event
    bool is_lossy = false;
};

struct Shared {
    /// A round takes no longer than these.
    static constexpr std::size_t capacity = std::size_t{1} << 10U;
    alignas(64) std::atomic<std::uint64_t> written = 0;
    Task task;
    std::array<Record, capacity> records{};
    std::atomic<bool> told_to_finish = false;
    SharedText<256> trouble; // why it has failed
    /// When it failed as nobody gave it what it waited for; 0: it did not, or for another reason.
    std::atomic<std::uint64_t> in_vain_ns = 0;
    alignas(64) std::atomic<std::uint64_t> read = 0;
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

/// One of the two ends.
class Channel {
  public:
    /// A new one. @throws std::runtime_error
    Channel();
    /// The one that this process was started with. @throws std::runtime_error
    static Channel inherited();
    Channel(Channel&& other) noexcept;
    Channel& operator=(Channel&&) = delete;
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;
    ~Channel();

    [[nodiscard]] int fd() const noexcept { return fd_; }
    [[nodiscard]] Task& task() const noexcept { return shared_->task; }
    [[nodiscard]] Shared& shared() const noexcept { return *shared_; }

    /// The writer's: waits while there is no room. Fills in the time.
    void say(Record record) noexcept;
    /// The reader's: how many have been written by now.
    [[nodiscard]] std::uint64_t written() const noexcept {
        return shared_->written.load(std::memory_order_acquire);
    }
    /// The reader's: takes those up to the first `end` that were ever written.
    template <class Take> void drain(std::uint64_t end, Take take) {
        std::uint64_t next = shared_->read.load(std::memory_order_relaxed);
        for (; next < end; ++next) take(shared_->records[next % Shared::capacity]);
        shared_->read.store(next, std::memory_order_release);
    }

  private:
    explicit Channel(int fd);
    int fd_;
    Shared* shared_ = nullptr;
};

[[nodiscard]] std::uint64_t monotonic_ns() noexcept;

/// What a worker does until it is told to finish, killed, or its topic is removed.
void publish_on(Channel& channel);
void subscribe_on(Channel& channel);

} // namespace shmbus::tools::torture
