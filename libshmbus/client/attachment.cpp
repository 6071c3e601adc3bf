#include "client/attachment.hpp"

#include "base/futex.hpp"
#include "base/memfd.hpp"
#include "shmbus/error.hpp"

namespace shmbus::client {

namespace {

base::Mapping map_checked(const base::Fd& fd, const std::string& what, std::uint64_t size,
                          base::Access access, std::uint64_t populate) {
    if (base::sealed_size(fd, what) != size)
        throw Error(Errc::damaged, what + ": size does not follow from its parameters");
    return {fd, access, size, populate};
}

} // namespace

Attachment::Attachment(std::shared_ptr<control::Session> session, control::Lease lease, Role role)
    : session_(std::move(session)), lease_(std::move(lease)) {
    // Until the constructor is through, nobody else gives the lease back.
    struct Giveback {
        std::function<void()>& release;
        bool armed = true;
        ~Giveback() {
            if (armed) release();
        }
    } giveback{lease_.release};
    base::require_futex_waitv();
    const auto& parameters = lease_.parameters;
    if (const auto problem = layout::problem_with(parameters); !problem.empty())
        throw Error(Errc::damaged, "topic " + lease_.topic + ": " + problem);
    const auto geometry = layout::geometry_of(parameters);
    const auto readers_bytes = layout::readers_geometry_of(parameters).total_bytes;
    const bool publishes = role == Role::publisher;
    const auto writable = base::Access::read_write;
    const auto readable = base::Access::read_only;
    ring_ = map_checked(lease_.ring, "ring of topic " + lease_.topic, geometry.total_bytes,
                        publishes ? writable : readable, geometry.slots_end);
    readers_ = map_checked(lease_.readers, "readers object of topic " + lease_.topic, readers_bytes,
                           publishes ? readable : writable, 0);
    ring::check_ring(ring_.bytes(), parameters, lease_.uuid);
    ring::check_readers(readers_.bytes(), parameters, lease_.uuid);
    if (lease_.is_member)
        map_group();
    else if (lease_.cursor_page)
        map_cursor_page();
    lease_.ring = {};
    lease_.readers = {};
    lease_.cursor_page = {};
    topic_ = {ring::RingView(ring_.bytes(), parameters),
              ring::ReadersView(readers_.bytes(), parameters)};
    if (lease_.entry >= (publishes ? parameters.max_publishers : parameters.max_readers))
        throw Error(Errc::damaged, "topic " + lease_.topic + ": no such entry");
    giveback.armed = false;
}

void Attachment::map_cursor_page() {
    const std::string what = "cursor page of topic " + lease_.topic;
    cursor_page_ = map_checked(lease_.cursor_page, what, layout::cursor_page_bytes,
                               base::Access::read_write, layout::cursor_page_bytes);
    const auto& page = *cursor_page();
    if (page.magic != layout::cursor_magic || page.major != layout::layout_major ||
        page.total_bytes != layout::cursor_page_bytes || page.topic != lease_.uuid)
        throw Error(Errc::damaged, what + ": is something else");
}

void Attachment::map_group() {
    cursor_page_ = map_checked(lease_.cursor_page, "memory of a group of topic " + lease_.topic,
                               layout::group_bytes, base::Access::read_write, layout::group_bytes);
    group_options_ = group::check(cursor_page_.bytes(), lease_.uuid);
    group_.emplace(cursor_page_.bytes());
}

Attachment::~Attachment() {
    // Unmap first: the daemon may give the entry to somebody else as soon as it hears of this.
    topic_ = {};
    ring_ = {};
    readers_ = {};
    group_.reset();
    cursor_page_ = {};
    lease_.release();
}

} // namespace shmbus::client
