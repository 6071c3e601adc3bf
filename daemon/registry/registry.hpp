// What exists on this bus: topics by name.
//
// Refusals are thrown as Error, with a message for the person who asked. A topic that was removed
// by force lives on, without its name, until the last holder of one of its entries is gone:
// subscribers drain what they mapped, and the dead among its publishers are still reaped.
//
// A topic on disk that nobody uses is asleep: it has no memory, no open file, and nobody looks at it. Whoever
// opens it wakes it up; some time after the last holder is gone it falls asleep again, at once where there is
// no room for another one.
//
// A topic on disk that cannot be opened costs that topic and nothing else: its name stays taken, and
// whoever asks for it is told why.
#pragma once

#include "daemon/registry/limits.hpp"
#include "daemon/registry/topic.hpp"
#include "daemon/spiller/storage.hpp"
#include "daemon/system/log.hpp"

#include <map>
#include <memory>
#include <set>
#include <string_view>

namespace shmbus::registry {

class Registry {
  public:
    /// `first`: the first event's sequence in new topics. `storage`: for topics on disk. `descriptors`: where
    /// the memory of topics is kept for the next daemon. Both outlive this.
    explicit Registry(Sequence first = 1, spiller::Storage* storage = nullptr,
                      system::DescriptorStore* descriptors = nullptr);

    /// For what is made from now on.
    void set_limits(const Limits& limits);

    /// A topic as an earlier daemon left it, kept under `number`.
    struct Left {
        std::uint64_t number;
        base::Fd books;
        base::Fd ring;
        base::Fd readers;
    };
    struct Adopted {
        std::shared_ptr<Topic> topic;
        std::vector<Topic::Adopted> entries; // those that are still held
    };
    /// @throws Error when it is damaged, or does not fit to what is on disk; then nothing of it is used
    [[nodiscard]] Adopted adopt(const Left& left, const Topic::Whose& whose);
    /// One whose memory clients had. @throws as above
    [[nodiscard]] Adopted adopt(const std::shared_ptr<Topic>& topic, const Topic::Whose& whose);
    /// What a topic was made with whose memory a client has, and its ring's first sequence. For one that is
    /// not on disk what the ring says has to do, and `owner` has it from now on. @throws Error
    struct Origin {
        store::TopicRecord record;
        Sequence first;
    };
    [[nodiscard]] Origin record_for(const std::string& name, const layout::Uuid& uuid,
                                    const base::Fd& ring, uid_t owner);
    /// Nothing when it is asleep, or not there at all.
    [[nodiscard]] std::shared_ptr<Topic> awake(const std::string& name) const;
    /// Awake or asleep; nothing when it is not there.
    [[nodiscard]] std::optional<TopicOptions> options_of(const std::string& name) const;
    /// The one that is awake and has this for its ring or readers object.
    [[nodiscard]] std::shared_ptr<Topic> topic_of(const base::Fd& memory) const noexcept;
    /// Whether clients of an earlier daemon may still have its newest events, or all of it, and are waited for.
    [[nodiscard]] bool is_missed(const std::string& name);
    /// Whether that may be so of any topic.
    [[nodiscard]] bool may_be_handed_back() const { return !missed_until_.passed(); }
    /// One of these clients is back: the others may be slow, and are waited for as long once more.
    void note_return() noexcept;
    /// Whether topics are still to be made that are not there, when nobody has handed them back by the end of
    /// `grace`: until then whoever opens one waits.
    void await_topics(bool more_to_come) noexcept { more_to_come_ = more_to_come; }
    /// Clients of an earlier daemon look for this one all 200 ms.
    static constexpr auto grace = std::chrono::milliseconds(500);
    static constexpr auto longest_grace = std::chrono::seconds(3);
    /// Learns of the topics on disk that were not adopted; they are asleep.
    void bring_back();

    /// @returns whether one was made
    /// @throws Error: bad_argument, topic_exists, different_options, limit
    bool create(const std::string& name, const TopicOptions& options, bool if_missing,
                uid_t creator);
    /// Awake, or woken up. @throws Error: bad_argument, no_such_topic, limit, damaged, system
    [[nodiscard]] std::shared_ptr<Topic> find(const std::string& name);
    /// @throws Error(busy) when it has holders and not `force`
    void remove(const std::shared_ptr<Topic>& topic, bool force);

    /// What there is of a topic that is asleep.
    struct Extent {
        Sequence first = 0;
        Sequence head = 0;
        Sequence written = 0;
        Sequence durable = 0;
    };
    struct Entry {
        std::string name;
        std::shared_ptr<Topic> awake; // or nothing, and then
        store::TopicRecord record = {};
        Extent extent = {};
        std::string directory = {};
    };
    struct Page {
        std::vector<Entry> topics; // in the order of names
        bool more = false;
    };
    [[nodiscard]] Page list(std::string_view after, std::size_t limit);
    /// Without waking it up. @throws as find()
    [[nodiscard]] Entry look(const std::string& name);

    /// For a group's memory, if it has none yet. @throws Error(limit)
    void find_room_for_group(Topic& topic, const std::string& group, uid_t creator) const;

