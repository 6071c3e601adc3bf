#include "daemon/registry/inheritance.hpp"

#include "base/peer.hpp"
#include "base/pidfd.hpp"
#include "daemon/system/log.hpp"
#include "daemon/system/messages.hpp"
#include "daemon/system/unit.hpp"
#include "shmbus/error.hpp"

#include <cinttypes>
#include <cstdio>
#include <fmt/format.h>
#include <set>

namespace shmbus::registry {

void Inheritance::enter_upon() {
    std::vector<std::string> sessions_left;
    std::set<std::string> topics_left; // their prefixes
    for (const auto& [name, fd] : descriptors) {
        if (name.starts_with('s')) sessions_left.push_back(name);
        if (name.starts_with('t')) topics_left.insert(name.substr(0, name.find('.') + 1));
    }
    for (const auto& name : sessions_left) adopt_session(name, take(name));
    for (const auto& prefix : topics_left) adopt_topic(prefix);
    sessions.end_adopted_without_leases();
    // What is left now belongs to nothing.
    for (const auto& [name, fd] : descriptors) store.forget(name);
    descriptors.clear();
}

base::Fd Inheritance::take(const std::string& name) {
    auto found = descriptors.extract(name);
    return found.empty() ? base::Fd() : std::move(found.mapped());
}

void Inheritance::adopt_session(const std::string& name, base::Fd pidfd) {
    Holder who;
    Ticket ticket = 0;
    int end = 0;
    if (std::sscanf(name.c_str(), "s%" SCNu64 ".%" SCNu32 ".%" SCNu64 "%n", &who.session, &who.uid,
                    &ticket, &end) != 3 ||
        static_cast<std::size_t>(end) != name.size() || who.session == 0 || ticket == 0 ||
        sessions.holder(who.session)) {
        system::log(system::Level::warning, "no session that was left: " + name);
        store.forget(name);
        return;
    }
    const pid_t pid = base::pid_of(pidfd); // 0 when it has died; then the pidfd says so at once
    who.pid = static_cast<std::uint32_t>(pid);
    who.command = pid == 0 ? "?" : base::command_of(pid);
    if (pid != 0) who.unit = system::unit_of(pid);
    sessions.adopt(who, ticket);
    watch(who.session, std::move(pidfd));
}

void Inheritance::adopt_topic(const std::string& prefix) {
    Registry::Left left{0, take(prefix + "books"), take(prefix + "ring"), take(prefix + "readers")};
    try {
        if (std::sscanf(prefix.c_str(), "t%" SCNu64 ".", &left.number) != 1 || !left.books ||
            !left.ring || !left.readers)
            throw Error(Errc::damaged, "its descriptors are not all there");
        adopt_holders(
            topics.adopt(left,
                         [this](const Booked& booked) { return sessions.holder(booked.session); }),
            prefix);
    } catch (const std::exception& e) {
        system::log(system::messages::topic_not_adopted, {},
                    fmt::format("what the last daemon left of a topic is of no use, unless a "
                                "client hands it back: {}",
                                e.what()));
        for (const char* part : {"books", "ring", "readers"}) store.forget(prefix + part);
    }
}

void Inheritance::adopt_holders(const Registry::Adopted& adopted, const std::string& prefix) {
    auto& subscriptions = adopted.topic->subscriptions();
    subscriptions.keep_pages(store, prefix);
    for (auto entry : adopted.entries) {
        if (entry.booked.hold != 0) {
            const auto page = take(
                fmt::format("{}cursor{}.{}", prefix, entry.booked.hold, entry.booked.subscription));
            try {
                subscriptions.adopt(entry.booked.subscription,
                                    *sessions.holder(entry.booked.session), entry.booked.hold, page,
                                    entry.entry);
            } catch (const Error& e) {
                system::log(
                    system::messages::subscription_damaged,
                    {.topic = adopted.topic->name(), .subscription = entry.booked.subscription},
                    fmt::format("topic {}: how far the holder of subscription {} has come "
                                "is not known: {}",
                                adopted.topic->name(), entry.booked.subscription, e.what()));
                entry.booked.hold = 0;
            }
        }
        sessions.adopt(adopted.topic, entry);
    }
    adopt_pages(*adopted.topic, prefix);
    subscriptions.end_of_adoption();
}

/// Of those that nobody holds.
void Inheritance::adopt_pages(Topic& topic, const std::string& prefix) {
    const auto begin = prefix + "cursor";
    for (auto next = descriptors.lower_bound(begin);
         next != descriptors.end() && next->first.starts_with(begin);) {
        const auto page = descriptors.extract(next++);
        std::uint64_t hold = 0;
        int end = 0;
        const char* const rest = page.key().c_str() + begin.size();
        const bool has_name = std::sscanf(rest, "%" SCNu64 ".%n", &hold, &end) == 1 && end != 0;
        try {
            if (!has_name) throw Error(Errc::damaged, "no page of a subscription: " + page.key());
            topic.subscriptions().inherit(rest + end, topic.creator(), hold, page.mapped());
        } catch (const Error& e) {
            system::log(system::Level::warning,
                        fmt::format("topic {}: how far a subscription has come is not known: {}",
                                    topic.name(), e.what()));
            store.forget(page.key());
        }
    }
}

} // namespace shmbus::registry
