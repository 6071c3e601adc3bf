#include "daemon/config/settings.hpp"

#include "base/socket_path.hpp"
#include "daemon/registry/options.hpp"
#include "text/units.hpp"
#include "text/words.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <functional>
#include <set>

namespace shmbus::config {

namespace {

using control::AccessList;
using control::Right;
using registry::Limits;
using text::printable;
using text::TopicChoice;

/// What an assignment does to a section's part of the settings.
template <class Part>
using Keys = std::map<std::string, std::function<void(Part&, const Assignment&)>>;

/// A value that is parsed; empty, it is what it is without any assignment.
template <class Part, class Value, class Parse> auto into(Value Part::*member, Parse parse) {
    return [member, parse](Part& part, const Assignment& assignment) {
        if (assignment.value.empty())
            part.*member = Part{}.*member;
        else
            part.*member = parse(assignment.value);
    };
}

std::string absolute(const std::string& path) {
    if (!path.starts_with('/'))
        throw Error(Errc::bad_argument, fmt::format("'{}' is no absolute path", printable(path)));
    if (path.find('\t') != std::string::npos) // no other control character gets here
        throw Error(Errc::bad_argument, fmt::format("'{}' has a tab in it", printable(path)));
    return path;
}

std::string socket_path(const std::string& path) {
    base::check_socket_path(absolute(path));
    return path;
}

std::size_t count(const std::string& text) {
    constexpr std::size_t most = 1'000'000;
    return text::parse_number(text, 1, most);
}

void append(AccessList& list, const Assignment& assignment) {
    if (assignment.value.empty()) list = {};
    for (const auto& word : words_of(assignment.value)) {
        const auto colon = word.find(':');
        const auto kind = word.substr(0, colon);
        const auto name = colon == std::string::npos ? "" : word.substr(colon + 1);
        if (word == "*")
            list.everybody = true;
        else if (kind == "user" && !name.empty())
            list.users.push_back(name);
        else if (kind == "group" && !name.empty())
            list.groups.push_back(name);
        else
            throw Error(
                Errc::bad_argument,
                fmt::format("'{}' is none of user:NAME, group:NAME and *", printable(word)));
    }
}

/// The lists of [Access]; the first assignment takes the place of the default.
struct Access {
    control::AccessRules& rules;
    std::set<const AccessList*> assigned = {};
    void append(AccessList& list, const Assignment& assignment) {
        if (assigned.insert(&list).second) list = {};
        config::append(list, assignment);
    }
};

std::string service_name(const std::string& unit) {
    if (!activation::is_service_name(unit))
        throw Error(Errc::bad_argument,
                    fmt::format("'{}' is no name of a service: write NAME.service, or "
                                "NAME@INSTANCE.service",
                                printable(unit)));
    return unit;
}

struct Topic {
    DeclaredTopic& declared;
    control::AccessRules::OfTopic& rules;
};

const Keys<Settings>& daemon_keys() {
    static const Keys<Settings> keys{
        {"Socket", into(&Settings::socket, socket_path)},
        {"StateDirectory", into(&Settings::state_directory, absolute)},
        {"MemoryOnly",
         [](Settings& settings, const Assignment& assignment) {
             settings.memory_only = !assignment.value.empty() && yes_or_no(assignment.value);
         }},
    };
    return keys;
}

const Keys<Limits>& limit_keys() {
    static const Keys<Limits> keys{
        {"DiskPerUser", into(&Limits::disk_per_user, text::parse_size)},
        {"MemoryPerUser", into(&Limits::memory_per_user, text::parse_size)},
        {"Sessions", into(&Limits::sessions, count)},
        {"SessionsPerUser", into(&Limits::sessions_per_user, count)},
        {"SubscriptionsPerTopic", into(&Limits::subscriptions_per_topic, count)},
        {"SubscriptionsPerUser", into(&Limits::subscriptions_per_user, count)},
        {"TopicsPerUser", into(&Limits::topics_per_user, count)},
    };
    return keys;
}

const Keys<Access>& access_keys() {
    static const Keys<Access> keys{
        {"Administer",
         [](Access& access, const Assignment& a) { access.append(access.rules.administer, a); }},
        {"Use", [](Access& access, const Assignment& a) { access.append(access.rules.use, a); }},
    };
    return keys;
}

const Keys<TopicChoice>& choice_keys() {
    static const Keys<TopicChoice> keys{
        {"Capacity", into(&TopicChoice::capacity, text::parse_small_size)},
        {"EvictAfter", into(&TopicChoice::evict_after_ms, text::parse_milliseconds)},
        {"Full", into(&TopicChoice::full, text::parse_full)},
        {"Hold",
         [](TopicChoice& choice, const Assignment& assignment) {
             choice.hold.reset();
             if (!assignment.value.empty()) choice.hold = yes_or_no(assignment.value);
         }},
        {"HoldTimeout", into(&TopicChoice::hold_timeout_ms, text::parse_milliseconds)},
        {"KeepAge", into(&TopicChoice::keep_age_ms, text::parse_age)},
        {"KeepBytes", into(&TopicChoice::keep_bytes, text::parse_size)},
        {"KeepEvents", into(&TopicChoice::keep_events, text::parse_count)},
        {"MaxEvent", into(&TopicChoice::max_event, text::parse_size)},
        {"Pool", into(&TopicChoice::pool, text::parse_size)},
        {"Profile", into(&TopicChoice::profile, text::parse_profile)},
        {"Retention", into(&TopicChoice::retention, text::parse_retention)},
        {"Slot", into(&TopicChoice::slot, text::parse_small_size)},
        {"Sync", into(&TopicChoice::sync, text::parse_sync)},
    };
    return keys;
}

const Keys<Topic>& topic_keys() {
    static const Keys<Topic> keys = [] {
        Keys<Topic> all;
        for (const auto& [key, set] : choice_keys())
            all.emplace(key, [&assign = set](Topic& topic, const Assignment& assignment) {
                assign(topic.declared.choice, assignment);
            });
        for (const auto& [key, right] :
             {std::pair{"Publish", Right::publish}, std::pair{"Subscribe", Right::subscribe},
              std::pair{"Administer", Right::administer}})
            all.emplace(key, [which = right](Topic& topic, const Assignment& assignment) {
                append(topic.rules[which], assignment);
            });
        return all;
    }();
    return keys;
}

const Keys<DeclaredConsumer>& consumer_keys() {
    static const Keys<DeclaredConsumer> keys{
        {"Unit", into(&DeclaredConsumer::unit, service_name)},
        {"unit", into(&DeclaredConsumer::unit, service_name)},
    };
    return keys;
}

template <class Part> std::vector<std::string> names_of(const Keys<Part>& keys) {
    std::vector<std::string> names;
    for (const auto& [name, set] : keys) names.push_back(name);
    return names;
}

[[noreturn]] void refuse_unknown(const Place& place, const std::string& what,
                                 const std::string& typed, const std::vector<std::string>& known) {
    const auto near = text::nearest_word(typed, known);
    const auto hint =
        near.empty() ? fmt::format("there are {}", fmt::join(known, ", ")) : "is it " + near + "?";
    throw wrong(place, fmt::format("no {} is called '{}'; {}", what, printable(typed), hint));
}

template <class Part> void assign(const Section& section, const Keys<Part>& keys, Part& part) {
    for (const auto& assignment : section.assignments) {
        const auto known = keys.find(assignment.key);
        if (known == keys.end())
            refuse_unknown(assignment.place, "key of [" + printable(section.name) + "]",
                           assignment.key, names_of(keys));
        try {
            known->second(part, assignment);
        } catch (const Error& e) {
            throw wrong(assignment.place, assignment.key + "=: " + e.what());
        }
    }
}

void check_name(const std::string& name, const char* what, const Place& place) {
    if (!is_valid_name(name))
        throw wrong(
            place, fmt::format("'{}' is no name of a {}: it begins with a letter or digit and "
                               "goes on with letters, digits, '.', '_' and '-', at most 128 in all",
                               printable(name), what));
}

void check(const std::string& name, const DeclaredTopic& topic) {
    try {
        registry::check_options(name, topic.choice.options(), 1);
    } catch (const Error& e) {
        throw wrong(topic.place, e.what());
    }
}

/// Puts what sections say where it belongs.
class Reader {
  public:
    void read(const Section& section) {
        constexpr std::string_view topic = "Topic ";
        constexpr std::string_view activate = "Activate ";
        if (section.name == "Daemon")
            assign(section, daemon_keys(), settings_);
        else if (section.name == "Limits")
            assign(section, limit_keys(), settings_.limits);
        else if (section.name == "Access")
            assign(section, access_keys(), access_);
        else if (section.name.starts_with(topic))
            read_topic(section.name.substr(topic.size()), section);
        else if (section.name.starts_with(activate))
            read_consumer(section.name.substr(activate.size()), section);
        else
            refuse_unknown(section.place, "section", section.name,
                           {"Daemon", "Limits", "Access", "Topic NAME", "Activate TOPIC/NAME"});
    }
    Settings done() {
        for (const auto& [name, topic] : settings_.topics) check(name, topic);
        for (const auto& [of, consumer] : settings_.consumers)
            if (consumer.unit.empty())
                throw wrong(consumer.place, fmt::format("[Activate {}/{}] names no unit: add "
                                                        "Unit=NAME.service",
                                                        of.topic, of.subscription));
        return std::move(settings_);
    }

