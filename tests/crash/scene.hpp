// A topic, those who use it beside the victim, and what they must see before, at and after its death.
//
// The topic is the daemon's own (registry::Topic), and so is what it does for the dead. Two subscribers are
// there from the beginning: one reads what there is before the victim dies, the other afterwards. A
// publisher goes on publishing. All are clients as any others, without a session: what they would get from
// the daemon they get from here.
#pragma once

#include "client/receiver.hpp"
#include "client/sender.hpp"
#include "daemon/registry/topic.hpp"
#include "support/stream_checker.hpp"

#include <memory>
#include <string>
#include <vector>

namespace shmbus::test {

inline constexpr std::size_t inline_size = 48;  // of a payload that fits a slot
inline constexpr std::size_t chunk_size = 200;  // and of one that does not
inline constexpr std::uint32_t survivor_id = 1; // in payloads
inline constexpr std::uint32_t victim_id = 2;
inline constexpr std::uint32_t sleeper_id = 3;

/// Small: 8 slots of 64 bytes of payload, a few chunks.
[[nodiscard]] TopicOptions small_topic(FullPolicy full);

/// An entry that was leased.
struct Seat {
    client::Role role = client::Role::publisher;
    std::uint32_t entry = 0;
    std::uint32_t id = 0;    // publishers
    std::uint64_t token = 0; // subscribers
};
struct Orphan {
    void operator()(client::Receiver* receiver) const noexcept { receiver->orphan(); }
};
using ReceiverPtr = std::unique_ptr<client::Receiver, Orphan>;

/// A subscriber that tells what it sees.
class Witness {
  public:
    Witness(const char* name, control::Lease lease);
    /// Reads and acknowledges all that is there.
    void drain();
    void leave() noexcept { receiver_.reset(); }
    [[nodiscard]] const Stream& stream() const noexcept { return stream_; }
    /// The events of this publisher, by sequence.
    [[nodiscard]] std::map<Sequence, std::uint64_t> events_of(std::uint32_t publisher) const;

  private:
    ReceiverPtr receiver_;
    Stream stream_;
    std::map<Sequence, Payload> events_;
};

class Scene {
  public:
    /// @param exclusive whether its publishers are. The topic outlives it; afterwards nobody uses it.
    Scene(registry::Topic& topic, bool exclusive);
    ~Scene();
    Scene(const Scene&) = delete;
    Scene& operator=(const Scene&) = delete;

    /// For another process, which makes the lease of it.
    [[nodiscard]] Seat take_seat(client::Role role);
    [[nodiscard]] control::Lease lease_of(const Seat& seat) const;
    /// What the daemon does when the holder is dead, or gone.
    void bury(const Seat& seat);
    /// What it does first, when the thread has gone that a client's process has to have.
    void give_up(const Seat& seat);
    /// What it does from time to time: twice.
    void sweep();
    void bury_at_the_end(const Seat& seat) { seats_.push_back(seat); }
    /// For a process that is there until the end.
    [[nodiscard]] control::Lease lease_until_the_end(client::Role role) {
        bury_at_the_end(take_seat(role));
        return lease_of(seats_.back());
    }

    /// The publisher publishes one, which must succeed at once, and both subscribers read it.
    void publish(std::size_t size = inline_size);
    /// The same, but waits for room as long as `patience` while the subscribers read.
    void publish_patiently(std::size_t size = inline_size);
    /// The publisher goes; the next publish() makes another one.
    void dismiss_publisher();
    /// Another subscriber, which reads nothing, and with it as many events as there are slots.
    void fill_up();
    /// It goes.
    void make_room();

    void drain();
    [[nodiscard]] Witness& early() noexcept { return early_; }
    [[nodiscard]] Witness& late() noexcept { return late_; }
    /// What a publisher that is no part of the scene was told, or would have been.
    void note_published(Sequence s, const Payload& payload) { checker_.published(s, payload); }
    [[nodiscard]] const ring::Topic& view() const noexcept { return topic_.view(); }
    [[nodiscard]] Sequence head() const noexcept {
        return view().ring.header().tail.load_acquire() - 1;
    }

    /// Publishes two laps, of both sizes; takes all of the pool, and gives it back.
    void expect_to_go_on();
    /// Everybody goes. What was wrong, in what the subscribers saw and in what is left of the dead;
    /// `all`: no event may have been overwritten before they read it.
    [[nodiscard]] std::vector<std::string> end(bool all = true);

  private:
    [[nodiscard]] client::Sender& publisher();
    registry::Topic& topic_;
    bool exclusive_;
    std::vector<Seat> seats_; // to be buried at the end
    StreamChecker checker_;
    Witness early_;
    Witness late_;
    std::optional<Seat> publisher_seat_;
    std::unique_ptr<client::Sender> publisher_;
    std::optional<Seat> idler_seat_;
    ReceiverPtr idler_;
    std::uint64_t published_ = 0;
};

} // namespace shmbus::test
