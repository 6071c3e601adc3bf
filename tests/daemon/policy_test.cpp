#include "daemon/control/policy.hpp"

#include <gmock/gmock.h>

namespace shmbus::control {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr uid_t owner = 990;
constexpr gid_t users = 500;
constexpr gid_t admins = 501;
constexpr gid_t tellers = 502;
constexpr uid_t ann = 1010;

/// A host with these groups, and one user.
Admitted on_host(const AccessList& list) {
    Admitted admitted{.list = list};
    const std::map<std::string, gid_t> groups{
        {"shmbus", users}, {"shmbus-admin", admins}, {"tellers", tellers}};
    for (const auto& name : list.groups)
        if (const auto found = groups.find(name); found != groups.end())
            admitted.groups.insert(found->second);
        else
            admitted.missing.push_back("group " + name);
    for (const auto& name : list.users)
        if (name == "ann")
            admitted.users.insert(ann);
        else
            admitted.missing.push_back("user " + name);
    return admitted;
}

/// One without any.
Admitted on_bare_host(const AccessList& list) {
    Admitted admitted{.list = list};
    for (const auto& name : list.groups) admitted.missing.push_back("group " + name);
    return admitted;
}

const Policy policy(owner, {}, on_host);

const Subject root{0, {0}};
const Subject own{owner, {990}};
const Subject member{1000, {1000, users}};
const Subject admin{1001, {1001, admins}};
const Subject stranger{1002, {1002, 4, 24}};
const Subject teller{1003, {1003, tellers}};
const Subject user_ann{ann, {ann}};

bool may_use(const Policy& of, const Subject& who) {
    const bool may = of.may_create(who);
    EXPECT_EQ(of.may(Right::publish, who, "orders"), may);
    EXPECT_EQ(of.may(Right::subscribe, who, "orders"), may);
    return may;
}
bool may_administer(const Policy& of, const Subject& who, uid_t creator) {
    return of.may(Right::administer, who, "orders", creator);
}

TEST(Policy, LetsRootAndItsOwnUserDoAll) {
    for (const auto& who : {root, own}) {
        EXPECT_TRUE(policy.may_connect(who));
        EXPECT_TRUE(may_use(policy, who));
        EXPECT_TRUE(may_administer(policy, who, 1234));
    }
}

TEST(Policy, LetsTheGroupUseTheBusButAdministerOnlyWhatIsItsOwn) {
    EXPECT_TRUE(policy.may_connect(member));
    EXPECT_TRUE(may_use(policy, member));
    EXPECT_TRUE(may_administer(policy, member, member.uid));
    EXPECT_FALSE(may_administer(policy, member, admin.uid));
}

TEST(Policy, LetsAdminsConnectAndAdministerButNotUse) {
    EXPECT_TRUE(policy.may_connect(admin));
    EXPECT_FALSE(may_use(policy, admin));
    EXPECT_TRUE(may_administer(policy, admin, member.uid));
}

TEST(Policy, RefusesStrangers) {
    EXPECT_FALSE(policy.may_connect(stranger));
    EXPECT_FALSE(may_use(policy, stranger));
    EXPECT_FALSE(may_administer(policy, stranger, member.uid));
}

TEST(Policy, TakesThePrimaryGroupAsAnyOther) { EXPECT_TRUE(may_use(policy, {1003, {users}})); }

TEST(Policy, AdmitsNobodyThroughAGroupThatDoesNotExist) {
    const Policy bare(owner, {}, on_bare_host);
    EXPECT_FALSE(bare.may_connect(member));
    EXPECT_FALSE(may_administer(bare, admin, 1));
    EXPECT_TRUE(may_use(bare, own));
    EXPECT_THAT(bare.missing(), ElementsAre("group shmbus", "group shmbus-admin"));
}

TEST(Policy, KnowsWhoHasTheBusToHimself) {
    const Policy alone(owner, rules_of_private_bus(), on_host);
    EXPECT_TRUE(alone.has_to_itself(own));
    EXPECT_FALSE(alone.has_to_itself(root)) << "the owner creates, too";
    EXPECT_FALSE(policy.has_to_itself(own)) << "so do members of the group";
    EXPECT_FALSE(may_use(alone, member)) << "the socket keeps them out";
}

/// Tellers publish to orders, ann and the group read them, and only ann looks after them.
AccessRules rules_of_orders() {
    AccessRules rules;
    rules.topics["orders"] = {{Right::publish, {.groups = {"tellers"}}},
                              {Right::subscribe, {.users = {"ann"}, .groups = {"shmbus"}}},
                              {Right::administer, {.users = {"ann"}}}};
    return rules;
}

TEST(Policy, OfATopicStandsInPlaceOfTheBuss) {
    const Policy of(owner, rules_of_orders(), on_host);
    EXPECT_TRUE(of.may(Right::publish, teller, "orders"));
    EXPECT_FALSE(of.may(Right::publish, member, "orders"));
    EXPECT_FALSE(of.may(Right::subscribe, teller, "orders"));
    EXPECT_TRUE(of.may(Right::subscribe, user_ann, "orders"));
    EXPECT_TRUE(of.may(Right::subscribe, member, "orders"));
    EXPECT_TRUE(of.may(Right::administer, user_ann, "orders", member.uid));
    EXPECT_FALSE(of.may(Right::administer, admin, "orders", member.uid));
    EXPECT_TRUE(of.may(Right::administer, member, "orders", member.uid)) << "the creator";
    for (const auto& who : {root, own}) EXPECT_TRUE(of.may(Right::publish, who, "orders"));
    EXPECT_TRUE(of.may(Right::publish, member, "others"));
    EXPECT_FALSE(of.may(Right::publish, teller, "others"));
}

TEST(Policy, OfATopicIsThatOfItsDeadLetters) {
    auto rules = rules_of_orders();
    const Policy of(owner, rules, on_host);
    for (const auto* letters : {"orders.dlq", "orders.dlq.dlq"}) {
        EXPECT_FALSE(of.may(Right::subscribe, teller, letters)) << "payloads of orders";
        EXPECT_TRUE(of.may(Right::subscribe, user_ann, letters));
        EXPECT_TRUE(of.may(Right::publish, user_ann, letters)) << "as a member of a group";
        EXPECT_FALSE(of.may(Right::publish, teller, letters));
        EXPECT_TRUE(of.may(Right::administer, user_ann, letters, member.uid));
        EXPECT_FALSE(of.may(Right::administer, admin, letters, member.uid));
    }
    EXPECT_TRUE(of.may(Right::subscribe, member, "others.dlq"));
    EXPECT_FALSE(of.may(Right::subscribe, teller, "others.dlq"));
    rules.topics["orders.dlq"] = {{Right::subscribe, {.groups = {"tellers"}}}};
    const Policy own_rule(owner, rules, on_host);
    EXPECT_TRUE(own_rule.may(Right::subscribe, teller, "orders.dlq"));
    EXPECT_FALSE(own_rule.may(Right::subscribe, user_ann, "orders.dlq"));
    EXPECT_TRUE(own_rule.may(Right::publish, user_ann, "orders.dlq")) << "the rule is not of that";
    EXPECT_FALSE(own_rule.may(Right::publish, teller, "orders.dlq"));
    EXPECT_TRUE(own_rule.may(Right::administer, user_ann, "orders.dlq"));
}

TEST(Policy, LetsWhomATopicAdmitsConnectAndCreateNothing) {
    const Policy of(owner, rules_of_orders(), on_host);
    for (const auto& who : {teller, user_ann}) {
        EXPECT_TRUE(of.may_connect(who));
        EXPECT_FALSE(of.may_create(who));
    }
    EXPECT_FALSE(of.may_connect(stranger));
}

TEST(Policy, EverybodyAndNobodyAreLists) {
    AccessRules rules{.use = {.everybody = true}, .administer = {}};
    rules.topics["quiet"][Right::publish] = {};
    const Policy of(owner, rules, on_host);
    EXPECT_TRUE(of.may_create(stranger));
    EXPECT_TRUE(of.may(Right::subscribe, stranger, "quiet"));
    EXPECT_FALSE(of.may(Right::publish, stranger, "quiet"));
    EXPECT_TRUE(of.may(Right::publish, own, "quiet"));
}

/// Otherwise a subscriber would parse in place what others can change meanwhile.
TEST(Policy, KnowsWhoPublishesAloneToATopic) {
    AccessRules rules;
    rules.topics["hers"][Right::publish] = {.users = {"ann"}};
    rules.topics["roots"][Right::publish] = {};
    rules.topics["tellers"][Right::publish] = {.groups = {"tellers"}};
    rules.topics["all"][Right::publish] = {.everybody = true};
    const Policy of_root(0, rules, on_host);
    EXPECT_TRUE(of_root.publishes_alone(user_ann, "hers"));
    EXPECT_FALSE(of_root.publishes_alone(member, "hers"));
    EXPECT_FALSE(of_root.publishes_alone(root, "hers"));
    EXPECT_TRUE(of_root.publishes_alone(root, "roots"));
    EXPECT_TRUE(of_root.publishes_alone(stranger, "roots"));
    for (const char* topic : {"tellers", "all", "others"})
        EXPECT_FALSE(of_root.publishes_alone(root, topic)) << topic;
    const Policy of_owner(owner, rules, on_host);
    EXPECT_FALSE(of_owner.publishes_alone(user_ann, "hers"))
        << "the daemon's user may publish, too";
    EXPECT_TRUE(of_owner.publishes_alone(own, "roots"));
}

TEST(Policy, SaysWhatToDo) {
    EXPECT_THAT(policy.why_not_connect(stranger),
                HasSubstr("only root, user 990 and group shmbus may; as root: usermod -aG shmbus "
                          "\"$(id -nu 1002)\""));
    EXPECT_THAT(policy.why_not(Right::administer, stranger, "orders", 7),
                testing::AllOf(HasSubstr("the topic's creator (user 7)"),
                               HasSubstr("usermod -aG shmbus-admin")));
    const Policy bare(owner, {}, on_bare_host);
    EXPECT_THAT(bare.why_not_create(stranger), HasSubstr("groupadd --system shmbus"));
    const Policy of(owner, rules_of_orders(), on_host);
    EXPECT_THAT(of.why_not(Right::publish, member, "orders"),
                testing::AllOf(
                    HasSubstr("user 1000 may not publish to topic orders: only root, user 990 and "
                              "group tellers may"),
                    HasSubstr("usermod -aG tellers"),
                    HasSubstr("add user:1000 to Publish= of [Topic orders]")));
    EXPECT_THAT(of.why_not(Right::administer, admin, "orders"),
                testing::AllOf(HasSubstr("and user ann may"), Not(HasSubstr("usermod"))));
    EXPECT_THAT(of.why_not(Right::subscribe, stranger, "others"), HasSubstr("Use= of [Access]"));
}

TEST(Admitted, AsksTheHost) {
    const auto admitted =
        admitted_by({.users = {"root", "4711", "no-such-user"}, .groups = {"no-such-group", "0"}});
    EXPECT_THAT(admitted.users, ElementsAre(0, 4711));
    EXPECT_THAT(admitted.groups, ElementsAre(0));
    EXPECT_THAT(admitted.missing, ElementsAre("user no-such-user", "group no-such-group"));
}

} // namespace
} // namespace shmbus::control
