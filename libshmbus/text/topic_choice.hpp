// The options of a topic as people choose them: `shmbus topic create --keep-age 2h`, or KeepAge=2h in the
// daemon's configuration.
//
// Parsers are as those of text/units.hpp.
#pragma once

#include "shmbus/types.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace shmbus::text {

/// "drop-oldest"
[[nodiscard]] std::string word_of(FullPolicy policy);
[[nodiscard]] FullPolicy parse_full(std::string_view text);
[[nodiscard]] Retention parse_retention(std::string_view text);

struct SyncChoice {
    Sync sync;
    std::uint32_t interval_ms;
};
/// none, group, interval:MS
[[nodiscard]] SyncChoice parse_sync(std::string_view text);

/// 32 bits of a size.
[[nodiscard]] std::uint32_t parse_small_size(std::string_view text);
/// Whole milliseconds, 49 days at most.
[[nodiscard]] std::uint32_t parse_milliseconds(std::string_view text);
/// 0, or from 1ms.
[[nodiscard]] std::uint64_t parse_age(std::string_view text);
[[nodiscard]] std::uint64_t parse_count(std::string_view text);

/// A set of options by one name. There is one, "fast". @throws Error(bad_argument) for another
enum class Profile { none, fast };
[[nodiscard]] Profile parse_profile(std::string_view text);

/// What was chosen; the rest follows the profile.
struct TopicChoice {
    Profile profile = Profile::none;
    std::optional<Retention> retention = {};
    std::optional<FullPolicy> full = {};
    std::optional<std::uint32_t> capacity = {};
    std::optional<std::uint32_t> slot = {};
    std::optional<std::uint64_t> max_event = {};
    std::optional<std::uint64_t> pool = {};
    std::optional<std::uint32_t> evict_after_ms = {};
    std::optional<std::uint32_t> hold_timeout_ms = {};
    std::optional<SyncChoice> sync = {};
    std::optional<std::uint64_t> keep_bytes = {};
    std::optional<std::uint64_t> keep_age_ms = {};
    std::optional<std::uint64_t> keep_events = {};
    std::optional<bool> hold = {};

    /// `others`: what is not chosen. @throws Error(bad_argument) when the choices do not go together
    [[nodiscard]] TopicOptions options(TopicOptions others = {}) const;
};

} // namespace shmbus::text
