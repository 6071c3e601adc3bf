// What all verbs share: where the bus is, how options are read, how a verb is found and run.
//
// Each verb adds itself to the CLI11 parser with add_NAME(); parsing only notes which one to run,
// because global options may stand behind the verb.
#pragma once

#include "tools/failure.hpp"
#include "tools/units.hpp"

#include <shmbus/bus.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <functional>
#include <string>

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

void add_topic(CLI::App& root, Invocation& invocation);
void add_pub(CLI::App& root, Invocation& invocation);
void add_sub(CLI::App& root, Invocation& invocation);
void add_bench(CLI::App& root, Invocation& invocation);
/// What the program does without a verb.
[[nodiscard]] ExitCode show_status(const Context& context);

/// An option whose text goes through a parser that throws Failure.
template <class T, class Parse>
CLI::Option* add_parsed(CLI::App& app, const std::string& name, T& target, Parse parse,
                        const std::string& type, const std::string& help) {
    const auto store = [&target, parse, name](const std::string& text) {
        try {
            target = parse(text);
        } catch (const Failure& failure) {
            throw CLI::ValidationError(name, failure.what());
        }
    };
    return app.add_option_function<std::string>(name, store, help)->type_name(type);
}

/// An option of the contract that this version cannot honour: not in the help, and refused with the
/// reason.
void add_unavailable_option(CLI::App& app, const std::string& name, const std::string& reason);
void add_unavailable_flag(CLI::App& app, const std::string& name, const std::string& reason);

/// Runs an action on a topic; where the topic does not exist, says so with this remedy.
template <class Action>
auto on_topic_or(const std::string& remedy, std::string_view topic, Action action) {
    try {
        return action();
    } catch (const Error& error) {
        if (error.code() != Errc::no_such_topic) throw;
        throw Failure(ExitCode::not_found,
                      fmt::format("there is no topic '{}'; {}", topic, remedy));
    }
}

/// The same; the remedy is to create it.
template <class Action>
auto on_topic(const Context& context, std::string_view topic, Action action) {
    return on_topic_or(fmt::format("to create it: {} topic create {}", context.self(), topic),
                       topic, action);
}

/// The same, for what makes sense with a topic that is there already.
template <class Action>
auto on_topic_there(const Context& context, std::string_view topic, Action action) {
    return on_topic_or(fmt::format("to see what there is: {} topic ls", context.self()), topic,
                       action);
}

} // namespace shmbus::tools
