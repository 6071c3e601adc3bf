// A lease turned into mapped, checked memory; gives the lease back when it goes.
#pragma once

#include "base/mapping.hpp"
#include "control/session.hpp"
#include "group/table.hpp"
#include "layout/cursor.hpp"
#include "ring/view.hpp"

namespace shmbus::client {

enum class Role { publisher, subscriber };

/// Maps what a lease names: a publisher the ring for writing and the readers object read-only, a
/// subscriber the other way round. Nothing is mapped before its seals and size were checked, and
/// nothing in it is followed before its head was.
/// @throws Error(damaged), Error(incompatible), Error(limit), Error(unsupported)
class Attachment {
  public:
    Attachment(std::shared_ptr<control::Session> session, control::Lease lease, Role role);
    ~Attachment();
    Attachment(const Attachment&) = delete;
    Attachment& operator=(const Attachment&) = delete;

    [[nodiscard]] const control::Lease& lease() const noexcept { return lease_; }
    [[nodiscard]] const ring::Topic& topic() const noexcept { return topic_; }
    /// Of a durable subscription that is no group; nullptr for others.
    [[nodiscard]] layout::CursorPage* cursor_page() const noexcept {
        const auto bytes = cursor_page_.bytes();
        return bytes.empty() || group_ ? nullptr
                                       : reinterpret_cast<layout::CursorPage*>(bytes.data());
    }

    /// Of a member of a group: its memory, and what it was made with.
    [[nodiscard]] const std::optional<group::Table>& group() const noexcept { return group_; }
    [[nodiscard]] const GroupOptions& group_options() const noexcept { return group_options_; }

  private:
    void map_cursor_page();
    void map_group();
    std::shared_ptr<control::Session> session_; // for as long as there is a lease to give back
    control::Lease lease_;
    base::Mapping ring_;
    base::Mapping readers_;
    base::Mapping cursor_page_; // or the group's memory
    std::optional<group::Table> group_;
    GroupOptions group_options_;
    ring::Topic topic_;
};

} // namespace shmbus::client
