// What the daemon before this one left, as whoever starts daemons kept it: sessions and topics.
//
//     s<id>.<uid>.<ticket>   the pidfd of a session's process
//     t<n>.books             what a topic was made with, and who holds what of it (books.hpp)
//     t<n>.ring, t<n>.readers    its memory
//     t<n>.cursor<hold>.<name>   the page of whoever holds a durable subscription, or did so last
//
// Nothing of this is trusted to be whole: of what is damaged the topic's memory is not taken. Clients that
// have it in use hand it back (hand_back.hpp); if there is none, a topic on disk is made anew from there.
#pragma once

#include "daemon/registry/registry.hpp"
#include "daemon/registry/sessions.hpp"

#include <functional>
#include <map>
#include <string>

namespace shmbus::registry {

struct Inheritance {
    std::map<std::string, base::Fd> descriptors;
    Registry& topics;
    Sessions& sessions;
    system::DescriptorStore& store;
    /// Takes the pidfd of an adopted session.
    std::function<void(SessionId, base::Fd)> watch;

    /// Adopts what can be, and no longer keeps the rest.
    void enter_upon();

  private:
    void adopt_session(const std::string& name, base::Fd pidfd);
    void adopt_topic(const std::string& prefix);
    void adopt_holders(const Registry::Adopted& adopted, const std::string& prefix);
    void adopt_pages(Topic& topic, const std::string& prefix);
    [[nodiscard]] base::Fd take(const std::string& name);
};

} // namespace shmbus::registry
