#include "daemon/control/policy.hpp"

#include "shmbus/group.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace shmbus::control {

namespace {

const char* key_of(Right right) {
    switch (right) {
    case Right::publish: return "Publish";
    case Right::subscribe: return "Subscribe";
    case Right::administer: return "Administer";
    }
    return "?";
}

/// The shortest way: the first of the groups that may.
std::string remedy(const Subject& who, const Admitted& admitted, const std::string& key) {
    std::string configure =
        fmt::format("add user:{} to {} in the configuration (man shmbusd.conf) and reload shmbusd",
                    who.uid, key);
    if (admitted.list.groups.empty()) return configure;
    const auto& group = admitted.list.groups.front();
    const bool exists = std::find(admitted.missing.begin(), admitted.missing.end(),
                                  "group " + group) == admitted.missing.end();
    return fmt::format("{}usermod -aG {} \"$(id -nu {})\", and log in again; or {}",
                       exists ? "" : fmt::format("groupadd --system {}, reload shmbusd, ", group),
                       group, who.uid, configure);
}

} // namespace

Policy::Policy(uid_t owner, const AccessRules& rules, Look look)
    : owner_(owner), use_(note(look(rules.use))), administer_(note(look(rules.administer))) {
    for (const auto& [topic, of_topic] : rules.topics)
        for (const auto& [right, list] : of_topic) topics_[topic].emplace(right, note(look(list)));
}

Admitted Policy::note(Admitted admitted) {
    anywhere_.list.everybody |= admitted.list.everybody;
    anywhere_.users.insert(admitted.users.begin(), admitted.users.end());
    anywhere_.groups.insert(admitted.groups.begin(), admitted.groups.end());
    missing_.insert(admitted.missing.begin(), admitted.missing.end());
    return admitted;
}

bool Policy::is_master(const Subject& who) const noexcept {
    return who.uid == 0 || who.uid == owner_;
}

bool Policy::may_connect(const Subject& who) const noexcept {
    return is_master(who) || anywhere_.has(who);
}

bool Policy::may_create(const Subject& who) const noexcept {
    return is_master(who) || use_.has(who);
}

/// Dead letters are events of their topic, so who may not read it does not read them either; who may is a
/// member that writes them.
const Admitted& Policy::admitted(Right right, const std::string& topic) const noexcept {
    for (std::string_view name = topic;; name.remove_suffix(dead_letter_suffix.size())) {
        if (const auto rules = topics_.find(name); rules != topics_.end())
            if (const auto rule = rules->second.find(right); rule != rules->second.end())
                return rule->second;
        if (!name.ends_with(dead_letter_suffix)) break;
        if (right == Right::publish) right = Right::subscribe;
    }
    return right == Right::administer ? administer_ : use_;
}

bool Policy::may(Right right, const Subject& who, const std::string& topic,
                 std::optional<uid_t> creator) const noexcept {
    return is_master(who) || (right == Right::administer && who.uid == creator) ||
           admitted(right, topic).has(who);
}

bool Policy::publishes_alone(const Subject& who, const std::string& topic) const noexcept {
    return (owner_ == 0 || owner_ == who.uid) &&
           admitted(Right::publish, topic).is_at_most(who.uid);
}

bool Policy::has_to_itself(const Subject& who) const noexcept {
    return who.uid == owner_ && use_.is_at_most(owner_);
}

std::string Policy::refusal(const Subject& who, const std::string& what, const std::string& others,
                            const Admitted& admitted, const std::string& key) const {
    const auto names = admitted.list.words();
    const auto may = names.empty() ? fmt::format("{}root and user {}", others, owner_)
                                   : fmt::format("{}root, user {} and {}", others, owner_, names);
    return fmt::format("user {} may not {}: only {} may; as root: {}", who.uid, what, may,
                       remedy(who, admitted, key));
}

std::string Policy::why_not_connect(const Subject& who) const {
    return refusal(who, "use this bus", "", use_, "Use= of [Access]");
}

std::string Policy::why_not_create(const Subject& who) const {
    return refusal(who, "create topics on this bus", "", use_, "Use= of [Access]");
}

std::string Policy::why_not(Right right, const Subject& who, const std::string& topic,
                            std::optional<uid_t> creator) const {
    const auto& who_may = admitted(right, topic);
    const bool of_bus = &who_may == &use_ || &who_may == &administer_;
    const auto key =
        of_bus ? std::string(right == Right::administer ? "Administer" : "Use") + "= of [Access]"
               : fmt::format("{}= of [Topic {}]", key_of(right), topic);
    const auto what = right == Right::publish     ? "publish to topic " + topic
                      : right == Right::subscribe ? "subscribe to topic " + topic
                                                  : "administer topic " + topic;
    const auto others = creator ? fmt::format("the topic's creator (user {}), ", *creator) : "";
    return refusal(who, what, others, who_may, key);
}

AccessRules rules_of_private_bus() { return {.use = {}, .administer = {}}; }

} // namespace shmbus::control
