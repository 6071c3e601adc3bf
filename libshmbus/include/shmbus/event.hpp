// An event as a subscriber sees it.
#pragma once

#include "shmbus/api.hpp"
#include "shmbus/types.hpp"

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

namespace shmbus {

template <class T> class Typed;
struct Identity;

namespace layout {
struct EventHeader;
}
namespace client {
class LentEvent;
class Receiver;
struct HeldEvent;
} // namespace client

/// One received event. A payload that fits a slot was copied out; a larger one is read in place,
/// in shared memory, and held until the event is released or destroyed. A subscription can have 64
/// events outstanding.
///
/// Lifetime: all views end with release(), destruction or assignment. An Event may outlive its
/// Subscription. Move-only. An event that was released, moved from or default-constructed is empty: a
/// released one still knows its sequence, all else is 0 or empty.
/// Thread safety: an Event is used by the thread that uses its Subscription.
class SHMBUS_API Event {
  public:
    Event() noexcept = default;
    Event(Event&& other) noexcept
        : held_(std::exchange(other.held_, nullptr)), sequence_(std::exchange(other.sequence_, 0)) {
    }
    Event& operator=(Event&& other) noexcept {
        if (this == &other) return *this;
        if (held_ != nullptr) release();
        held_ = std::exchange(other.held_, nullptr);
        sequence_ = std::exchange(other.sequence_, 0);
        return *this;
    }
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;
    ~Event() {
        if (held_ != nullptr) release();
    }

    [[nodiscard]] Sequence sequence() const noexcept { return sequence_; }
    /// When it was published: nanoseconds of CLOCK_REALTIME, taken by the publisher before the
    /// event got its sequence, so not monotone in the sequence.
    [[nodiscard]] std::chrono::sys_time<std::chrono::nanoseconds> time() const noexcept;
    [[nodiscard]] Bytes payload() const noexcept;
    [[nodiscard]] std::string_view text() const noexcept { return as_text(payload()); }
    [[nodiscard]] std::uint32_t type() const noexcept;
    [[nodiscard]] std::string_view key() const noexcept;
    /// The publisher's own event id, 0 if it gave none.
    [[nodiscard]] std::uint64_t id() const noexcept;
    /// Tells the publishers of a topic apart; never used twice in a topic, but for a named publisher's, which
    /// is its own for ever.
    [[nodiscard]] std::uint32_t publisher() const noexcept;
    [[nodiscard]] CorrelationId correlation() const noexcept;
    [[nodiscard]] std::optional<Cause> cause() const noexcept;
    /// Whether it is older by now than the subscription wants to believe: SubscribeOptions::max_age.
    [[nodiscard]] bool stale() const noexcept;
    /// Which of the group's key slots it belongs to, 0 to 1,023; of each slot events are handled one after the
    /// other. 0 for who is no member of a group.
    [[nodiscard]] std::uint32_t slot() const noexcept;
    /// Which time it is handed out by the group, from 1 on; 1 for who is no member.
    [[nodiscard]] std::uint32_t attempt() const noexcept;
    /// W3C parent-id; all zero means none.
    [[nodiscard]] std::array<std::uint8_t, 8> parent_id() const noexcept;
    [[nodiscard]] std::uint8_t trace_flags() const noexcept;
    /// The i-th header in the order they were given; nothing past the last.
    [[nodiscard]] std::optional<Header> header(std::size_t i) const noexcept;
    /// Whether the payload is read in place, so that release() can say `revoked`.
    [[nodiscard]] bool in_place() const noexcept;
    /// Whether nobody but root and this process's user could change what payload() shows: it was
    /// copied out, or SubscribeOptions::trust_publishers. Else check nothing in it twice: copy first.
    [[nodiscard]] bool trusted() const noexcept;

    /// The payload as a Cap'n Proto message of type T; include shmbus/capnp.hpp.
    /// @throws Error(damaged) when it is none
    template <class T> [[nodiscard]] Typed<T> as() const;

    /// Gives the event back; the destructor does it otherwise. Idempotent. Never blocks, but for the
    /// last event of a subscription that is gone: it takes the subscription down.
    Released release() noexcept;
    [[nodiscard]] bool empty() const noexcept { return held_ == nullptr; }

  private:
    friend class client::LentEvent;
    friend class client::Receiver;
    friend SHMBUS_API Identity identity_of(const Event& event);
    explicit Event(client::HeldEvent* held) noexcept;
    [[nodiscard]] const layout::EventHeader& head() const noexcept;
    [[nodiscard]] Bytes extension() const noexcept;
    client::HeldEvent* held_ = nullptr;
    Sequence sequence_ = 0;
};

} // namespace shmbus
