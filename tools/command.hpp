// What all verbs share: where the bus is, how a verb is found and run.
//
// Each verb adds itself to the command line with add_NAME(); parsing only notes which one to run,
// because global options may stand behind the verb.
#pragma once

#include "tools/failure.hpp"
#include "tools/options.hpp"

#include <shmbus/bus.hpp>

#include <functional>
#include <string>
#include <string_view>

namespace shmbus::tools {

/// The global options.
struct Context {
    BusOptions bus;
    bool json = false;
    /// How to call the program so that it reaches the same bus, for advice in messages:
    /// "shmbus --socket /run/other.sock".
    [[nodiscard]] std::string self() const;
};

struct Invocation {
    Context context;
    std::function<ExitCode(const Context&)> run;
};

/// The connection to the bus. Waits a moment for a daemon that is not there yet, as in a script that
/// has just started it. @throws Error
[[nodiscard]] Bus connect(const BusOptions& options);

void add_topic(Verb root, Invocation& invocation);
void add_topic_create(Verb topic, Invocation& invocation);
void add_topic_incidents(Verb topic, Invocation& invocation);
void add_pub(Verb root, Invocation& invocation);
void add_sub(Verb root, Invocation& invocation);
void add_subscription(Verb root, Invocation& invocation);
void add_dlq(Verb root, Invocation& invocation);
void add_scale(Verb root, Invocation& invocation);
void add_spill(Verb root, Invocation& invocation);
void add_bench(Verb root, Invocation& invocation);
void add_doctor(Verb root, Invocation& invocation);
void add_torture(Verb root, Invocation& invocation);
/// What the program does without a verb.
[[nodiscard]] ExitCode show_status(const Context& context);

/// Runs an action; what the daemon says when it refuses for this reason gets the remedy appended.
template <class Action> void with_remedy(Errc reason, const std::string& remedy, Action action) {
    try {
        action();
    } catch (const Error& error) {
        if (error.code() != reason) throw;
        throw Failure(exit_code_of(reason), error.what() + remedy);
    }
}

/// "there is no topic 'trades'; ", and the remedy.
[[nodiscard]] Failure no_topic(std::string_view topic, const std::string& remedy);
/// Why a topic was closed, by what the daemon says when it is asked for it.
[[nodiscard]] Failure closed(std::string_view topic, const Error& error);
[[nodiscard]] std::string how_to_create(const Context& context, std::string_view topic);
[[nodiscard]] std::string how_to_list(const Context& context);

/// Runs an action on a topic; where the topic does not exist, says so with this remedy.
template <class Action>
auto on_topic_or(const std::string& remedy, std::string_view topic, Action action) {
    try {
        return action();
    } catch (const Error& error) {
        if (error.code() != Errc::no_such_topic) throw;
        throw no_topic(topic, remedy);
    }
}

/// The same; the remedy is to create it.
template <class Action>
auto on_topic(const Context& context, std::string_view topic, Action action) {
    return on_topic_or(how_to_create(context, topic), topic, action);
}

/// The same, for what makes sense with a topic that is there already.
template <class Action>
auto on_topic_there(const Context& context, std::string_view topic, Action action) {
    return on_topic_or(how_to_list(context), topic, action);
}

} // namespace shmbus::tools
