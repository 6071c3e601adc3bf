// The durable subscriptions of one topic: a name, a cursor, and at most one live holder.
//
// A holder notes how far it has come in a page that it was given for this one time (layout/cursor.hpp).
// A cursor is taken from there only if it moved forward and is not beyond the head. When a subscription
// goes to another holder, what is in the old page counts no more: so nobody has to be fenced off.
//
// A group has many holders, its members, who share one piece of memory (group.hpp).
#pragma once

#include "base/mapping.hpp"
#include "daemon/registry/group.hpp"
#include "daemon/registry/holder.hpp"
#include "daemon/registry/limits.hpp"
#include "daemon/store/cursor_keeper.hpp"
#include "daemon/system/descriptor_store.hpp"
#include "layout/cursor.hpp"
#include "ring/view.hpp"

namespace shmbus::registry {

class Subscriptions {
  public:
    /// `view` outlives it. Without a keeper (a topic in memory) they live as long as the daemon, and with the
    /// next one as far as there are pages.
    Subscriptions(const layout::Uuid& topic, const ring::Topic& view)
        : topic_(topic), view_(view) {}
    /// Loads what there is, and keeps it there from now on. @throws store::FileError
    void keep_in(std::shared_ptr<store::SubscriptionFiles> files, store::CursorKeeper& keeper,
                 const std::string& topic_name);
    void set_limits(const Limits& limits) noexcept { limits_ = limits; }
    /// Pages go where the next daemon finds them: under this prefix, the number of the hold and the name.
    void keep_pages(system::DescriptorStore& pages, const std::string& prefix);
    /// One that somebody held when an earlier daemon ended, with reader entry `entry`. @throws Error(damaged)
    void adopt(const std::string& name, const Holder& who, std::uint64_t hold, const base::Fd& page,
               std::uint32_t entry);
    /// All that the last daemon had were adopted.
    void end_of_adoption();
    /// The page of one that somebody had held. @throws Error(damaged), Error(bad_argument)
    void inherit(const std::string& name, std::uint32_t creator, std::uint64_t hold,
                 const base::Fd& page);
    /// As adopt(), for one whose holder came back with the page. @returns which hold
    /// @throws Error(busy), Error(permission) when it is another user's
    std::uint64_t restore(const std::string& name, const Holder& who, const base::Fd& page,
                          std::uint32_t entry);
    /// The same in vain: the holder learns that it is none any more, if it looks.
    static void disown(const base::Fd& page, std::uint32_t entry) noexcept;
    /// The topic is removed: their files are on their way out, and nobody needs their pages any more.
    void keep_nowhere();

    struct Grant {
        std::uint64_t hold; // which of all times that somebody held one of them
        base::Fd page;
        std::optional<Sequence> cursor; // none: it has not begun
        bool is_stolen = false;         // from who held it
    };
    /// Makes it if there is none of that name. @throws Error: busy when somebody holds it and not `steal`,
    /// limit, bad_argument
    [[nodiscard]] Grant open(const std::string& name, const Holder& who, bool steal);
    /// Makes `who` a member, with reader entry `entry`, of the group of that name, which is made with these options
    /// if there is none. @throws Error: different_options when it is no group, limit, bad_argument
    [[nodiscard]] Grant join(const std::string& name, const Holder& who, std::uint32_t entry,
                             const GroupOptions& options);
    /// By a member: a group that has not begun begins with event `at`. @returns up to where it has come
    /// @throws Error(busy) when it is none any more
    Sequence begin(const std::string& name, std::uint64_t hold, Sequence at);
    /// The holder has let go, or is dead. Ignored when it is somebody else's by now.
    void release(const std::string& name, std::uint64_t hold) noexcept;
    /// It is about to be dead. A group goes on without it.
    void suspect(const std::string& name, std::uint64_t hold) noexcept;

    // These call `done` when it is on disk, at once for a topic in memory; not when they throw.
    using Done = store::CursorKeeper::Done;
    /// @throws Error: subscription_exists, limit, bad_argument
    void create(const std::string& name, std::uint32_t creator,
                const std::optional<GroupOptions>& group, Done done);
    /// Goes on behind `cursor`. @throws Error: no_such_subscription, busy
    void seek(const std::string& name, Sequence cursor, Done done);
    void pause(const std::string& name, bool paused, Done done);
    void remove(const std::string& name, bool force, Done done);
    /// uid @throws Error(no_such_subscription)
    [[nodiscard]] std::uint32_t creator_of(const std::string& name);
    /// Who alone may hold it, beside those who administer the topic: its creator, or whoever held it first. Nothing:
    /// there is none, or nobody has received from it yet, or that is not known any more (of a topic in memory,
    /// when nobody held it while its daemon died).
    [[nodiscard]] std::optional<std::uint32_t> owner_of(const std::string& name) const;