    /// The durable ones of a topic; of one that is asleep without waking it up. @throws as find()
    [[nodiscard]] std::vector<Subscriptions::Info> subscriptions(const std::string& name);

    /// How a durable subscription stands.
    struct Demand {
        bool is_awake =
            false; // its topic; of one that is asleep nothing changes before it wakes up
        bool is_waiting = false; // there are events behind its cursor
        bool is_held = false;    // somebody receives from it
        bool is_paused = false;
        Sequence cursor = 0;
    };
    /// Without waking the topic up; nothing when that is not there. A subscription need not be there yet.
    /// @throws as find()
    [[nodiscard]] std::optional<Demand> demand(const std::string& topic,
                                               const std::string& subscription);

    /// Finds what nobody has used since the last look.
    void look_for_sleepers();
    /// Puts one of these to sleep; whether some are left.
    bool put_to_sleep();

    /// Takes the cursors of all durable subscriptions that are held.
    void take_stock();
    /// Of all groups: what is past its time goes to other members. @returns when to do so again
    std::optional<std::chrono::milliseconds> sweep_groups();
    /// Gives up what publishers had claimed by the last call and have not finished: they are stopped.
    void quarantine_stalled();
    /// Notes what nobody tells of, and brings incidents to their files.
    void look_for_incidents();
    /// At most `limit` behind number `after`; of a topic that is asleep without waking it up. @throws as find()
    [[nodiscard]] std::vector<Incident> incidents(const std::string& name, std::uint64_t after,
                                                  std::size_t limit);
    /// Whether one of these has anything to do, now or soon.
    [[nodiscard]] bool has_chores() const;
    struct Tally {
        std::size_t awake = 0;
        std::size_t asleep = 0;
        std::uint64_t behind =
            0; // events of all topics on disk that are not as safe there as they will be
    };
    [[nodiscard]] Tally tally() const;
    /// The daemon goes away in order: publishers get `closed`, and what is in the rings goes to disk.
    /// @returns the names of those where it did not, by the deadline
    [[nodiscard]] std::vector<std::string> close_all(Deadline deadline);

  private:
    void check_count(uid_t creator) const;
    void check_disk(uid_t creator, const TopicOptions& options) const; // in disk_quota.cpp
    struct Shortage {
        std::string what;
        std::optional<uid_t> of = {}; // who has too much; nothing: all together
    };
    [[nodiscard]] std::optional<Shortage> shortage(uid_t creator, const MemoryNeed& need);
    [[nodiscard]] std::uint64_t memory_used_by(uid_t creator) const;
    void find_room(uid_t creator, const MemoryNeed& need);
    bool put_one_to_sleep(std::optional<uid_t> of);
    void check_available(const std::string& name) const;
    [[noreturn]] static void refuse_missing(const std::string& name);
    struct Asleep {
        store::TopicRecord record;
        std::optional<Extent> extent = {}; // when it was looked for
    };
    [[nodiscard]] std::shared_ptr<Topic> wake(const std::string& name);
    [[nodiscard]] Entry entry_of(const std::string& name, Asleep& asleep);
    [[nodiscard]] bool was_in_use(const std::string& name, Asleep& asleep);
    static bool is_unused(const Topic& topic);
    static std::uint64_t behind_of(const Topic& topic, const spiller::Kept& kept);
    static bool is_idle(const Topic& topic);
    void put_to_sleep(const std::shared_ptr<Topic>& topic);
    [[nodiscard]] std::shared_ptr<Topic> make(const std::string& name, const TopicOptions& options,
                                              uid_t creator);
    void carry_on(const std::shared_ptr<Topic>& topic);
    void carry(const std::shared_ptr<Topic>& topic, spiller::OpenLog log);
    [[nodiscard]] std::shared_ptr<Topic>
    make_on_disk(const std::string& name, const store::TopicRecord& record, spiller::OpenLog log);
    void add(const std::shared_ptr<Topic>& topic);
    void forget(Topic& topic);
    void keep_incidents(Topic& topic) const;
    void save_incidents(Topic& topic);
    void bring_back(const std::string& name);
    Deadline missed_until_;
    const Deadline missed_at_most_;
    bool more_to_come_ = false;
    Sequence first_;
    Limits limits_;
    spiller::Storage* storage_;
    system::DescriptorStore* descriptors_;
    std::uint64_t last_number_ = 0; // under which a topic is kept
    std::map<const Topic*, std::uint64_t> numbers_;
    std::map<std::string, std::shared_ptr<Topic>, std::less<>> topics_; // awake
    std::map<std::string, Asleep, std::less<>> asleep_;
    std::set<const Topic*> idle_;                                 // at the last look
    std::vector<std::weak_ptr<Topic>> sleepers_;                  // idle at the one before, too
    std::map<std::string, std::string, std::less<>> unavailable_; // on disk: name, and why
    std::vector<std::weak_ptr<Topic>> removed_;                   // some of them still held
    system::ThrottledLog stall_log_;
    std::set<std::string> unsaved_; // topics whose newest incidents the disk did not take
};

/// What the names begin with under which a topic's descriptors are kept: of its books, ring, readers, and of
/// each cursor page.
[[nodiscard]] std::string kept_as(std::uint64_t number);

} // namespace shmbus::registry
