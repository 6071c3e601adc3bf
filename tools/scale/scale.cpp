// shmbus scale: as many instances of a consumer as there is work for.
#include "tools/command.hpp"
#include "tools/interrupt.hpp"
#include "tools/output.hpp"
#include "tools/scale/run.hpp"
#include "tools/scale/unit_name.hpp"
#include "tools/text.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace shmbus::tools {

namespace {

using namespace std::chrono_literals;
using scale::Clock;
using scale::Decision;

constexpr std::uint64_t most_instances = 256;
constexpr auto shortest_interval = 10ms;
/// A daemon that was started again may not have everything back from its clients before that.
constexpr auto grace = 5s;

struct Arguments {
    std::string topic;
    std::string name;
    std::string unit_template;
    scale::Limits limits;
    Nanoseconds interval = 1s;
    std::optional<Nanoseconds> duration;
};

/// The host's manager for the host's bus; else that of whoever runs this.
bool is_users_manager(const Context& context, const std::string& socket) {
    if (context.bus.scope == BusOptions::Scope::user) return true;
    if (context.bus.scope == BusOptions::Scope::system) return false;
    return ::geteuid() != 0 && socket != "/run/shmbus.sock";
}

void print(const Context& context, const Arguments& a, const Decision& decision,
           const std::string& unit, const scale::Load& load, unsigned running) {
    const auto time =
        format_time(std::chrono::time_point_cast<Time::duration>(std::chrono::system_clock::now()));
    if (context.json)
        write_out(to_line(Json{{"time", time},
                               {"topic", a.topic},
                               {"subscription", a.name},
                               {"act", name_of(decision.act)},
                               {"unit", unit},
                               {"why", decision.why},
                               {"lag", load.lag},
                               {"in_hand", load.in_hand},
                               {"running", running}}));
    else
        write_out(fmt::format("{} {} {}: {}\n", time, name_of(decision.act), unit, decision.why));
}

/// The subscription as it is now. @throws Error; Failure(not_found)
SubscriptionInfo find(const Context& context, Bus& bus, const Arguments& a) {
    for (auto& one : bus.subscriptions(a.topic))
        if (one.name == a.name) return one;
    throw Failure(ExitCode::not_found,
                  fmt::format("topic '{}' has no subscription '{}'; to make it: {} subscription "
                              "create {} {} --group",
                              a.topic, a.name, context.self(), a.topic, a.name));
}

scale::Load look(const Context& context, Bus& bus, const Arguments& a) {
    return on_topic_there(context, a.topic, [&] {
        return scale::load_of(bus.topic(a.topic), find(context, bus, a));
    });
}

/// Says the same trouble once, and that it is over.
class Trouble {
  public:
    void say(const std::string& what) {
        if (what != said_) note(what + "; trying again");
        said_ = what;
    }
    void is_over() {
        if (!said_.empty()) note("that is over");
        said_.clear();
    }

