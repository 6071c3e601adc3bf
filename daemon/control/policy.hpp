// Who may do what on this bus: a pure function of who asks and what the configuration admits.
//
//                        the bus's own user, root     Use=     Administer=     creator
//     hello, look                 yes                 yes         yes
//     create                      yes                 yes
//     publish, subscribe          yes                 yes
//     remove, drain               yes                             yes            yes
//
// Use= is group shmbus and Administer= is group shmbus-admin, unless the configuration says otherwise. For a topic
// it can say who publishes, subscribes and administers instead of those; whom it names there may say hello, too.
#pragma once

#include "daemon/control/access.hpp"

#include <map>
#include <optional>

namespace shmbus::control {

enum class Right { publish, subscribe, administer };

/// As the configuration has it. What is not said of a topic is as on the bus.
struct AccessRules {
    static constexpr const char* users_group = "shmbus";
    static constexpr const char* admins_group = "shmbus-admin";

    AccessList use = {.groups = {users_group}};
    AccessList administer = {.groups = {admins_group}};
    using OfTopic = std::map<Right, AccessList>;
    std::map<std::string, OfTopic> topics = {};
    bool operator==(const AccessRules&) const = default;
};

class Policy {
  public:
    using Look = Admitted (*)(const AccessList&);
    /// `look` asks the host who is meant. @throws what that throws
    Policy(uid_t owner, const AccessRules& rules, Look look = admitted_by);

    [[nodiscard]] bool may_connect(const Subject& who) const noexcept;
    [[nodiscard]] bool may_create(const Subject& who) const noexcept;
    /// `creator`: a topic's own may administer it.
    [[nodiscard]] bool may(Right right, const Subject& who, const std::string& topic,
                           std::optional<uid_t> creator = {}) const noexcept;
    /// Whether nobody else but root may publish to this topic.
    [[nodiscard]] bool publishes_alone(const Subject& who, const std::string& topic) const noexcept;
    /// Whether nobody else but root may create anything.
    [[nodiscard]] bool has_to_itself(const Subject& who) const noexcept;

    /// What to tell somebody who may not, with the remedy.
    [[nodiscard]] std::string why_not_connect(const Subject& who) const;
    [[nodiscard]] std::string why_not_create(const Subject& who) const;
    [[nodiscard]] std::string why_not(Right right, const Subject& who, const std::string& topic,
                                      std::optional<uid_t> creator = {}) const;
    /// Users and groups that the rules name and the host does not have: "group shmbus".
    [[nodiscard]] const std::set<std::string>& missing() const noexcept { return missing_; }

  private:
    [[nodiscard]] bool is_master(const Subject& who) const noexcept;
    [[nodiscard]] const Admitted& admitted(Right right, const std::string& topic) const noexcept;
    [[nodiscard]] std::string refusal(const Subject& who, const std::string& what,
                                      const std::string& others, const Admitted& admitted,
                                      const std::string& key) const;
    Admitted note(Admitted admitted);
    uid_t owner_;
    std::set<std::string> missing_;
    Admitted anywhere_; // all together
    Admitted use_;
    Admitted administer_;
    std::map<std::string, std::map<Right, Admitted>, std::less<>> topics_;
};

/// Nobody but its own user and root can reach the socket of a private bus, so there are no rules to make.
[[nodiscard]] AccessRules rules_of_private_bus();

} // namespace shmbus::control
