#include "daemon/supervisor/thread_watch.hpp"

#include "base/memfd.hpp"
#include "base/system_error.hpp"
#include "base/thread.hpp"

#include <algorithm>
#include <sys/eventfd.h>
#include <unistd.h>

namespace shmbus::supervisor {

using registry::SessionId;

namespace {

base::Fd make_event() {
    base::Fd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!event) base::throw_system("making an eventfd");
    return event;
}

} // namespace

ThreadWatch::ThreadWatch(kj::UnixEventPort& events, std::function<void(SessionId)> ended)
    : ended_(std::move(ended)), event_(make_event()),
      observer_(events, event_.get(), kj::UnixEventPort::FdObserver::OBSERVE_READ),
      listening_(listen().eagerlyEvaluate(nullptr)) {}

ThreadWatch::~ThreadWatch() = default;

base::Fd ThreadWatch::watch(SessionId session) {
    auto memory = base::make_memfd("shmbus-thread", base::robust_bytes, base::robust_bytes);
    base::RobustWatch futex(memory);
    forget(session);
    for (const auto& sleeper : sleepers_)
        if (sleeper->add(session, futex)) return memory;
    sleepers_.push_back(std::make_unique<Sleeper>(*this));
    (void)sleepers_.back()->add(session, futex);
    return memory;
}

void ThreadWatch::forget(SessionId session) noexcept {
    for (const auto& sleeper : sleepers_) sleeper->forget(session);
}

void ThreadWatch::report(const std::vector<SessionId>& ended) {
    const std::lock_guard lock(mutex_);
    reported_.insert(reported_.end(), ended.begin(), ended.end());
    (void)::eventfd_write(event_.get(), 1);
}

kj::Promise<void> ThreadWatch::listen() {
    return observer_.whenBecomesReadable().then([this] {
        eventfd_t count = 0;
        (void)::eventfd_read(event_.get(), &count);
        std::vector<SessionId> ended;
        {
            const std::lock_guard lock(mutex_);
            ended.swap(reported_);
        }
        for (const auto session : ended) ended_(session);
        return listen();
    });
}

ThreadWatch::Sleeper::Sleeper(ThreadWatch& owner) : owner_(owner) {
    const base::BlockedSignals blocked;
    thread_ = std::thread([this] {
        base::name_this_thread("shmbus-threads");
        run();
    });
}

ThreadWatch::Sleeper::~Sleeper() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    poke();
    thread_.join();
}

bool ThreadWatch::Sleeper::add(SessionId session, base::RobustWatch& futex) {
    {
        const std::lock_guard lock(mutex_);
        if (futexes_.size() >= base::max_watched) return false;
        futexes_.emplace(session, std::move(futex));
    }
    poke();
    return true;
}

void ThreadWatch::Sleeper::forget(SessionId session) noexcept {
    const std::lock_guard lock(mutex_);
    futexes_.erase(session); // to sleep on one that is gone does no harm: the next poke ends it
}

void ThreadWatch::Sleeper::poke() noexcept {
    poke_.exchange_seq_cst(1); // pairs with the exchange in run()
    base::futex_wake_private(poke_);
}

/// What to sleep on; those that are held by nobody any more are reported once.
std::vector<base::Watched> ThreadWatch::Sleeper::look(std::vector<SessionId>& ended) {
    std::vector<base::Watched> watched;
    std::erase_if(futexes_, [&](const auto& one) {
        const std::uint64_t word = one.second.word().load_acquire();
        if (!base::RobustWatch::has_ended(word)) {
            watched.push_back({&one.second.word(), word});
            return false;
        }
        ended.push_back(one.first);
        return true;
    });
    return watched;
}

void ThreadWatch::Sleeper::run() {
    for (;;) {
        poke_.exchange_seq_cst(0); // before the look; pairs with poke()
        std::vector<SessionId> ended;
        std::vector<base::Watched> watched;
        {
            const std::lock_guard lock(mutex_);
            if (stop_) return;
            watched = look(ended);
        }
        if (!ended.empty()) owner_.report(ended);
        (void)base::futex_wait(watched, poke_, Deadline::never());
    }
}

} // namespace shmbus::supervisor
