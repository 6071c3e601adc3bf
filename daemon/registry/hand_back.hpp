// A daemon was killed, nobody kept what it had, and clients that go on hand back what they have mapped.
//
// The first of them brings its topic's memory with it. Who else holds entries is read from the ring and the
// readers object; that is as good as their publishers and subscribers are honest, and gets each of them
// what it had: an entry belongs to the process whose number stands there. Until that process hands it
// back, or is dead, a session without a connection holds it.
//
// What cannot be taken back (it is damaged; the topic has begun anew meanwhile, or is another one) ends for
// all who map it.
#pragma once

#include "daemon/registry/registry.hpp"
#include "daemon/registry/sessions.hpp"

#include <functional>

namespace shmbus::registry {

/// What a client says that it had, and has in its hands.
struct HandedBack {
    std::string topic;
    layout::Uuid uuid{};
    bool publishes = false;
    bool exclusive = false;
    std::uint32_t entry = 0;
    std::uint64_t mark = 0;
    std::string name; // of the publisher, or the durable subscription
    base::Fd ring;
    base::Fd readers;
    base::Fd cursor; // of a durable subscription
};

class HandBack {
  public:
    /// `watch` takes the process of a session made here.
    HandBack(Registry& topics, Sessions& sessions,
             std::function<void(SessionId, base::Fd pidfd)> watch)
        : topics_(topics), sessions_(sessions), watch_(std::move(watch)) {}

    /// Whose the memory of a topic is that nobody knows any more. It becomes the topic's as it is, so it is taken
    /// from who could write to it anyway, and on a bus that others use only as long as clients are waited for:
    /// later, it is as likely something that somebody made up.
    struct Owner {
        uid_t uid;
        bool is_alone = false; // nobody else but root is on this bus
        bool may_publish = true;
    };
    /// @returns the lease that goes on, in `session` @throws Error
    Sessions::LeaseId take(SessionId session, const HandedBack& what, Owner owner);

  private:
    [[nodiscard]] std::shared_ptr<Topic> topic_of(const HandedBack& what, Owner owner);
    [[nodiscard]] std::shared_ptr<Topic> adopt(const HandedBack& what, Owner owner);
    void refuse(const HandedBack& what) const noexcept;
    void book_all(Books& books, const TopicMemory& memory);
    void book(Books& books, Books::Role role, std::uint32_t entry, std::uint32_t pid,
              std::uint64_t mark);
    Registry& topics_;
    Sessions& sessions_;
    std::function<void(SessionId, base::Fd)> watch_;
};

} // namespace shmbus::registry
