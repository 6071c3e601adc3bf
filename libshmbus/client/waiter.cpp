#include "client/waiter.hpp"

#include "base/system_error.hpp"
#include "client/receiver.hpp"
#include "shmbus/error.hpp"

#include <algorithm>
#include <sys/eventfd.h>
#include <unistd.h>

namespace shmbus::client {

void Waiter::add(Subscription& subscription) {
    const auto is_it = [&](const Member& member) { return member.subscription == &subscription; };
    if (std::any_of(members_.begin(), members_.end(), is_it))
        throw Error(Errc::bad_argument, "this subscription is in the wait set already");
    members_.reserve(members_.size() + 1);
    watched_.reserve(members_.size() + 1);
    members_.push_back({&subscription, subscription.receiver_});
    try {
        make_sleepers(sleepers_needed());
    } catch (...) {
        members_.pop_back();
        throw;
    }
    watched_.emplace_back();
    if (event_) changed(); // it may have something
}

void Waiter::remove(const Subscription& subscription) noexcept {
    const auto is_it = [&](const Member& member) { return member.subscription == &subscription; };
    const auto found = std::find_if(members_.begin(), members_.end(), is_it);
    if (found == members_.end()) return;
    members_.erase(found);
    watched_.pop_back();
    for (const auto& sleeper : sleepers_) sleeper->watch({}); // its word may go away
    if (event_) changed();                                    // so that wait() orders them anew
}

/// The waiting thread takes the first group itself, unless somebody else waits: for the descriptor.
std::size_t Waiter::sleepers_needed() const noexcept {
    const std::size_t groups = (members_.size() + base::max_watched - 1) / base::max_watched;
    return event_ || groups == 0 ? groups : groups - 1;
}

void Waiter::make_sleepers(std::size_t needed) {
    while (sleepers_.size() < needed)
        sleepers_.push_back(std::make_unique<Sleeper>([this] { changed(); }));
}

/// Each has its turn: the search begins behind the one that was found last.
Subscription* Waiter::find() noexcept {
    for (std::size_t i = 0; i < members_.size(); ++i) {
        const auto& member = members_[(next_ + i) % members_.size()];
        if (!member.receiver->is_ready()) continue;
        next_ = (next_ + i + 1) % members_.size();
        return member.subscription;
    }
    return nullptr;
}

void Waiter::arm() noexcept {
    for (std::size_t i = 0; i < members_.size(); ++i) watched_[i] = members_[i].receiver->arm();
}

/// The first of them that is to be looked at although nobody rings.
Deadline Waiter::look_again() const noexcept {
    auto first = Deadline::never();
    for (const auto& member : members_)
        if (const auto when = member.receiver->look_again(); when.when() < first.when())
            first = when;
    return first;
}

/// What no sleeper watches.
std::span<const base::Watched> Waiter::own() const noexcept {
    const bool all_watched = sleepers_.size() * base::max_watched >= watched_.size();
    return std::span(watched_).first(all_watched ? 0
                                                 : std::min(watched_.size(), base::max_watched));
}

void Waiter::order_sleepers() noexcept {
    auto rest = std::span<const base::Watched>(watched_).subspan(own().size());
    for (const auto& sleeper : sleepers_) {
        const auto group = rest.first(std::min(rest.size(), base::max_watched));
        sleeper->watch(group, look_again());
        rest = rest.subspan(group.size());
    }
}

Ready Waiter::wait(Deadline deadline) noexcept {
    if (auto* found = find()) return {found};
    if (deadline.passed() && !event_) return {};
    // As in Receiver::park: nobody sleeps for ever on what others can spoil.
    constexpr auto longest_sleep = std::chrono::minutes(1);
    for (;;) {
        lower(); // before the second look: what comes after it raises the descriptor again
        arm();
        if (auto* found = find()) {
            if (event_) changed(); // there may be more
            return {found};
        }
        order_sleepers();
        if (deadline.passed()) return {};
        const Deadline until =
            std::min({deadline.when(), look_again().when(), Deadline(longest_sleep).when()});
        const auto woken = base::futex_wait(own(), wake_, until);
        const bool was_changed = wake_.exchange_seq_cst(0) != 0; // pairs with changed()
        if (interrupted_.exchange(false)) return {nullptr, Nothing::interrupted};
        if (woken == base::Woken::interrupted && !was_changed) // by a signal's handler
            return {nullptr, Nothing::interrupted};
        if (auto* found = find()) return {found};
    }
}

int Waiter::descriptor() {
    if (!event_) {
        event_ = base::Fd(::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)); // wait() has not looked yet
        if (!event_) base::throw_system("eventfd");
        raised_by_sleepers_.store(event_.get());
    }
    make_sleepers(sleepers_needed());
    return event_.get();
}

/// Makes the descriptor unreadable.
void Waiter::lower() const noexcept {
    std::uint64_t count = 0;
    if (event_) (void)::eventfd_read(event_.get(), &count); // EAGAIN: it was
}

/// Called by sleepers, too.
void Waiter::changed() noexcept {
    const int event = raised_by_sleepers_.load();
    if (event >= 0) (void)::eventfd_write(event, 1); // never full: see lower()
    wake_.store_release(1);                          // pairs with futex_wait()
    base::futex_wake_private(wake_);
}

void Waiter::interrupt() noexcept {
    interrupted_.store(true);
    wake_.store_release(1); // pairs with futex_wait()
    base::futex_wake_private(wake_);
}

} // namespace shmbus::client

namespace shmbus {

WaitSet::WaitSet() : waiter_(std::make_unique<client::Waiter>()) {}
WaitSet::WaitSet(WaitSet&&) noexcept = default;
WaitSet& WaitSet::operator=(WaitSet&&) noexcept = default;
WaitSet::~WaitSet() = default;
void WaitSet::add(Subscription& subscription) { waiter_->add(subscription); }
void WaitSet::remove(Subscription& subscription) noexcept { waiter_->remove(subscription); }
std::size_t WaitSet::size() const noexcept { return waiter_->size(); }
Ready WaitSet::wait(Deadline deadline) noexcept { return waiter_->wait(deadline); }
int WaitSet::descriptor() { return waiter_->descriptor(); }
void WaitSet::interrupt() noexcept { waiter_->interrupt(); }

} // namespace shmbus
