// Judges a torture by its records: whether what publishers were told and what subscribers saw can all be
// true at once, by what the bus promises.
//
//     every sequence   is an event or a gap with a reason, in order, for each subscriber; the same event for
//                      all, or a tombstone for all. What only one does not get has a reason that its topic has
//     every event      is under its own seal, was sent by the one it says, once, after those that were sent
//                      before it; one that was published is there, one that was refused is not
//     durable ones     a subscription goes on behind what was acknowledged, and leaves nothing out; a named
//                      publisher has each of its ids, once
//
// Records of one process have to come in their order. Of two processes a publisher's `intended` has to come
// before anybody's `delivered` of that event; else any order does. Pure: no clock, no process, no file.
#pragma once

#include "tools/torture/record.hpp"
#include "tools/torture/truth.hpp"

#include <array>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace shmbus::tools::torture {

struct Violation {
    std::string topic;     ///< empty: the bus as a whole
    Sequence sequence = 0; ///< 0: none in particular
    std::string what;
};

/// What a topic promises.
struct TopicRules {
    std::string name;
    TopicOptions options;
    bool is_removed = false; ///< while it is in use
    [[nodiscard]] bool is_on_disk() const noexcept { return options.retention == Retention::disk; }
};

/// Somebody who publishes or subscribes.
using Party = std::uint32_t;

struct Counts {
    std::uint64_t published = 0;
    std::uint64_t refused = 0;
    std::uint64_t durable = 0; // by wait_durable()
    std::uint64_t delivered = 0;
    std::uint64_t repeated = 0;          // to a durable subscription: not acknowledged before
    std::uint64_t discarded = 0;         // reused while they were held
    std::array<std::uint64_t, 7> gaps{}; // sequences, by GapReason
    std::uint64_t operator[](GapReason reason) const { return gaps.at(std::size_t(reason)); }
};

class Checker {
  public:
    std::size_t add_topic(TopicRules rules);
    /// One life of a publisher, or all those of a named one. Its number is what its events' `writer` is.
    Party add_publisher(std::size_t topic, std::string name, bool is_named = false);
    /// All lives of a subscriber; each of them begins with `subscribed`. A durable one goes on in the next.
    Party add_subscriber(std::size_t topic, std::string name, bool is_durable = false,
                         bool is_lossy = false);

    void take(Party party, const Record& record);
    /// Anything else that must not be, of a topic or of the bus.
    void object(std::size_t topic, const std::string& what) { object(topic, 0, what); }
    void object(const std::string& what) { violations_.push_back({{}, 0, what}); }
    /// Between these times of records whoever waits in vain has a reason that is not the bus.
    void excuse(std::uint64_t from_ns, std::uint64_t until_ns) {
        excuses_.emplace_back(from_ns, until_ns);
    }
    [[nodiscard]] bool is_excused(std::uint64_t time_ns) const noexcept;

    /// Nobody publishes any more, and all subscribers have read on to the end of the topic, `head`.
    void at_end(std::size_t topic, Sequence head);
    /// Everybody has left, all up to `head` was on disk, and then the memory of the topic was lost.
    void begin_anew(std::size_t topic, Sequence head);
    /// As at_end(), of a topic that was removed, for subscribers that saw its end.
    void at_removal(std::size_t topic);

    [[nodiscard]] const std::vector<Violation>& violations() const noexcept { return violations_; }
    [[nodiscard]] const Counts& counts() const noexcept { return counts_; }

  private:
    /// An event whose publisher has not said yet what became of it.
    struct Intent {
        std::uint64_t id;
        std::uint64_t digest;
        bool promised = false; // it is in the topic
        Sequence at = 0;       // somebody has seen it there
    };
    struct LastSeen {
        std::uint64_t id = 0;
        std::uint64_t holes = 0; // there were so many then
    };
    struct Member {
        std::string name;
        std::size_t topic = 0;
        bool publishes = false;
        // Publishers.
        bool is_named = false;
        bool has_skipped = false; // an id, as it had waited in vain
        std::uint32_t bus_id = 0;
        std::deque<Intent> intents{};
        std::uint64_t last_intended = 0;
        std::uint64_t last_published = 0;
        // Subscribers.
        bool is_durable = false;
        bool is_lossy = false;
        Sequence unprotected = 0; // publishers may not have waited for it up to here
        bool has_ended = false;
        Sequence next = 0; // 0: it has not begun
        std::uint64_t holes = 0;
        std::unordered_map<Party, LastSeen> seen{};
        Sequence acknowledging = 0;
        Sequence acknowledged = 0;
    };
    struct Topic {
        TopicRules rules;
        Truth truth{};
        std::unordered_map<std::uint32_t, Party> bus_ids{};
        Sequence last_published = 0;
        Sequence kept = ~Sequence{0}; // what is beyond may be lost
    };

    void object(std::size_t topic, Sequence sequence, const std::string& what);
    void publisher_said(Party party, const Record& record);
    void opened(Party party, const Record& record);
    void published(Party party, const Record& record);
    void refused(Member& publisher, const Record& record);
    void durable(const Member& publisher, const Record& record);
    void subscriber_said(Party party, const Record& record);
    void subscribed(Member& subscriber, const Record& record);
    void delivered(Party party, const Record& record);
    void gap(Party party, const Record& record);
    void tombstones(Party party, const Record& record);
    void ended(Member& subscriber, const Record& record);
    bool advance(Member& subscriber, Sequence first, Sequence last);
    void follow(Member& subscriber, const Record& record);
    void agree(Party party, const Record& record, Verdict& verdict);
    [[nodiscard]] bool may_miss(const Member& subscriber, const Record& gap) const;
    [[nodiscard]] std::string shown(const Verdict& verdict) const;
    [[nodiscard]] std::string event_shown(Party writer, std::uint64_t id) const;
    static Intent* find(Member& publisher, std::uint64_t id);
    static void settle(Member& publisher, std::uint64_t id);

    std::vector<Topic> topics_;
    std::vector<Member> members_{1}; // 0 is nobody
    std::vector<Violation> violations_;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> excuses_;
    Counts counts_;
};

} // namespace shmbus::tools::torture
