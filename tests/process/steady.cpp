#include "process/steady.hpp"

#include "base/clock.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <map>
#include <stdexcept>
#include <sys/mman.h>
#include <sys/resource.h>

namespace shmbus::test {

namespace {

constexpr std::size_t max_arrivals = 8U << 20U; // sparse

/// steady SOCKET PERIOD_US PAYLOAD [3: counters]
SHMBUS_WORKER(steady) {
    Bus bus({.socket = args.text(0)});
    auto publisher = bus.publisher("steady", {.timeout = patience});
    const auto counters = SharedCounters::inherited(3);
    const std::uint64_t period = args.number(1) * 1000;
    const std::string payload(args.number(2), 's');
    say("ready");
    std::uint64_t id = 0;
    for (std::uint64_t next = base::monotonic_ns(); counters[stop_counter] == 0; next += period) {
        pass_time_until(next); // the pace
        const auto result =
            publisher.publish(as_bytes(payload), {.key = {}, .type = steady_type, .id = ++id});
        if (!result) throw std::runtime_error(std::string("steady: ") + name_of(result.outcome));
    }
    say("published " + std::to_string(id));
    return 0;
}

/// What a watcher checks of each event as it comes.
class Watch {
  public:
    explicit Watch(Sequence first) : next_(first) {}
    void see(const Event& event) {
        if (event.sequence() != next_) throw std::runtime_error("a sequence was skipped");
        ++next_;
        hash_ = (hash_ ^ event.sequence()) * 0x9fb21c651e98df25U;
        hash_ =
            (hash_ ^ event.id() ^ std::uint64_t{event.publisher()} << 40U) * 0x9e3779b97f4a7c15U;
        auto& last = ids_[event.publisher()];
        if (event.id() != last + 1)
            throw std::runtime_error("an event of publisher " + std::to_string(event.publisher()) +
                                     " is missing");
        last = event.id();
    }
    void see(const Gap& gap) {
        if (gap.first != next_) throw std::runtime_error("a gap begins at a wrong sequence");
        if (gap.reason != GapReason::aborted)
            throw std::runtime_error(std::string("a gap for the reason ") + name_of(gap.reason));
        for (; next_ <= gap.last; ++next_) tombstones_ += ' ' + std::to_string(next_);
    }
    [[nodiscard]] std::uint64_t hash() const { return hash_; }
    [[nodiscard]] const std::string& tombstones() const { return tombstones_; }

