// What a client hands back that a daemon before this one had given it.
#include "daemon/control/answering.hpp"
#include "daemon/control/session_server.hpp"

#include <algorithm>
#include <fcntl.h>
#include <kj/debug.h>

namespace shmbus::control {

namespace {

constexpr auto longest_handover = 5 * kj::SECONDS;

/// A descriptor of our own: the capability's is closed with the capability.
kj::Promise<void> receive(protocol::Memory::Client memory, base::Fd& to) {
    auto fd = memory.getFd();
    return fd
        .then([&to](const kj::Maybe<int>& received) {
            KJ_IF_MAYBE (original, received) to = base::Fd(::fcntl(*original, F_DUPFD_CLOEXEC, 3));
        })
        .attach(kj::mv(memory));
}

registry::HandedBack read(protocol::Mapped::Reader from) {
    registry::HandedBack what;
    what.topic = to_string(from.getTopic());
    const auto uuid = from.getUuid();
    if (uuid.size() != what.uuid.size())
        throw Error(Errc::bad_argument, "a topic id of a wrong size");
    std::copy(uuid.begin(), uuid.end(), what.uuid.begin());
    what.publishes = from.getPublishes();
    what.exclusive = from.getExclusive();
    what.entry = from.getEntry();
    what.mark = from.getMark();
    what.name = to_string(from.getName());
    return what;
}

} // namespace

bool SessionServer::may_hand_back(const std::string& topic) const {
    return client_->context.policy.may(Right::publish, client_->subject(), topic);
}

/// Who may not hand it back itself waits for somebody who may.
kj::Promise<void> SessionServer::await_adoption(const std::string& topic) {
    const auto& shared = client_->context;
    if (may_hand_back(topic) || !shared.registry.may_be_handed_back() ||
        shared.registry.awake(topic))
        return kj::READY_NOW;
    constexpr auto pause = 20 * kj::MILLISECONDS;
    return shared.timer.afterDelay(pause).then([this, topic] { return await_adoption(topic); });
}

kj::Promise<void> SessionServer::restore(RestoreContext context) {
    auto what = kj::heap<registry::HandedBack>();
    auto& handed = *what;
    const auto from = context.getParams().getMapped();
    auto received =
        receive(from.getRing(), handed.ring).then([&handed, readers = from.getReaders()]() mutable {
            return receive(kj::mv(readers), handed.readers);
        });
    if (from.hasCursor())
        received = received.then([&handed, cursor = from.getCursor()]() mutable {
            return receive(kj::mv(cursor), handed.cursor);
        });
    // A promise of a descriptor may never be kept.
    auto late = client_->context.timer.afterDelay(longest_handover).then([] {
        kj::throwFatalException(KJ_EXCEPTION(FAILED, "no descriptors came"));
    });
    const auto topic = to_string(from.getTopic());
    return received.exclusiveJoin(kj::mv(late))
        .then([this, topic] { return await_adoption(topic); })
        .then([this, context, &handed]() mutable {
            return answer(context, "restore", [&](auto parameters, auto results) {
                auto read_from = read(parameters.getMapped());
                require(read_from.publishes ? Right::publish : Right::subscribe, read_from.topic);
                read_from.ring = std::move(handed.ring);
                read_from.readers = std::move(handed.readers);
                read_from.cursor = std::move(handed.cursor);
                auto& shared = client_->context;
                // On a bus that others use, nobody gets a topic by the death of a daemon.
                const bool own = shared.policy.has_to_itself(client_->subject());
                results.setLease(shared.hand_back.take(
                    id(), read_from,
                    {own ? client_->peer.uid : 0, own, may_hand_back(read_from.topic)}));
                shared.registry.note_return(); // it may have more
                shared.keep_house();
            });
        })
        .attach(kj::mv(what));
}

} // namespace shmbus::control
