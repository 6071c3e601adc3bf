#include "daemon/control/policy.hpp"

#include <gmock/gmock.h>

namespace shmbus::control {
namespace {

using testing::HasSubstr;

constexpr uid_t owner = 990;
constexpr gid_t users = 500;
constexpr gid_t admins = 501;
const Policy policy(owner, users, admins);

const Subject root{0, {0}};
const Subject own{owner, {990}};
const Subject member{1000, {1000, users}};
const Subject admin{1001, {1001, admins}};
const Subject stranger{1002, {1002, 4, 24}};

TEST(Policy, LetsRootAndItsOwnUserDoAll) {
    for (const auto& who : {root, own}) {
        EXPECT_TRUE(policy.may_connect(who));
        EXPECT_TRUE(policy.may_use(who));
        EXPECT_TRUE(policy.may_administer(who, 1234));
    }
}

TEST(Policy, LetsTheGroupUseTheBusButAdministerOnlyWhatIsItsOwn) {
    EXPECT_TRUE(policy.may_connect(member));
    EXPECT_TRUE(policy.may_use(member));
    EXPECT_TRUE(policy.may_administer(member, member.uid));
    EXPECT_FALSE(policy.may_administer(member, admin.uid));
}

TEST(Policy, LetsAdminsConnectAndAdministerButNotUse) {
    EXPECT_TRUE(policy.may_connect(admin));
    EXPECT_FALSE(policy.may_use(admin));
    EXPECT_TRUE(policy.may_administer(admin, member.uid));
}

TEST(Policy, RefusesStrangers) {
    EXPECT_FALSE(policy.may_connect(stranger));
    EXPECT_FALSE(policy.may_use(stranger));
    EXPECT_FALSE(policy.may_administer(stranger, member.uid));
}

TEST(Policy, TakesThePrimaryGroupAsAnyOther) { EXPECT_TRUE(policy.may_use({1003, {users}})); }

TEST(Policy, AdmitsNobodyThroughAGroupThatDoesNotExist) {
    const Policy bare(owner, std::nullopt, std::nullopt);
    EXPECT_FALSE(bare.may_connect(member));
    EXPECT_FALSE(bare.may_administer(admin, 1));
    EXPECT_TRUE(bare.may_use(own));
}

TEST(Policy, KnowsWhoHasTheBusToHimself) {
    const Policy bare(owner, std::nullopt, std::nullopt);
    EXPECT_TRUE(bare.has_to_itself(own));
    EXPECT_FALSE(bare.has_to_itself(root)) << "the owner publishes, too";
    EXPECT_FALSE(policy.has_to_itself(own)) << "so do members of the group";
    EXPECT_FALSE(policy_of_this_host(true).may_use(member)) << "the socket keeps them out";
}

TEST(Policy, SaysWhatToDo) {
    EXPECT_THAT(policy.why_not_use(stranger), HasSubstr("usermod -aG shmbus \"$(id -nu 1002)\""));
    EXPECT_THAT(policy.why_not_administer(stranger, 7), HasSubstr("usermod -aG shmbus-admin"));
    const Policy bare(owner, std::nullopt, std::nullopt);
    EXPECT_THAT(bare.why_not_use(stranger), HasSubstr("groupadd --system shmbus"));
}

} // namespace
} // namespace shmbus::control