  private:
    void read_topic(const std::string& name, const Section& section) {
        check_name(name, "topic", section.place);
        Topic topic{
            settings_.topics.try_emplace(name, DeclaredTopic{.place = section.place}).first->second,
            settings_.access.topics[name]};
        assign(section, topic_keys(), topic);
    }
    void read_consumer(const std::string& whose, const Section& section) {
        const auto slash = whose.find('/');
        if (slash == std::string::npos)
            throw wrong(section.place, fmt::format("'{}' is no subscription: write [Activate "
                                                   "TOPIC/NAME]",
                                                   printable(whose)));
        activation::Of of{whose.substr(0, slash), whose.substr(slash + 1)};
        check_name(of.topic, "topic", section.place);
        check_name(of.subscription, "subscription", section.place);
        auto& consumer =
            settings_.consumers.try_emplace(std::move(of), DeclaredConsumer{.place = section.place})
                .first->second;
        assign(section, consumer_keys(), consumer);
    }
    Settings settings_;
    Access access_{settings_.access};
};

} // namespace

activation::Consumers consumers_of(const Settings& settings) {
    activation::Consumers all;
    for (const auto& [of, consumer] : settings.consumers) all.emplace(of, consumer.unit);
    return all;
}

Settings read_settings(std::span<const File> files) {
    Reader reader;
    for (const auto& file : files)
        for (const auto& section : parse_unit_file(file.text, file.name)) reader.read(section);
    return reader.done();
}

} // namespace shmbus::config
