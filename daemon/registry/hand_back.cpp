#include "daemon/registry/hand_back.hpp"

#include "base/memfd.hpp"
#include "base/pidfd.hpp"
#include "daemon/system/messages.hpp"
#include "shmbus/error.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace shmbus::registry {

namespace {

/// Only what a daemon of this user made: nobody else could have made it this user's.
void require_own(const base::Fd& fd) {
    struct stat status {};
    if (!fd || ::fstat(fd.get(), &status) != 0 || status.st_uid != ::geteuid())
        throw Error(Errc::damaged, "this is no memory of this bus");
}

} // namespace

Sessions::LeaseId HandBack::take(SessionId session, const HandedBack& what, Owner owner) {
    require_own(what.ring);
    require_own(what.readers);
    if (what.cursor) require_own(what.cursor);
    try {
        const auto topic = topic_of(what, owner);
        const auto lease =
            sessions_.take_over(session, topic, what.publishes, what.entry, what.mark);
        if (what.publishes && what.exclusive) topic->make_exclusive(what.entry);
        if (what.cursor) sessions_.restore_hold(session, lease, what.name, what.cursor);
        return lease;
    } catch (const Error&) {
        refuse(what);
        throw;
    }
}

/// What cannot go on ends for whoever maps it; but a ring that is in use, by whatever topic, goes on.
void HandBack::refuse(const HandedBack& what) const noexcept {
    if (what.cursor) Subscriptions::disown(what.cursor, what.entry);
    if (const auto topic = topics_.topic_of(what.ring))
        ring::ring_bells(topic->view()); // for the holder of the cursor
    else
        disown(what.ring);
}

std::shared_ptr<Topic> HandBack::topic_of(const HandedBack& what, Owner owner) {
    if (auto topic = topics_.awake(what.topic)) {
        if (base::is_same_memory(topic->shared().ring().writable, what.ring)) return topic;
        throw Error(Errc::no_such_topic,
                    "topic " + what.topic + " has begun anew since its daemon was killed");
    }
    return adopt(what, owner);
}

std::shared_ptr<Topic> HandBack::adopt(const HandedBack& what, Owner owner) {
    if (topics_.topic_of(what.ring) || topics_.topic_of(what.readers))
        throw Error(Errc::damaged, "topic " + what.topic + ": this is another topic's memory");
    if (!owner.may_publish)
        throw Error(Errc::permission, "topic " + what.topic +
                                          ": its memory is taken back from who may publish to it, "
                                          "and none did in time");
    if (!owner.is_alone && !topics_.may_be_handed_back())
        throw Error(Errc::no_such_topic,
                    "topic " + what.topic + ": its memory comes too long after its daemon's death");
    const auto [record, first] = topics_.record_for(what.topic, what.uuid, what.ring, owner.uid);
    auto memory = TopicMemory::adopt(what.uuid, Topic::parameters_of(record.options, first),
                                     what.ring, what.readers);
    if (memory.view().ring.header().state.load_acquire() ==
        static_cast<std::uint32_t>(layout::RingState::removed))
        throw Error(Errc::no_such_topic, "topic " + what.topic + " was removed");
    Books books(what.topic, record, first);
    book_all(books, memory);
    books.set_writer(owner.is_alone ? owner.uid : Books::several_users); // there may have been any
    const auto adopted =
        topics_.adopt(std::make_shared<Topic>(std::move(books), std::move(memory)),
                      [this](const Booked& booked) { return sessions_.holder(booked.session); });
    for (const auto& entry : adopted.entries) sessions_.adopt(adopted.topic, entry);
    adopted.topic->incidents().note({.kind = IncidentKind::handed_back});
    system::log(system::messages::topic_handed_back, {.topic = what.topic},
                fmt::format("topic {}: its memory was handed back by a client", what.topic));
    return adopted.topic;
}

/// The processes that seem to hold an entry.
void HandBack::book_all(Books& books, const TopicMemory& memory) {
    const auto view = memory.view();
    std::uint32_t last = 0;
    for (std::uint32_t e = 0; e < memory.parameters().max_publishers; ++e) {
        const auto& entry = view.ring.publisher(e);
        const std::uint32_t id = entry.id.load_acquire();
        if (id < spiller::first_named_id) last = std::max(last, id);
        if (id != 0) book(books, Books::Role::publisher, e, entry.pid.load_relaxed(), id);
    }
    constexpr std::uint32_t many = 1U << 16U; // may have come and gone
    books.raise_last_publisher(last + many);
    for (std::uint32_t e = 0; e < memory.parameters().max_readers; ++e) {
        const auto& entry = view.readers.entry(e);
        const std::uint32_t pid = entry.pid.load_relaxed();
        if (pid != 0)
            book(books, Books::Role::subscriber, e, pid,
                 layout::lease_of(entry.attach.load_acquire()));
    }
}

void HandBack::book(Books& books, Books::Role role, std::uint32_t entry, std::uint32_t pid,
                    std::uint64_t mark) {
    SessionId session = sessions_.waiting_for(pid);
    if (session == 0) {
        auto pidfd = base::open_pidfd(static_cast<pid_t>(pid));
        if (!pidfd) return; // it is dead
        session = sessions_.wait_for(pid);
        watch_(session, std::move(pidfd));
    }
    books.book(role, entry, {.session = session, .lease = sessions_.new_lease(), .mark = mark});
}

} // namespace shmbus::registry
