// One topic: its memory, and who holds which entry of it.
//
// The books are in private memory and are the truth: which entry is free is never read from shared
// memory, where clients can write. What is read there (tail, cursors) is clamped and shown to
// people or waited for with a deadline; nothing is indexed by it.
#pragma once

#include "base/fd.hpp"
#include "daemon/registry/books.hpp"
#include "daemon/registry/holder.hpp"
#include "daemon/registry/incidents.hpp"
#include "daemon/registry/memory.hpp"
#include "daemon/registry/subscriptions.hpp"
#include "daemon/spiller/disk_topic.hpp"
#include "ring/recovery.hpp"
#include "ring/view.hpp"
#include "shmbus/types.hpp"

#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace shmbus::registry {

/// What the memory of a topic with these options takes when it is made.
struct MemoryNeed {
    std::uint64_t allocated; // now
    std::uint64_t total;     // with the sparse pool
};

class Topic {
  public:
    /// A new one, without anybody. @pre layout::problem_with(parameters_of(options, first)).empty()
    /// @throws Error(limit), Error(system)
    Topic(const std::string& name, const store::TopicRecord& record, Sequence first);
    /// One that an earlier daemon had. Nobody holds an entry of it before adopt_holders().
    Topic(Books books, TopicMemory memory);
    ~Topic();
    Topic(const Topic&) = delete;
    Topic& operator=(const Topic&) = delete;
    [[nodiscard]] static layout::Uuid new_uuid();

