#include "daemon/supervisor/supervisor.hpp"

#include "daemon/system/log.hpp"
#include "daemon/system/messages.hpp"

#include <fmt/format.h>

namespace shmbus::supervisor {

namespace {

struct Watched {
    Watched(kj::UnixEventPort& events, base::Fd fd)
        : pidfd(std::move(fd)),
          observer(events, pidfd.get(), kj::UnixEventPort::FdObserver::OBSERVE_READ) {}
    base::Fd pidfd;
    kj::UnixEventPort::FdObserver observer;
};

} // namespace

void Supervisor::watch(registry::SessionId session, base::Fd pidfd) {
    descriptors_.keep(sessions_.kept_as(session), pidfd);
    watch_on(session, std::move(pidfd));
}

void Supervisor::forget(registry::SessionId session) {
    threads_.forget(session);
    const auto gone = watched_.extract(session);
    if (!gone.empty()) descriptors_.forget(gone.mapped().kept_as);
}

void Supervisor::watch_on(registry::SessionId session, base::Fd pidfd) {
    auto watched = kj::heap<Watched>(events_, std::move(pidfd));
    auto forgotten = kj::newPromiseAndFulfiller<void>();
    watched_.emplace(session, Watch{sessions_.kept_as(session), kj::mv(forgotten.fulfiller)});
    // A fulfiller that is destroyed breaks its promise.
    auto until_forgotten = forgotten.promise.catch_([](kj::Exception&&) {});
    tasks_.add(watched->observer.whenBecomesReadable()
                   .then([this, session] { died(session); })
                   .exclusiveJoin(kj::mv(until_forgotten))
                   .attach(kj::mv(watched)));
}

void Supervisor::thread_ended(registry::SessionId session) noexcept {
    const auto claims = sessions_.thread_ended(session);
    const auto who = sessions_.holder(session);
    if (claims != 0 && who)
        log_.log(
            system::messages::session_ending, {.pid = who->pid, .uid = who->uid},
            fmt::format("session {}: {} (pid {}) is ending; gave up {} events that it had begun",
                        session, who->command, who->pid, claims));
}

void Supervisor::died(registry::SessionId session) noexcept {
    const auto ended = sessions_.process_died(session); // calls forget()
    if (!ended) return;
    auto line = fmt::format("session {}: {} (pid {}) has ended", session, ended->who.command,
                            ended->who.pid);
    if (ended->publishers + ended->subscribers != 0)
        line += fmt::format("; freed {} publishers, {} subscribers, {} chunks; {} events aborted",
                            ended->publishers, ended->subscribers, ended->reaped.chunks,
                            ended->reaped.claims);
    log_.log(system::messages::session_ended, {.pid = ended->who.pid, .uid = ended->who.uid}, line);
}

void Supervisor::taskFailed(kj::Exception&& e) {
    system::log(system::Level::error,
                fmt::format("watching a process: {}", e.getDescription().cStr()));
}

} // namespace shmbus::supervisor
