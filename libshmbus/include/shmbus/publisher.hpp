// Publishing.
#pragma once

#include "shmbus/api.hpp"
#include "shmbus/types.hpp"

#include <memory>
#include <span>

namespace shmbus {

namespace client {
class Sender;
}

struct PublishResult {
    PublishOutcome outcome = PublishOutcome::closed;
    Sequence sequence = 0;
    [[nodiscard]] explicit operator bool() const noexcept {
        return outcome == PublishOutcome::published;
    }
};

/// One event of several that are published together.
struct Outgoing {
    Bytes payload;
    Attributes attributes = {};
};

/// What became of several events. They are published in their order, so `published` counts the
/// first ones, with those that a named publisher had published before; `outcome` says why not the next,
/// or `published` when all were.
struct BatchResult {
    PublishOutcome outcome = PublishOutcome::closed;
    std::size_t published = 0;
    Sequence last = 0; ///< of the last one published; other publishers' events may lie between
    [[nodiscard]] explicit operator bool() const noexcept {
        return outcome == PublishOutcome::published;
    }
};

/// Memory in the topic's pool to build a payload in; publishing it copies nothing. Destroyed
/// unpublished, it goes back. Aligned to 64 bytes.
///
/// Lifetime: must not outlive its Publisher. Move-only. Thread safety: as its Publisher's.
class SHMBUS_API Loan {
  public:
    Loan() noexcept = default;
    Loan(Loan&& other) noexcept;
    Loan& operator=(Loan&& other) noexcept;
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    ~Loan();
    /// The payload to be, uninitialised: size as asked for.
    [[nodiscard]] std::span<std::byte> payload() const noexcept { return payload_; }
    /// Why there is no memory; `published` if there is.
    [[nodiscard]] PublishOutcome outcome() const noexcept { return outcome_; }
    explicit operator bool() const noexcept { return sender_ != nullptr; }

  private:
    friend class client::Sender;
    client::Sender* sender_ = nullptr;
    std::span<std::byte> payload_;
    std::uint32_t chunk_ = 0;
    PublishOutcome outcome_ = PublishOutcome::closed;
    // What the attributes became; they are part of the chunk already.
    std::uint32_t type_ = 0;
    std::uint32_t key_hash_ = 0;
    std::uint16_t flags_ = 0;
    std::uint16_t extension_ = 0;
    std::uint64_t id_ = 0;
    CorrelationId correlation_;
};

struct PublisherOptions {
    /// Makes it a named publisher of a topic on disk: what it has published it does not publish again, also
    /// after it, the daemon or the host died and it begins anew. Its events have ids that go up
    /// (Attributes::id); publish() of one that is not above last_event_id() says `duplicate`. Who must know
    /// that an event survives a power loss, too, publishes it again unless wait_durable() said so. One
    /// holder at a time: Error(busy).
    std::string name = {};
    /// How long publish() and loan() wait for room when the call itself says nothing.
    std::chrono::nanoseconds timeout = std::chrono::nanoseconds::max();
    /// Nobody else may publish to the topic as long as this publisher or its process lives, which
    /// makes publishing cheaper. With other publishers there already: Error(busy).
    bool exclusive = false;
};

/// Publishes to one topic. The payload is complete before the event gets its sequence, so a slow
/// publisher holds up nobody.
///
/// Cost: no allocation and no exception; no system call unless a subscriber sleeps or this
/// publisher has to wait for room.
/// Lifetime: keeps its connection alive; may outlive the Bus object. When the daemon dies, publishing
/// goes on as long as there is room, and the next daemon takes the topic on; until then nobody else can
/// open it. When it stops in order, publishers of a block topic wait for the next one, up to their
/// deadlines. If the topic has begun anew before this publisher is back, it gets `closed`, for good. Moved
/// from, or in the child of a fork(), which does not inherit the memory, it may only be destroyed or
/// assigned to.
/// Thread safety: one thread at a time; give each thread its own Publisher. interrupt() may be
/// called from any thread and from a signal handler.
class SHMBUS_API Publisher {
  public:
    Publisher(Publisher&&) noexcept;
    Publisher& operator=(Publisher&&) noexcept;
    ~Publisher();

    /// Copies `payload` (0 to max_event bytes) into the topic as one event.
    PublishResult publish(Bytes payload, const Attributes& attributes = {}) noexcept;
    PublishResult publish(Bytes payload, const Attributes& attributes, Deadline deadline) noexcept;
    PublishResult publish(std::string_view payload, const Attributes& attributes = {}) noexcept {
        return publish(as_bytes(payload), attributes);
    }
    PublishResult publish(std::string_view payload, const Attributes& attributes,
                          Deadline deadline) noexcept {
        return publish(as_bytes(payload), attributes, deadline);
    }

    /// Copies several payloads into the topic, one event each, and wakes subscribers once. Cheaper
    /// than one by one; the time of all is that of the call. Waits for room as often as it must.
    BatchResult publish(std::span<const Outgoing> events) noexcept;
    BatchResult publish(std::span<const Outgoing> events, Deadline deadline) noexcept;

    /// Memory for a payload of `size` bytes (0 to max_event). A failed loan is empty; its outcome()
    /// says why. The attributes are part of the loan: they go in before the payload.
    Loan loan(std::size_t size, const Attributes& attributes = {}) noexcept;
    Loan loan(std::size_t size, const Attributes& attributes, Deadline deadline) noexcept;
    /// Publishes a loan of this publisher; `size` may be less than was asked for. Unless the outcome
    /// is `published` or `revoked` the loan stays valid and may be published again.
    PublishResult publish(Loan& loan) noexcept;
    PublishResult publish(Loan& loan, std::size_t size, Deadline deadline) noexcept;
    PublishResult publish(Loan&& loan) noexcept { return publish(loan); }

    /// A Cap'n Proto message of type T, built by `fill(T::Builder)` in the memory that subscribers
    /// read; include shmbus/capnp.hpp. A message of more than `room` bytes is copied once.
    /// What `fill` throws comes through, and nothing is published.
    template <class T, class Fill>
    PublishResult publish(Fill&& fill, const Attributes& attributes = {}, std::size_t room = 1024);
    template <class T, class Fill>
    PublishResult publish(Fill&& fill, const Attributes& attributes, std::size_t room,
                          Deadline deadline);

    /// Waits until the event of this sequence, and so all before it, survive a power loss.
    Durability wait_durable(Sequence sequence, Deadline deadline) noexcept;

    /// Makes a publish(), loan() or wait_durable() that waits return `interrupted`; if none waits, the next
    /// one that would.
    void interrupt() noexcept;

    [[nodiscard]] const std::string& topic() const noexcept;
    /// This publisher's Event::publisher().
    [[nodiscard]] std::uint32_t id() const noexcept;
    /// A named publisher: the largest event id that the topic has of it, whoever published it; 0: none. When
    /// it was opened that event was in a file, unless the disk was in trouble.
    [[nodiscard]] std::uint64_t last_event_id() const noexcept;
    [[nodiscard]] std::uint64_t max_event() const noexcept;
    /// When a call gives up that says nothing itself: PublisherOptions::timeout from now.
    [[nodiscard]] Deadline default_deadline() const noexcept;

  private:
    friend class Bus;
    explicit Publisher(std::unique_ptr<client::Sender> sender) noexcept;
    std::unique_ptr<client::Sender> sender_;
};

} // namespace shmbus
