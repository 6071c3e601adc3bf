#include "process/listener.hpp"

#include "base/fd.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <sys/epoll.h>

namespace shmbus::test {

namespace {

/// @throws std::runtime_error unless it is just that there was nothing in time
void allow_only_timeout(Nothing nothing) {
    if (nothing != Nothing::timed_out)
        throw std::runtime_error(std::string("a wait ended: ") + name_of(nothing));
}

std::size_t take_one(Subscription& subscription, Deadline deadline, const Listener::See& see) {
    const auto received = subscription.receive(deadline);
    if (const auto* event = std::get_if<Event>(&received)) {
        see(*event);
        return 1;
    }
    if (std::holds_alternative<Gap>(received)) throw std::runtime_error("a gap");
    allow_only_timeout(std::get<Nothing>(received));
    return 0;
}

bool has_more(const Subscription& subscription) {
    return subscription.position() <= subscription.head();
}

class ByReceive : public Listener {
  public:
    explicit ByReceive(Subscription subscription) : subscription_(std::move(subscription)) {}
    std::size_t take(Deadline deadline, const See& see) override {
        return take_one(subscription_, deadline, see);
    }
    [[nodiscard]] bool is_behind() const override { return has_more(subscription_); }

  protected:
    Subscription subscription_;
};

class ByBatches final : public ByReceive {
  public:
    using ByReceive::ByReceive;
    std::size_t take(Deadline deadline, const See& see) override {
        const auto received = subscription_.receive(events_, deadline);
        if (const auto* count = std::get_if<std::size_t>(&received)) {
            std::for_each_n(events_.begin(), *count, see);
            return *count;
        }
        if (std::holds_alternative<Gap>(received)) throw std::runtime_error("a gap");
        allow_only_timeout(std::get<Nothing>(received));
        return 0;
    }

  private:
    std::array<Event, 4> events_;
};

class ByWaitSet : public Listener {
  public:
    explicit ByWaitSet(std::vector<Subscription> subscriptions)
        : subscriptions_(std::move(subscriptions)) {
        for (auto& subscription : subscriptions_) set_.add(subscription);
    }
    std::size_t take(Deadline deadline, const See& see) override {
        const auto ready = set_.wait(deadline);
        if (ready) return take_one(*ready.subscription, Deadline::now(), see);
        allow_only_timeout(ready.why);
        return 0;
    }
    [[nodiscard]] bool is_behind() const override {
        return std::any_of(subscriptions_.begin(), subscriptions_.end(), has_more);
    }

  protected:
    std::vector<Subscription> subscriptions_;
    WaitSet set_; // goes first
};

class ByDescriptor final : public ByWaitSet {
  public:
    explicit ByDescriptor(std::vector<Subscription> subscriptions)
        : ByWaitSet(std::move(subscriptions)) {
        epoll_event interest{.events = EPOLLIN, .data = {}};
        if (::epoll_ctl(loop_.get(), EPOLL_CTL_ADD, set_.descriptor(), &interest) != 0)
            throw std::runtime_error("epoll_ctl");
    }
    /// The descriptor may be readable without an event: then it waits on.
    std::size_t take(Deadline deadline, const See& see) override {
        std::size_t count = 0;
        while (count == 0 && is_readable(deadline))
            while (const std::size_t one = ByWaitSet::take(Deadline::now(), see)) count += one;
        return count;
    }

  private:
    [[nodiscard]] bool is_readable(Deadline deadline) const {
        const auto now = Deadline::Clock::now();
        const auto left = std::max(deadline.when(), now) - now;
        const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
        epoll_event event{};
        return ::epoll_wait(loop_.get(), &event, 1, static_cast<int>(ms)) == 1;
    }
    base::Fd loop_{::epoll_create1(EPOLL_CLOEXEC)};
};

} // namespace

std::unique_ptr<Listener> make_listener(Bus& bus, const Listening& how, const std::string& prefix) {
    std::vector<Subscription> all;
    for (std::size_t i = 0; i < how.topics; ++i)
        all.push_back(
            bus.subscribe(prefix + std::to_string(i), {.lossy = how.lossy, .spin = how.spin}));
    switch (how.by) {
    case Listening::By::receive: return std::make_unique<ByReceive>(std::move(all[0]));
    case Listening::By::batches: return std::make_unique<ByBatches>(std::move(all[0]));
    case Listening::By::wait_set: return std::make_unique<ByWaitSet>(std::move(all));
    case Listening::By::descriptor: break;
    }
    return std::make_unique<ByDescriptor>(std::move(all));
}

} // namespace shmbus::test
