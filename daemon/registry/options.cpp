#include "daemon/registry/options.hpp"

#include "daemon/registry/topic.hpp"
#include "shmbus/error.hpp"

#include <fmt/format.h>

namespace shmbus::registry {

namespace {

std::string shown(const std::string& word) { return word; }
std::string shown(FullPolicy policy) { return name_of(policy); }
std::string shown(Retention retention) { return name_of(retention); }
std::string shown(Sync sync) { return name_of(sync); }
std::string shown(std::uint64_t number) { return std::to_string(number); }

} // namespace

void check_name(const std::string& name, const char* what) {
    if (!is_valid_name(name))
        throw Error(Errc::bad_argument,
                    fmt::format("a {}'s name begins with a letter or digit and goes on with "
                                "letters, digits, '.', '_' and '-', at most 128 in all",
                                what));
}

void check_options(const std::string& name, const TopicOptions& options, Sequence first) {
    const auto refuse = [&](const std::string& problem) {
        throw Error(Errc::bad_argument, "topic " + name + ": " + problem);
    };
    if (const auto problem = layout::problem_with(Topic::parameters_of(options, first));
        !problem.empty())
        refuse(problem);
    if (options.retention > Retention::disk) refuse("unknown retention");
    if (options.sync > Sync::group) refuse("unknown kind of sync");
    constexpr std::uint32_t longest = 3'600'000;
    if (options.sync == Sync::interval &&
        (options.sync_interval_ms < 1 || options.sync_interval_ms > longest))
        refuse("the interval of a sync must be from 1 to 3,600,000 ms");
}

std::string difference(const TopicOptions& existing, const TopicOptions& wanted) {
    std::string text;
    const auto compare = [&](const char* option, auto has, auto asked) {
        if (has == asked) return;
        text += fmt::format("{}{} is {}, not {}", text.empty() ? "" : "; ", option, shown(has),
                            shown(asked));
    };
    compare("full", existing.full, wanted.full);
    compare("capacity", existing.capacity, wanted.capacity);
    compare("slot", existing.slot_bytes, wanted.slot_bytes);
    compare("max-event", existing.max_event, wanted.max_event);
    compare("pool", existing.pool_bytes, wanted.pool_bytes);
    compare("evict-after", existing.evict_after_ms, wanted.evict_after_ms);
    compare("hold-timeout", existing.hold_timeout_ms, wanted.hold_timeout_ms);
    compare("retention", existing.retention, wanted.retention);
    if (existing.retention == Retention::memory || wanted.retention == Retention::memory)
        return text; // the rest means nothing to one of them
    compare("sync", existing.sync, wanted.sync);
    if (existing.sync == Sync::interval && wanted.sync == Sync::interval)
        compare("sync interval", existing.sync_interval_ms, wanted.sync_interval_ms);
    compare("keep-bytes", existing.keep_bytes, wanted.keep_bytes);
    compare("keep-age", existing.keep_age_ms, wanted.keep_age_ms);
    compare("keep-events", existing.keep_events, wanted.keep_events);
    const auto word = [](bool is) { return std::string(is ? "on" : "off"); };
    compare("hold", word(existing.hold), word(wanted.hold));
    return text;
}

} // namespace shmbus::registry