    [[nodiscard]] static layout::RingParameters parameters_of(const TopicOptions& options,
                                                              Sequence first) noexcept;
    /// Of a topic in memory; the inverse.
    [[nodiscard]] static TopicOptions options_of(const layout::RingParameters& parameters) noexcept;
    /// @pre layout::problem_with(parameters).empty()
    [[nodiscard]] static MemoryNeed need_of(const layout::RingParameters& parameters) noexcept;

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] const layout::Uuid& uuid() const noexcept { return uuid_; }
    [[nodiscard]] const TopicOptions& options() const noexcept { return options_; }
    [[nodiscard]] const layout::RingParameters& parameters() const noexcept { return parameters_; }
    [[nodiscard]] uid_t creator() const noexcept { return creator_; }
    [[nodiscard]] const ring::Topic& view() const noexcept { return view_; }

    /// Where its events are carried; none for a topic in memory.
    [[nodiscard]] const std::shared_ptr<spiller::DiskTopic>& disk() const noexcept { return disk_; }
    /// Opens the log's other end. The entry that it reads through is nobody else's.
    void carry(spiller::OpenLog log, std::shared_ptr<spiller::NamedPublishers> named = nullptr);
    /// The durable ones.
    [[nodiscard]] Subscriptions& subscriptions() noexcept { return subscriptions_; }
    [[nodiscard]] MemoryNeed need() const noexcept { return need_of(parameters_); }

    [[nodiscard]] const TopicMemory& shared() const noexcept { return memory_; }
    /// Whether its memory goes with this object, whoever has kept a descriptor: it was removed, or is asleep.
    void free_memory_at_end(bool yes) noexcept { frees_memory_ = yes; }
    [[nodiscard]] const Books& books() const noexcept { return books_; }
    [[nodiscard]] Incidents& incidents() noexcept { return incidents_; }
    [[nodiscard]] const Incidents& incidents() const noexcept { return incidents_; }
    /// Those that nobody tells of: a subscriber that publishers have evicted, trouble with the disk.
    void look_for_incidents() noexcept;

    struct PublisherEntry {
        std::uint32_t entry;
        std::uint32_t id;
        std::uint64_t last_event = 0; // a named one's
    };
    /// Nothing when all entries are taken.
    [[nodiscard]] std::optional<PublisherEntry> lease_publisher(const Holder& holder,
                                                                std::uint64_t lease = 0,
                                                                bool exclusive = false,
                                                                std::uint32_t named_id = 0);
    /// Who has the named publisher of this id.
    [[nodiscard]] std::optional<Holder> holder_of(std::uint32_t named_id) const;
    // In trust.cpp:
    /// Whether nobody here relies on this user's not publishing.
    [[nodiscard]] bool is_writable_by(uid_t user) const noexcept;
    /// This user is about to get the ring for writing. @pre is_writable_by(user)
    void note_writer(uid_t user) noexcept;
    /// For a subscriber that has its entry: whether it may rely on it that nobody but root and this user has, or
    /// gets while it is there, the ring for writing.
    [[nodiscard]] bool lets_rely(uid_t user) noexcept;
    /// Whether its publisher is an exclusive one. Checked before a lease, by Sessions.
    [[nodiscard]] bool is_exclusive() const noexcept;
    /// The holder will not touch the ring through this entry again: it released it, or is dead.
    /// The entry is free after the next reap().
    void abandon_publisher(std::uint32_t entry) noexcept;

    struct SubscriberEntry {
        std::uint32_t entry;
        std::uint64_t token;
    };
    [[nodiscard]] std::optional<SubscriberEntry> lease_subscriber(const Holder& holder,
                                                                  std::uint64_t lease = 0);
    /// An entry goes to another holder of the same process, if it is what it says. @returns whether it is
    bool pass_on(bool publishes, std::uint32_t entry, std::uint64_t mark, const Holder& to,
                 std::uint64_t lease) noexcept;
    /// The publisher of this entry is the only one.
    void make_exclusive(std::uint32_t entry) noexcept;
    /// It is the holder of a durable subscription, too.
    void note_subscription(std::uint32_t entry, const std::string& name,
                           std::uint64_t hold) noexcept;
    void abandon_subscriber(std::uint32_t entry) noexcept;
    /// Cleans up after all who abandoned an entry since the last time, together.
    ring::Reaped reap() noexcept;

    /// These publishers do not go on, and are not known to be dead: what they have claimed is a tombstone.
    /// An exclusive one keeps its claims, as nobody else publishes.
    ring::Quarantined quarantine(const ring::Entries& entries) noexcept;
    /// The same for whoever has not finished what it had claimed by the last call; who sleeps on events is
    /// woken, in case that a publisher was stopped before it did that.
    ring::Quarantined quarantine_stalled() noexcept;
    /// Who has these publisher entries.
    [[nodiscard]] std::vector<Holder> publishers(const ring::Entries& entries) const;

    /// What the books say of who holds what: `whose(booked)` is the holder, if there is still one. All
    /// entries of others are reaped.
    struct Adopted {
        bool publishes;
        std::uint32_t entry;
        Booked booked;
    };
    using Whose = std::function<std::optional<Holder>(const Booked&)>;
    [[nodiscard]] std::vector<Adopted> adopt_holders(const Whose& whose);

    [[nodiscard]] std::vector<Holder> publishers() const;
    [[nodiscard]] std::size_t publisher_count() const noexcept;
    [[nodiscard]] std::size_t subscriber_count() const noexcept;

    /// What shared memory says of a subscriber just now.
    struct SubscriberHint {
        Holder holder;
        Sequence cursor;
        bool gates; // publishers wait for it
        std::uint32_t
            waits_for_pid; // whose event it stands at, begun and not finished; 0: nobody's
    };
    [[nodiscard]] std::vector<SubscriberHint> subscribers() const;
    [[nodiscard]] Sequence head_hint() const noexcept;
    [[nodiscard]] Sequence first_hint() const noexcept;
    /// Whether every subscriber that publishers wait for has acknowledged everything.
    [[nodiscard]] bool is_drained_hint() const noexcept;

    void set_state(layout::RingState state) noexcept;
    [[nodiscard]] layout::RingState state() const noexcept { return state_; }

  private:
    /// Whether publishers wait for this subscriber, as shared memory has it.
    [[nodiscard]] bool gates(std::uint32_t reader) const noexcept;

    /// Whether a subscriber has not acknowledged event `s`, or says so.
    [[nodiscard]] bool somebody_is_behind(Sequence s) const noexcept;

    /// The last entry of a topic on disk is the spiller's.
    [[nodiscard]] std::size_t leasable_readers() const noexcept;
    /// Who has begun event `s` and not finished it; 0: nobody.
    [[nodiscard]] std::uint32_t claimant_of(Sequence s) const noexcept;

    struct Reader {
        std::optional<Holder> holder;
        std::uint64_t last_token = 0;
        std::uint64_t evicted = 0; // the attach token, once that is noted
    };
    std::string name_;
    layout::Uuid uuid_{};
    TopicOptions options_;
    layout::RingParameters parameters_;
    uid_t creator_;
    layout::RingState state_ = layout::RingState::open;
    Books books_;
    Incidents incidents_{books_.incidents(), uuid_};
    bool is_degraded_ = false; // as noted
    TopicMemory memory_;
    bool frees_memory_ = false;
    ring::Topic view_;
    std::vector<std::optional<Holder>> publishers_; // by entry
    std::vector<Reader> readers_;                   // by entry
    ring::Entries abandoned_publishers_;
    ring::Entries abandoned_readers_;
    Sequence tail_seen_;   // by the last look for stalled publishers
    Sequence tail_before_; // by the one before
    Subscriptions subscriptions_{uuid_, view_};
    std::shared_ptr<spiller::DiskTopic> disk_; // goes before the memory
    std::uint32_t last_publisher_id_ = 0;
    std::uint32_t exclusive_id_ = 0; // the last exclusive publisher's
};

} // namespace shmbus::registry
