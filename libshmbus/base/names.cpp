// What names are allowed, and the names of the enumerations.
#include "shmbus/error.hpp"
#include "shmbus/group.hpp"
#include "shmbus/types.hpp"

#include <algorithm>

namespace shmbus {

namespace {

// Not <cctype>: a name is the same name in every locale.
bool is_alphanumeric(char c) noexcept {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool may_follow(char c) noexcept { return is_alphanumeric(c) || c == '.' || c == '_' || c == '-'; }

} // namespace

bool is_valid_name(std::string_view name) noexcept {
    return !name.empty() && name.size() <= max_name_bytes && is_alphanumeric(name.front()) &&
           std::all_of(name.begin(), name.end(), may_follow);
}

const char* name_of(Errc code) noexcept {
    switch (code) {
    case Errc::bad_argument: return "bad_argument";
    case Errc::no_daemon: return "no_daemon";
    case Errc::no_such_topic: return "no_such_topic";
    case Errc::topic_exists: return "topic_exists";
    case Errc::different_options: return "different_options";
    case Errc::busy: return "busy";
    case Errc::permission: return "permission";
    case Errc::limit: return "limit";
    case Errc::unsupported: return "unsupported";
    case Errc::incompatible: return "incompatible";
    case Errc::damaged: return "damaged";
    case Errc::timed_out: return "timed_out";
    case Errc::disconnected: return "disconnected";
    case Errc::system: return "system";
    case Errc::no_such_subscription: return "no_such_subscription";
    case Errc::subscription_exists: return "subscription_exists";
    }
    return "unknown";
}

const char* name_of(FullPolicy policy) noexcept {
    switch (policy) {
    case FullPolicy::block: return "block";
    case FullPolicy::reject: return "reject";
    case FullPolicy::drop_oldest: return "drop-oldest";
    }
    return "unknown";
}

const char* name_of(Retention retention) noexcept {
    switch (retention) {
    case Retention::memory: return "memory";
    case Retention::disk: return "disk";
    }
    return "unknown";
}

const char* name_of(Sync sync) noexcept {
    switch (sync) {
    case Sync::none: return "none";
    case Sync::interval: return "interval";
    case Sync::group: return "group";
    }
    return "unknown";
}

const char* name_of(GapReason reason) noexcept {
    switch (reason) {
    case GapReason::aborted: return "aborted";
    case GapReason::overrun: return "overrun";
    case GapReason::evicted: return "evicted";
    case GapReason::lost: return "lost";
    case GapReason::expired: return "expired";
    case GapReason::corrupt: return "corrupt";
    }
    return "unknown";
}

const char* name_of(Durability durability) noexcept {
    switch (durability) {
    case Durability::durable: return "durable";
    case Durability::timed_out: return "timed_out";
    case Durability::not_durable: return "not_durable";
    case Durability::interrupted: return "interrupted";
    case Durability::closed: return "closed";
    }
    return "unknown";
}

const char* name_of(PublishOutcome outcome) noexcept {
    switch (outcome) {
    case PublishOutcome::published: return "published";
    case PublishOutcome::full: return "full";
    case PublishOutcome::pool_full: return "pool_full";
    case PublishOutcome::timed_out: return "timed_out";
    case PublishOutcome::closed: return "closed";
    case PublishOutcome::too_large: return "too_large";
    case PublishOutcome::bad_attributes: return "bad_attributes";
    case PublishOutcome::revoked: return "revoked";
    case PublishOutcome::interrupted: return "interrupted";
    case PublishOutcome::damaged: return "damaged";
    case PublishOutcome::duplicate: return "duplicate";
    }
    return "unknown";
}

const char* name_of(Order order) noexcept {
    switch (order) {
    case Order::per_key: return "per_key";
    case Order::none: return "none";
    }
    return "unknown";
}

const char* name_of(Acknowledged acknowledged) noexcept {
    switch (acknowledged) {
    case Acknowledged::done: return "done";
    case Acknowledged::not_held: return "not_held";
    case Acknowledged::not_set_aside: return "not_set_aside";
    }
    return "unknown";
}

} // namespace shmbus