  private:
    std::string said_;
};

/// Whoever is away may come back: the daemon is started again, or systemd.
bool is_passing(const Error& error) {
    return error.code() == Errc::no_daemon || error.code() == Errc::disconnected ||
           error.code() == Errc::timed_out;
}

/// One after the other that only one process can have are none too many, but in vain.
void limit_to_one(const Context& context, Bus& bus, Arguments& a) {
    const auto subscription =
        on_topic_there(context, a.topic, [&] { return find(context, bus, a); });
    if (subscription.group || a.limits.most == 1) return;
    note(fmt::format("'{}' is no group, so one process at a time receives from it: --max 1 is "
                     "meant",
                     a.name));
    a.limits.most = 1;
    a.limits.least = std::min(a.limits.least, 1U);
}

ExitCode run_scale(const Context& context, Arguments a) {
    const auto begun = Clock::now();
    Bus bus = connect(context.bus);
    limit_to_one(context, bus, a);
    const auto manager = scale::systemd(is_users_manager(context, bus.socket()));
    scale::Run run(a.limits, a.unit_template, *manager,
                   [&](const auto&... told) { print(context, a, told...); });
    Trouble trouble;
    auto settled = begun; // from when on what is not there is gone
    for (auto next = begun;; next = std::max(next + a.interval, Clock::now())) {
        sleep_until(next);
        if (a.duration && Clock::now() - begun >= *a.duration) return ExitCode::done;
        try {
            run.round(Clock::now(), look(context, bus, a));
            trouble.is_over();
        } catch (const Error& error) {
            if (!is_passing(error)) throw;
            settled = Clock::now() + grace;
            trouble.say(error.what());
        } catch (const Failure& failure) {
            if (failure.code() != ExitCode::not_found || Clock::now() >= settled) throw;
            trouble.say(failure.what());
        } catch (const scale::Unreachable& error) {
            trouble.say(error.what());
        } catch (const scale::Refused& error) {
            trouble.say(std::string("systemd does not tell of its units: ") + error.what());
        }
    }
}

void take_subscription(const std::string& text, Arguments& a) {
    const auto slash = text.find('/');
    if (slash == std::string::npos)
        throw Failure(ExitCode::usage,
                      fmt::format("'{}' is no TOPIC/NAME, a topic and a subscription of it",
                                  printable(text)));
    a.topic = parse_name(text.substr(0, slash), "topic");
    a.name = parse_name(text.substr(slash + 1), "subscription");
}

Nanoseconds parse_interval(const std::string& text) {
    const auto interval = parse_duration(text);
    if (interval < shortest_interval)
        throw Failure(ExitCode::usage, "is at least " + format_duration(shortest_interval));
    return interval;
}

/// A parser of numbers up to what a verb takes.
auto number_from(std::uint64_t least) {
    return [least](const std::string& text) {
        return static_cast<unsigned>(parse_number(text, least, most_instances));
    };
}

constexpr auto examples = R"(Examples:
  shmbus scale orders/processors --unit order-processor@ --max 4
  shmbus --user scale orders/processors --unit order-processor@ --min 1 --max 8 --lag 1000 --json

Starts and stops order-processor@1.service, order-processor@2.service and so on, by systemd: the
user's for the user's bus, else the host's. It runs until it is interrupted, and leaves them as they
are then.)";

void add_options(Verb verb, Arguments& a) {
    verb.add(
            "TOPIC/NAME", [&a](const std::string& text) { take_subscription(text, a); },
            "a topic, and a group of it")
        .required();
    verb.add_parsed(
            "--unit", a.unit_template,
            [](const std::string& text) { return scale::parse_template(text); }, "TEMPLATE@",
            "the units, which differ by a number behind the @")
        .required();
    verb.add_parsed("--max", a.limits.most, number_from(1), "N", "at most so many, up to 256")
        .required();
    verb.add_parsed("--min", a.limits.least, number_from(0), "N", "at least so many (0)");
    verb.add_parsed(
        "--lag", a.limits.lag,
        [](const std::string& text) { return parse_number(text, 1, UINT64_MAX); }, "N",
        "start one more when more events than that are not acknowledged (100) …");
    verb.add_parsed("--rounds", a.limits.rounds, number_from(1), "N",
                    "… for so many looks in a row (3)");
    verb.add_parsed("--idle", a.limits.idle, parse_duration, "DURATION",
                    "stop one when there was nothing to do for that long (30s)");
    verb.add_parsed("--interval", a.interval, parse_interval, "DURATION",
                    "from one look to the next (1s)");
    verb.add_parsed("--duration", a.duration, parse_duration, "DURATION", "end after that");
}

} // namespace

void add_scale(Verb root, Invocation& invocation) {
    const auto arguments = std::make_shared<Arguments>();
    const Verb verb =
        root.add_verb("scale", "run as many instances of a consumer as there is work for");
    add_options(verb, *arguments);
    verb.footer(examples);
    verb.callback([arguments, &invocation] {
        if (arguments->limits.least > arguments->limits.most)
            throw Failure(ExitCode::usage, "--min is more than --max");
        invocation.run = [arguments](const Context& context) {
            return run_scale(context, *arguments);
        };
    });
}

} // namespace shmbus::tools
