#include "text/topic_choice.hpp"

#include "shmbus/error.hpp"
#include "text/units.hpp"
#include "text/words.hpp"

#include <fmt/format.h>
#include <limits>

namespace shmbus::text {

using namespace std::chrono_literals;

namespace {

[[noreturn]] void refuse(std::string_view text, std::string_view why) {
    throw Error(Errc::bad_argument, fmt::format("'{}' {}", printable(text), why));
}

} // namespace

std::string word_of(FullPolicy policy) {
    switch (policy) {
    case FullPolicy::block: return "block";
    case FullPolicy::reject: return "reject";
    case FullPolicy::drop_oldest: return "drop-oldest";
    }
    return fmt::format("policy {}", static_cast<unsigned>(policy));
}

FullPolicy parse_full(std::string_view text) {
    for (const auto policy : {FullPolicy::block, FullPolicy::reject, FullPolicy::drop_oldest})
        if (text == word_of(policy)) return policy;
    refuse(text, "is none of block, reject and drop-oldest");
}

Retention parse_retention(std::string_view text) {
    for (const auto retention : {Retention::disk, Retention::memory})
        if (text == name_of(retention)) return retention;
    refuse(text, "is neither disk nor memory");
}

SyncChoice parse_sync(std::string_view text) {
    constexpr std::string_view interval = "interval:";
    constexpr std::uint64_t longest = 3'600'000; // milliseconds
    const std::uint32_t unused = TopicOptions{}.sync_interval_ms;
    if (text == "none") return {Sync::none, unused};
    if (text == "group") return {Sync::group, unused};
    if (text.starts_with(interval))
        return {Sync::interval,
                static_cast<std::uint32_t>(parse_number(text.substr(interval.size()), 1, longest))};
    refuse(text, "is none of none, group and interval:MS");
}

std::uint32_t parse_small_size(std::string_view text) {
    const std::uint64_t size = parse_size(text);
    if (size > std::numeric_limits<std::uint32_t>::max()) refuse(text, "is too large");
    return static_cast<std::uint32_t>(size);
}

std::uint32_t parse_milliseconds(std::string_view text) {
    const Nanoseconds duration = parse_duration(text);
    if (duration % 1ms != 0ns) refuse(text, "is not a whole number of milliseconds");
    const std::int64_t ms = duration / 1ms;
    if (ms > std::numeric_limits<std::uint32_t>::max()) refuse(text, "is too long");
    return static_cast<std::uint32_t>(ms);
}

std::uint64_t parse_age(std::string_view text) {
    const Nanoseconds age = parse_duration(text);
    if (age != 0ns && age < 1ms) refuse(text, "is less than 1ms");
    return static_cast<std::uint64_t>(age / 1ms);
}

std::uint64_t parse_count(std::string_view text) {
    return parse_number(text, 0, std::numeric_limits<std::uint64_t>::max());
}

Profile parse_profile(std::string_view text) {
    if (text != "fast")
        throw Error(Errc::bad_argument,
                    fmt::format("'{}': there is one profile, fast", printable(text)));
    return Profile::fast;
}

TopicOptions TopicChoice::options(TopicOptions others) const {
    TopicOptions options = others;
    if (profile == Profile::fast) {
        options.retention = Retention::memory;
        options.full = FullPolicy::drop_oldest;
        options.slot_bytes = 128;
    }
    options.full = full.value_or(options.full);
    options.capacity = capacity.value_or(options.capacity);
    options.slot_bytes = slot.value_or(options.slot_bytes);
    options.max_event = max_event.value_or(options.max_event);
    options.pool_bytes = pool.value_or(options.pool_bytes);
    options.evict_after_ms = evict_after_ms.value_or(options.evict_after_ms);
    options.hold_timeout_ms = hold_timeout_ms.value_or(options.hold_timeout_ms);
    options.retention = retention.value_or(options.retention);
    const bool wants_disk =
        sync || keep_bytes || keep_age_ms || keep_events || hold.value_or(false);
    if (wants_disk && options.retention == Retention::memory)
        throw Error(Errc::bad_argument,
                    "sync, keep-… and hold are for topics on disk, and this one "
                    "is to be in memory");
    if (sync) {
        options.sync = sync->sync;
        options.sync_interval_ms = sync->interval_ms;
    }
    options.keep_bytes = keep_bytes.value_or(options.keep_bytes);
    options.keep_age_ms = keep_age_ms.value_or(options.keep_age_ms);
    options.keep_events = keep_events.value_or(options.keep_events);
    options.hold = hold.value_or(options.hold);
    return options;
}

} // namespace shmbus::text
