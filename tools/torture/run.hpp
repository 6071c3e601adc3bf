// One torture, from the first process to the last check.
//
// It starts all actors, and again whoever has ended; takes what they say and hands it to the checker; does
// what the schedule says. At the end publishers finish, then subscribers with all that there is; the daemon
// must be as it was before. Then it is killed with its parent, and what is on disk is read once more.
#pragma once

#include "tools/own_bus.hpp"
#include "tools/torture/cast.hpp"
#include "tools/torture/silence.hpp"
#include "tools/torture/usage.hpp"
#include "tools/torture/vigil.hpp"
#include "tools/torture/worker.hpp"

#include <shmbus/bus.hpp>

#include <functional>

namespace shmbus::tools::torture {

struct Tally {
    std::chrono::milliseconds lasted{};
    std::array<std::uint64_t, 4> kills{}; ///< by Target
    std::array<std::uint64_t, 4> stops{};
    std::uint64_t renewals = 0; ///< topics removed, and made again
};

class Run {
  public:
    /// `tell` gets what is done to whom, as it is done.
    Run(OwnBus& daemon, std::uint64_t seed, std::function<void(const std::string&)> tell);

    /// Nothing but violations ends it earlier. `each_second` is called about that often.
    /// @throws Interrupted, Error, std::runtime_error
    void play(std::chrono::nanoseconds duration, const std::function<void()>& each_second);

    [[nodiscard]] const Checker& checker() const noexcept { return checker_; }
    [[nodiscard]] const Tally& tally() const noexcept { return tally_; }
    [[nodiscard]] const Silence& silence() const noexcept { return silence_; }

  private:
    using Clock = std::chrono::steady_clock;
    /// A topic of the cast, as it is just now.
    struct Stage {
        std::size_t topic = 0;      // the checker's number
        bool has_watcher = false;   // others may begin
        bool is_over = false;       // removed, and everybody has left
        Clock::time_point closed{}; // when it was removed, by time(); {}: it is not
        [[nodiscard]] bool is_closed() const noexcept { return closed != Clock::time_point{}; }
    };
    struct Stop {
        Clock::time_point until;
        Actor* actor; // nullptr: the daemon,
        pid_t daemon; // this one
    };
    enum class Act { play, read_on, leave };

    Clock::time_point time();
    /// insist(), by that time.
    template <class Request> auto ask(bool may_be_removed, Request request) {
        return insist(may_be_removed, request, patience, [this] { return time(); });
    }
    void open(std::size_t index);
    void close(std::size_t index);
    void reopen_what_is_empty();
    Task task_for(Actor& actor);
    void start(Actor& actor);
    void tend();
    void drain();
    void take(const Actor& actor, const Record& record);
    void carry_out(const Deed& deed);
    void kill(const Deed& deed);
    void stop(const Deed& deed);
    void end_stops(Clock::time_point now);
    Actor& victim(const Deed& deed);
    [[nodiscard]] std::string text_of(const Deed& deed);
    void finish();
    void expect_all_to_end(bool publishers);
    void check_heads();
    void await_files();
    void check_usage();
    void read_again_after_a_death();
    [[nodiscard]] bool daemon_is_stopped() const noexcept;
    [[nodiscard]] bool goes_on() const noexcept { return checker_.violations().empty(); }

    OwnBus& daemon_;
    std::function<void(const std::string&)> tell_;
    Cast cast_ = make_cast();
    Checker checker_;
    Vigil vigil_{Clock::now()};
    Tally tally_;
    Silence silence_{cast_.topics.size()};
    Schedule schedule_;
    Random random_;
    std::optional<Bus> bus_;
    std::vector<Stage> stages_{cast_.topics.size()};
    std::deque<Actor> actors_; // they stay where they are
    std::vector<Stop> stops_;
    Act act_ = Act::play;
    std::array<Usage, 2> usage_{}; // before: of the parent, and of the daemon
};

} // namespace shmbus::tools::torture
