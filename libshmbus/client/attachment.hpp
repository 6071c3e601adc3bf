// A lease turned into mapped, checked memory; gives the lease back when it goes.
#pragma once

#include "base/mapping.hpp"
#include "control/session.hpp"
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
    /// Of a durable subscription; nullptr for others.
    [[nodiscard]] layout::CursorPage* cursor_page() const noexcept {
        const auto bytes = cursor_page_.bytes();
        return bytes.empty() ? nullptr : reinterpret_cast<layout::CursorPage*>(bytes.data());
    }

  private:
    void map_cursor_page();
    std::shared_ptr<control::Session> session_; // for as long as there is a lease to give back
    control::Lease lease_;
    base::Mapping ring_;
    base::Mapping readers_;
    base::Mapping cursor_page_;
    ring::Topic topic_;
};

} // namespace shmbus::client