    struct Info {
        std::string name;
        store::SubscriptionRecord record;
        std::optional<Holder> holder;
        std::optional<GroupInfo> group = {};
    };
    [[nodiscard]] std::vector<Info> list();
    /// Of a group that nobody is a member of just now; nothing if it is none.
    [[nodiscard]] static std::optional<GroupInfo> group_of(const store::SubscriptionRecord& record);
    /// What the memory of groups takes that this user made; and whether this one has some.
    [[nodiscard]] std::uint64_t memory_of(uid_t creator) const noexcept;
    [[nodiscard]] bool has_memory(const std::string& group) const noexcept;
    /// One of them, if it is there.
    [[nodiscard]] std::optional<Info> find(const std::string& name);
    /// Who receives from this one just now.
    [[nodiscard]] bool is_held(const std::string& name) const;

    /// Of all groups: what is past its time goes to other members. @returns when to do so again; none has members
    /// otherwise
    std::optional<std::chrono::milliseconds> sweep();

    /// Whether take_stock() has something to do, now or later.
    [[nodiscard]] bool has_stock() const noexcept;
    /// Up to where all have acknowledged, whenever that may have changed; the largest sequence there is when
    /// there are none.
    using Acknowledged = std::function<void(Sequence by_all)>;
    void tell(Acknowledged whom);
    /// Takes the cursors of all that are held; those that moved go to disk. The pages of those that nobody
    /// holds are kept no longer than until they are there.
    void take_stock();
    /// No page of one that nobody holds is kept any more.
    void forget_left();
    /// The same for one, if it is still in the same hand. @throws Error: busy, system (a topic in memory)
    void persist(const std::string& name, std::uint64_t hold, Done done);

  private:
    struct Held {
        std::uint64_t hold;
        Holder who;
        base::Mapping page;
    };
    struct Subscription {
        store::SubscriptionRecord record;
        bool is_owner_known = true;
        std::optional<Held> held;
        /// By whom it was held last: its page is kept until somebody holds the subscription again, or the
        /// cursor is on disk, as the daemon may die before.
        std::optional<Held> left = {};
        std::unique_ptr<Group> group = {}; // while it has members
    };
    void adopt_member(const std::string& name, const Holder& who, std::uint64_t hold,
                      const base::Fd& memory, std::uint32_t entry);
    void inherit_group(const std::string& name, std::uint32_t creator, std::uint64_t hold,
                       const base::Fd& memory);
    void leave(const std::string& name, Subscription& subscription, std::uint64_t hold);
    [[nodiscard]] static bool is_group(const base::Fd& page);
    static void require_kind(const std::string& name, const Subscription& subscription, bool group);
    void end_group(const std::string& name, Subscription& subscription);
    [[nodiscard]] std::vector<Holder> holders_of(const Subscription& subscription) const;
    [[nodiscard]] Subscription& get(const std::string& name);
    void take_possession(const std::string& name, Subscription& subscription,
                         const Holder& who) const;
    void check_room(std::uint32_t creator) const;
    Subscription& make(const std::string& name, std::uint32_t creator,
                       const std::optional<GroupOptions>& group = {}, Done done = {});
    static layout::CursorPage& page_of(const Held& held) noexcept;
    [[nodiscard]] std::string kept_as(const std::string& name, std::uint64_t hold) const;
    void forget_page(const std::string& name, const Held& held) const;
    void forget_left(const std::string& name);
    bool take(store::SubscriptionRecord& record, const Held& held) const noexcept;
    bool take(Subscription& subscription) const;
    void end_hold(Subscription& subscription, const std::string& name, layout::HoldState state);
    void set_state(const Held& held, layout::HoldState state) const noexcept;
    void refuse_while_held(const Subscription& subscription, const std::string& name) const;
    void tell() const;
    void store(const std::string& name, const Subscription& subscription, Done done = {});

    layout::Uuid topic_;
    const ring::Topic& view_;
    Limits limits_;
    std::map<std::string, Subscription> all_;
    std::uint64_t last_hold_ = 0;
    Acknowledged acknowledged_;
    std::shared_ptr<store::SubscriptionFiles> files_;
    store::CursorKeeper* keeper_ = nullptr;
    system::DescriptorStore* pages_ = nullptr;
    std::string prefix_;
};

} // namespace shmbus::registry
