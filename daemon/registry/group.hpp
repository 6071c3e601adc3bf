// A group while it has members, or had some and its memory is not given up yet.
#pragma once

#include "base/fd.hpp"
#include "base/mapping.hpp"
#include "base/memfd.hpp"
#include "daemon/registry/holder.hpp"
#include "daemon/store/subscription_files.hpp"
#include "group/keeper.hpp"
#include "layout/cursor.hpp"
#include "ring/view.hpp"

#include <map>
#include <optional>

namespace shmbus::registry {

class Group {
  public:
    /// New memory, as far as `record` says. `view` outlives it. @throws Error(limit), Error(system)
    Group(const std::string& name, const layout::Uuid& topic, const ring::Topic& view,
          const store::SubscriptionRecord& record);
    /// That of an earlier daemon, whose members may still be there: adopt() tells who. Slots of others are taken
    /// after `grace`. @throws Error(damaged), Error(incompatible)
    Group(const base::Fd& memory, const layout::Uuid& topic, const ring::Topic& view);
    static constexpr auto grace = std::chrono::seconds(3);

    /// Tells the member with this reader entry that it is none, in memory that may be another group's.
    static void disown(const base::Fd& memory, std::uint32_t entry);
    [[nodiscard]] bool is_memory(const base::Fd& memory) const noexcept {
        return base::is_same_memory(fd_, memory);
    }
    [[nodiscard]] base::Fd memory() const; // another descriptor. @throws Error
    [[nodiscard]] const GroupOptions& options() const noexcept { return options_; }

    struct Member {
        std::uint64_t hold;
        std::uint32_t entry; // its reader entry
        Holder who;
    };
    /// Gives it no slots before the group has begun.
    void attach(const Member& member, const store::SubscriptionRecord& record);
    /// One that had been attached by the daemon before.
    void adopt(const Member& member);
    /// Everybody who is still there was adopted.
    void reclaim();
    /// The member has let go, or is dead. @returns whether it was one
    bool detach(std::uint64_t hold);
    [[nodiscard]] bool has(std::uint64_t hold) const noexcept { return members_.contains(hold); }
    [[nodiscard]] bool is_empty() const noexcept { return members_.empty(); }
    [[nodiscard]] std::vector<Holder> holders() const;
    [[nodiscard]] std::vector<std::uint64_t> holds() const;

    /// The group begins with event `at`: members get slots.
    void begin(const store::SubscriptionRecord& record);
    void set_state(layout::HoldState state) noexcept;

    /// What is past its time goes to others, and slots to whom they are to go.
    void sweep();
    /// When to sweep again.
    [[nodiscard]] std::chrono::milliseconds pause() const noexcept;

    /// How far it is; whether that differs from the record. What members wrote is believed as far as it can be true.
    bool take(store::SubscriptionRecord& record) const;
    [[nodiscard]] GroupInfo info() const;

  private:
    [[nodiscard]] Sequence head() const noexcept {
        return view_.ring.header().tail.load_acquire() - 1;
    }
    void tell(bool changed) const noexcept;

    base::Fd fd_;
    base::Mapping mapping_;
    group::Table table_;
    GroupOptions options_;
    const ring::Topic& view_;
    group::Keeper keeper_;
    std::map<std::uint64_t, Member> members_; // by hold
    bool begun_;
    std::optional<Deadline> reclaim_at_; // some may still come back
};

} // namespace shmbus::registry