  private:
    Sequence next_;
    std::uint64_t hash_ = 1;
    std::map<std::uint32_t, std::uint64_t> ids_; // the last of each publisher
    std::string tombstones_;
};

/// watch SOCKET [3: arrivals]: until the event of last_type.
SHMBUS_WORKER(watch) {
    Bus bus({.socket = args.text(0)});
    const auto arrivals = SharedCounters::inherited(3);
    auto subscription = bus.subscribe("steady");
    Watch watch(subscription.position());
    say("ready");
    std::uint64_t steady = 0;
    std::uint64_t other = 0;
    for (;;) {
        auto received = subscription.receive(patience);
        if (const auto* event = std::get_if<Event>(&received)) {
            if (event->type() == last_type) break;
            watch.see(*event);
            if (event->type() != steady_type) {
                ++other;
                continue;
            }
            if (++steady >= arrivals.size()) throw std::runtime_error("watch: the run is too long");
            arrivals[steady] = base::monotonic_ns();
            arrivals[0] = steady;
        } else if (const auto* gap = std::get_if<Gap>(&received)) {
            watch.see(*gap);
        } else {
            throw std::runtime_error(std::string("watch: ") + name_of(std::get<Nothing>(received)));
        }
    }
    say("watched " + std::to_string(steady) + ' ' + std::to_string(other) + ' ' +
        std::to_string(watch.hash()) + watch.tombstones());
    return 0;
}

} // namespace

Percentiles SteadyLoad::longest_ms(const Moments& moments, std::uint64_t window) const {
    Percentiles longest;
    for (const auto at : moments)
        for (unsigned watcher = 0; watcher < watchers_.size(); ++watcher)
            longest.add(longest_ms(watcher, at, window));
    return longest;
}

std::string measure_stalls(const SteadyLoad& load, std::uint64_t window,
                           const std::function<std::pair<Moments, Moments>()>& round) {
    constexpr double longest = 10.0;
    for (int i = 0; i < 3; ++i) {
        const auto [kills, controls] = round();
        const auto killed = load.longest_ms(kills, window);
        const auto control = load.longest_ms(controls, window);
        std::printf("stalls after a kill: %s\nstalls without one:  %s\n", killed.text().c_str(),
                    control.text().c_str());
        if (killed.at(0.99) <= longest) return "good";
        if (control.at(0.99) <= longest / 2) return "subscribers stall";
    }
    return "the machine is too busy to tell";
}

void take_precedence() { (void)::setpriority(PRIO_PROCESS, 0, -20); }

void take_memory(std::size_t bytes) {
    if (bytes == 0) return;
    void* memory =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("no memory");
    (void)::madvise(memory, bytes, MADV_NOHUGEPAGE);
    std::memset(memory, 1, bytes);
}

void pass_time_until(std::uint64_t monotonic_ns) {
    const timespec until{static_cast<time_t>(monotonic_ns / 1'000'000'000),
                         static_cast<long>(monotonic_ns % 1'000'000'000)};
    while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) == EINTR) {
    }
}

SteadyLoad::SteadyLoad(const std::string& socket, Size size) {
    for (unsigned i = 0; i < size.watchers; ++i) {
        arrivals_.push_back(std::make_unique<SharedCounters>(max_arrivals));
        watchers_.push_back(Child::worker("watch", {socket}, {arrivals_.back()->fd()}));
    }
    for (auto& watcher : watchers_) watcher.hear_numbers("ready");
    for (unsigned i = 0; i < size.publishers; ++i)
        publishers_.push_back(Child::worker(
            "steady", {socket, std::to_string(size.period_us), std::to_string(size.payload)},
            {counters_.fd()}));
    for (auto& publisher : publishers_) publisher.hear_numbers("ready");
}

std::vector<Watched> SteadyLoad::stop(Bus& bus) {
    counters_[stop_counter] = 1;
    std::uint64_t published = 0;
    for (auto& publisher : publishers_) {
        published += publisher.hear_numbers("published").at(0);
        if (publisher.wait() != 0) throw std::runtime_error("a steady publisher failed");
    }
    if (!bus.publisher("steady", {.timeout = patience}).publish("", {.key = {}, .type = last_type}))
        throw std::runtime_error("the last event was not published");
    std::vector<Watched> all;
    for (auto& watcher : watchers_) {
        const auto numbers = watcher.hear_numbers("watched");
        all.push_back(
            {numbers.at(0), numbers.at(1), numbers.at(2), {numbers.begin() + 3, numbers.end()}});
        if (watcher.wait() != 0) throw std::runtime_error("a watcher failed");
        if (all.back().events != published)
            throw std::runtime_error("a watcher saw " + std::to_string(all.back().events) + " of " +
                                     std::to_string(published) + " events");
    }
    return all;
}

double SteadyLoad::longest_ms(unsigned watcher, std::uint64_t at, std::uint64_t window) const {
    const auto& arrivals = *arrivals_.at(watcher);
    const std::uint64_t count = arrivals[0];
    // The last arrival up to `at`: binary search, as they go up.
    std::uint64_t low = 1;
    for (std::uint64_t high = count + 1; high - low > 1;) {
        const std::uint64_t middle = (low + high) / 2;
        (arrivals[middle] <= at ? low : high) = middle;
    }
    std::uint64_t longest = 0;
    for (std::uint64_t i = low; i < count && arrivals[i] < at + window; ++i)
        longest = std::max(longest, arrivals[i + 1] - arrivals[i]);
    return static_cast<double>(longest) / 1e6;
}

double Percentiles::at(double fraction) const {
    if (values_.empty()) return 0;
    auto sorted = values_;
    std::sort(sorted.begin(), sorted.end());
    const auto rank =
        static_cast<std::size_t>(std::ceil(fraction * static_cast<double>(sorted.size())));
    return sorted[std::max<std::size_t>(rank, 1) - 1];
}

std::string Percentiles::text() const {
    char text[128];
    std::snprintf(text, sizeof text, "p50 %.3f ms, p99 %.3f ms, max %.3f ms of %zu", at(0.5),
                  at(0.99), at(1), count());
    return text;
}

} // namespace shmbus::test
