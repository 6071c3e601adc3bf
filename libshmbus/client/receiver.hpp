// The body of Subscription: places for outstanding events, spinning and sleeping.
#pragma once

#include "client/attachment.hpp"
#include "client/membership.hpp"
#include "client/past.hpp"
#include "ring/reader.hpp"
#include "shmbus/subscription.hpp"

#include <array>
#include <vector>

namespace shmbus::client {

class Receiver;

/// What an Event points to.
struct HeldEvent {
    Receiver* receiver = nullptr;
    ring::Place place;
    Past::SegmentPtr keep;     // where its bytes are, if they come from a file
    std::uint32_t slot = 0;    // of a group's member: the key slot,
    std::uint32_t attempt = 1; // and how often it was handed out
};

/// Destroys itself when the Subscription and all Events are gone.
class Receiver {
  public:
    Receiver(std::shared_ptr<control::Session> session, control::Lease lease,
             const SubscribeOptions& options);

    Received receive(Deadline deadline) noexcept;
    ReceivedBatch receive(std::span<Event> events, Deadline deadline) noexcept;
    Acknowledged acknowledge(Sequence s) noexcept {
        if (member_) return acknowledge_as_member(s);
        acknowledge_up_to(s);
        return Acknowledged::done;
    }
    /// Of a member; nothing otherwise.
    [[nodiscard]] Membership* member() noexcept { return member_ ? &*member_ : nullptr; }
    [[nodiscard]] Acknowledged reject(const Event& event, std::string_view reason) noexcept;
    void persist(Deadline deadline);
    void interrupt() noexcept { reader_.interrupt(); }
    Released release(HeldEvent* held) noexcept;
    /// Whether receive() would not wait.
    [[nodiscard]] bool is_ready() const noexcept {
        if (const auto state = hold_state(); state != layout::HoldState::live)
            return state == layout::HoldState::ended;
        if (member_ && member_->is_ready()) return true;
        return pending_.has_value() || free_ == 0 ||
               (behind_ ? look_again_.passed() : reader_.is_ready());
    }
    /// When to look whether it is, although nobody rings: nobody does for who waits for a file.
    [[nodiscard]] Deadline look_again() const noexcept {
        if (hold_state() != layout::HoldState::live) return Deadline::never(); // a bell is rung
        const Deadline files = behind_ ? look_again_ : Deadline::never();
        return member_ ? std::min(files.when(), member_->look_again().when()) : files;
    }
    /// First half of sleeping, for a wait on several: look again, then sleep on this.
    [[nodiscard]] base::Watched arm() noexcept {
        if (member_) member_->settle();
        return {&reader_.event_word(), reader_.arm()};
    }
    /// The Subscription is gone.
    void orphan() noexcept;

    [[nodiscard]] const std::string& topic() const noexcept { return attachment_.lease().topic; }
    [[nodiscard]] Sequence position() const noexcept {
        if (pending_) return pending_->first;
        return member_ ? member_->state().front() : reader_.position();
    }
    [[nodiscard]] const ring::Reader& reader() const noexcept { return reader_; }
    [[nodiscard]] std::uint64_t as_of_ns() const noexcept { return as_of_ns_; } // 0: nothing
    [[nodiscard]] std::optional<std::chrono::nanoseconds> max_age() const noexcept {
        return max_age_;
    }
    [[nodiscard]] bool trusts_publishers() const noexcept { return trusts_publishers_; }

  private:
    ~Receiver() = default;
    enum class Look : std::uint8_t { found, nothing, skipped };
    /// One look; if `found`, `received` says what.
    Look look(Received& received) noexcept;
    Look look_on(Deadline deadline, Received& received) noexcept;
    Look look_at_next(Received& received) noexcept;
    Received receive_as_member(Deadline deadline) noexcept;
    Look look_as_member(Received& received) noexcept;
    Look look_at_front(Received& received) noexcept;
    Look look_at_trail(Received& received) noexcept;
    Look take_as_member(Received& received, bool by_trail) noexcept;
    Acknowledged acknowledge_as_member(Sequence s) noexcept;
    void acknowledge_up_to(Sequence s) noexcept {
        if (newest_ != nullptr && newest_->place.sequence <= s)
            as_of_ns_ = newest_->place.header.time_ns;
        else
            note_time_of(s);
        reader_.acknowledge(s);
        if (page_ != nullptr) note_cursor();
    }
    void acknowledge_all_as_member() noexcept;
    void join(const SubscribeOptions& options);
    void join_group();
    void move_to(Sequence next, Sequence last_event) noexcept;
    /// In the files, as long as the ring does not have what is next.
    Look look_back(HeldEvent& held, Received& received) noexcept;
    void begin_in_the_past(const Start& start);
    void fall_behind(const Gap& gap) noexcept;
    /// Release: pairs with the daemon's look, which takes what is below as done with.
    void note_cursor() noexcept { page_->cursor.store_release(reader_.settled()); }
    [[nodiscard]] layout::HoldState hold_state() const noexcept {
        if (member_) return member_->hold_state();
        if (page_ == nullptr) return layout::HoldState::live;
        return static_cast<layout::HoldState>(page_->state.load_acquire());
    }
    void note_time_of(Sequence acknowledged) noexcept;
    [[nodiscard]] bool is_over() const noexcept;
    /// Whether it found something.
    bool spin(Deadline deadline, Received& received) noexcept;
    Received park(Deadline deadline) noexcept;

    std::shared_ptr<control::Session> session_;
    Attachment attachment_;
    ring::Filter filter_;
    ring::Reader reader_;
    layout::CursorPage* page_;         // of a durable subscription
    std::optional<Membership> member_; // of a group
    bool behind_ = false;              // what is next comes from past_
    bool auto_acknowledge_;
    bool trusts_publishers_;
    std::chrono::nanoseconds spin_;
    std::optional<Gap> pending_; // it ended a batch
    std::optional<Past> past_;   // of a topic on disk
    Sequence behind_until_ = 0;  // the ring has lost what is up to here
    Deadline patience_ = Deadline::now();
    std::optional<std::chrono::nanoseconds> max_age_;
    const HeldEvent* newest_ = nullptr; // that was received
    std::uint64_t as_of_ns_ = 0;
    Deadline look_again_ = Deadline::now(); // past_ had nothing at the last look
    bool orphaned_ = false;
    std::uint64_t free_ = ~std::uint64_t{0}; // bit i: held_[i] is free
    std::array<HeldEvent, layout::hold_cells> held_;
    std::vector<std::byte> buffers_;
    static_assert(layout::hold_cells == 64, "free_ has a bit for each");
};

} // namespace shmbus::client
