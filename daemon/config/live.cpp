#include "daemon/config/live.hpp"

#include "daemon/registry/options.hpp"
#include "daemon/system/service.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <unistd.h>

namespace shmbus::config {

namespace {

using control::AccessRules;
using system::Level;
using system::log;

std::string shown(const Place& place) { return fmt::format("{}:{}", place.file, place.line); }

bool has_rules(const AccessRules& rules) {
    const AccessRules none;
    return rules.use != none.use || rules.administer != none.administer ||
           std::any_of(rules.topics.begin(), rules.topics.end(),
                       [](const auto& topic) { return !topic.second.empty(); });
}

/// A name with a mistake in it admits nobody, and says nothing. The default groups need not be there.
void note_missing(const control::Policy& policy) {
    for (const auto& who : policy.missing()) {
        if (who == std::string("group ") + AccessRules::users_group ||
            who == std::string("group ") + AccessRules::admins_group)
            continue;
        log(Level::warning,
            fmt::format("the configuration admits the {}, which this host does not have", who));
    }
}

} // namespace

Live::Live(Source source, Settings settings, bool is_private, control::Context& context,
           activation::Activator& activator)
    : source_(std::move(source)), at_start_(settings), is_private_(is_private), context_(context),
      activator_(activator) {
    enter(std::move(settings));
}

/// Nothing is changed before all is known to be right.
void Live::enter(Settings settings) {
    if (is_private_ && has_rules(settings.access))
        log(Level::warning,
            "the configuration's rules of access count for nothing: only this user and root can "
            "reach this bus");
    control::Policy policy(::geteuid(),
                           is_private_ ? control::rules_of_private_bus() : settings.access);
    note_missing(policy);
    context_.policy = std::move(policy);
    context_.shares = control::shares_of(settings.limits, system::descriptor_limit());
    context_.registry.set_limits(settings.limits);
    context_.sessions.set_limits(settings.limits);
    activator_.set(consumers_of(settings));
    settings_ = std::move(settings);
}

kj::Promise<void> Live::make_topics() {
    auto& topics = context_.registry;
    const bool all_there =
        std::all_of(settings_.topics.begin(), settings_.topics.end(),
                    [&](const auto& topic) { return topics.options_of(topic.first).has_value(); });
    if (all_there || !topics.may_be_handed_back()) {
        declare_all();
        return kj::READY_NOW;
    }
    topics.await_topics(true);
    return context_.timer.afterDelay(registry::Registry::grace.count() * kj::MILLISECONDS)
        .then([this] { declare_all(); });
}

void Live::declare_all() {
    for (const auto& [name, topic] : settings_.topics) declare(name, topic);
    context_.registry.await_topics(false);
    context_.keep_house();
}

/// One that cannot be made costs nothing but itself.
void Live::declare(const std::string& name, const DeclaredTopic& topic) {
    const auto refuse = [&](const std::string& why) {
        log(Level::error, fmt::format("{}: topic {} {}", shown(topic.place), name, why));
    };
    try {
        const auto existing = context_.registry.options_of(name);
        if (!existing) {
            context_.registry.create(name, topic.choice.options(), true, ::geteuid());
            log(Level::info, fmt::format("made topic {}, as {} says", name, shown(topic.place)));
            return;
        }
        const auto differs = registry::difference(*existing, topic.choice.options(*existing));
        if (!differs.empty())
            refuse("exists with other options, and stays as it is: " + differs +
                   "; remove it (shmbus topic rm) and reload, or declare what it is");
    } catch (const std::exception& e) {
        refuse(std::string("is not as declared: ") + e.what());
    }
}

void Live::reload() {
    system::announce_reloading();
    try {
        enter(load(source_));
    } catch (const std::exception& e) {
        log(Level::error, fmt::format("{}; the configuration before it stays", e.what()));
        system::announce_reloaded();
        return;
    }
    reloading_ = make_topics()
                     .then([this] {
                         log(Level::notice, "the configuration was read again");
                         note_what_waits();
                         system::announce_reloaded();
                     })
                     .eagerlyEvaluate(nullptr);
}

void Live::note_what_waits() const {
    const auto note = [](const char* key, const auto& before, const auto& now) {
        if (before != now)
            log(Level::warning,
                fmt::format("{}= has changed, which counts when shmbusd is started again", key));
    };
    note("Socket", at_start_.socket, settings_.socket);
    note("StateDirectory", at_start_.state_directory, settings_.state_directory);
    note("MemoryOnly", at_start_.memory_only, settings_.memory_only);
}

} // namespace shmbus::config
