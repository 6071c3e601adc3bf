// What a parent keeps for its workers.
#include "base/pidfd.hpp"
#include "daemon/family.hpp"

#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>

namespace shmbus::parent {
namespace {

using test::descriptors_of;
using test::Family;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

class ParentStoreTest : public test::FamilyTest {};

base::Fd file_of(const std::string& content) {
    base::Fd fd(::memfd_create("test", MFD_CLOEXEC));
    EXPECT_EQ(::write(fd.get(), content.data(), content.size()), ssize_t(content.size()));
    return fd;
}

int lowest_free_of(pid_t pid) {
    const std::string all = "/proc/" + std::to_string(pid) + "/fd/";
    int fd = 0;
    while (std::filesystem::is_symlink(all + std::to_string(fd))) ++fd;
    return fd;
}

TEST_F(ParentStoreTest, HandsBackWhatWasStored) {
    Family family;
    EXPECT_EQ(family.ask("list"), "list ");
    EXPECT_EQ(family.ask("store ring one"), "ok");
    EXPECT_EQ(family.ask("store cursors two three"), "ok");
    family.notify("READY=1");
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(family.kill_worker(), "died of SIGKILL; starting it again");
        family.greet();
        EXPECT_EQ(family.ask("list"), "list cursors=three cursors=two ring=one");
        family.notify("READY=1");
    }
}

TEST_F(ParentStoreTest, ForgetsWhatIsRemoved) {
    Family family;
    family.notify("READY=1");
    EXPECT_EQ(family.ask("store a 1 2"), "ok");
    EXPECT_EQ(family.ask("store b 3"), "ok");
    EXPECT_EQ(family.ask("store a 4"), "ok");
    const auto before = descriptors_of(family.parent().pid());
    EXPECT_THAT(family.notify("FDSTOREREMOVE=1;FDNAME=a"), ElementsAre());
    EXPECT_EQ(descriptors_of(family.parent().pid()), before - 3);
    EXPECT_THAT(family.notify("FDSTOREREMOVE=1;FDNAME=unknown"), ElementsAre());
    family.kill_worker();
    family.greet();
    EXPECT_EQ(family.ask("list"), "list b=3");
}

/// What is stored last has the lowest numbers, which a worker expects to find others at.
TEST_F(ParentStoreTest, NumbersInAnyOrder) {
    Family family;
    family.notify("READY=1");
    EXPECT_EQ(family.ask("store a 0 1 2 3 4 5 6 7 8 9 a b c d e f"), "ok");
    EXPECT_EQ(family.ask("store b 0 1 2 3 4 5 6 7 8 9 a b c d e f"), "ok");
    EXPECT_THAT(family.notify("FDSTOREREMOVE=1;FDNAME=a"), ElementsAre());
    EXPECT_EQ(family.ask("store c 0 1 2 3 4 5 6 7"), "ok");
    family.kill_worker();
    family.greet();
    EXPECT_EQ(family.ask("list"),
              "list b=0 b=1 b=2 b=3 b=4 b=5 b=6 b=7 b=8 b=9 b=a b=b b=c b=d b=e b=f "
              "c=0 c=1 c=2 c=3 c=4 c=5 c=6 c=7");
}

TEST_F(ParentStoreTest, NamesThatCannotBeOnesGiveWay) {
    Family family;
    family.notify("READY=1");
    const std::string longest(255, 'n');
    for (const auto& name : {std::string("a:b"), std::string("\x7f"), longest + 'n', longest})
        EXPECT_EQ(family.ask("store " + name + " x"), "ok");
    family.kill_worker();
    family.greet();
    EXPECT_EQ(family.ask("list"), "list " + longest + "=x stored=x stored=x stored=x");
}

TEST_F(ParentStoreTest, KeepsLastWords) {
    Family family;
    const auto pidfd = base::open_pidfd(family.worker());
    family.parent().kill(SIGSTOP); // the words and the death meet it together
    family.parent().say("last-words will all");
    pollfd death{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(::poll(&death, 1, 60'000), 1);
    family.parent().kill(SIGCONT);
    EXPECT_EQ(family.obituary(), "died of SIGKILL; starting it again in 50 ms");
    family.greet();
    EXPECT_EQ(family.ask("list"), "list will=all");
}

TEST_F(ParentStoreTest, LeaksNothing) {
    Family family;
    EXPECT_EQ(family.ask("store ring one two"), "ok");
    family.notify("READY=1");
    const auto before = descriptors_of(family.parent().pid());
    for (int i = 0; i < 100; ++i) {
        family.kill_worker();
        family.greet();
        family.notify("READY=1");
    }
    EXPECT_EQ(descriptors_of(family.parent().pid()), before);
    EXPECT_EQ(family.ask("list"), "list ring=one ring=two");
}

TEST_F(ParentStoreTest, AWorkerHasWhatWasStoredAndNothingElse) {
    const auto foreign = file_of("of whoever started the parent");
    Family family({}, {foreign.get(), foreign.get()});
    EXPECT_EQ(family.ask("open"), "open 0 1 2");
    EXPECT_THAT(family.ask("environment"),
                StartsWith("environment WATCHDOG_USEC=3600000000 NOTIFY_SOCKET=@"));
    family.notify("READY=1");
    EXPECT_EQ(family.ask("store ring one two"), "ok");
    family.kill_worker();
    family.greet();
    EXPECT_EQ(family.ask("open"), "open 0 1 2 3 4");
    EXPECT_THAT(family.ask("environment"),
                StartsWith("environment LISTEN_FDS=2 LISTEN_FDNAMES=ring:ring "
                           "WATCHDOG_USEC=3600000000 NOTIFY_SOCKET=@"));
}

TEST_F(ParentStoreTest, PassesOnWhatItWasActivatedWith) {
    const auto socket = file_of("socket");
    const auto other = file_of("other");
    Family family({"names=bus:x"}, {socket.get(), other.get()});
    EXPECT_EQ(family.ask("list"), "list bus=socket x=other");
    EXPECT_THAT(family.ask("environment"),
                StartsWith("environment LISTEN_FDS=2 LISTEN_FDNAMES=bus:x WATCHDOG_USEC=3600000000 "
                           "NOTIFY_SOCKET=@"));
    EXPECT_EQ(family.ask("store ring one"), "ok");
    family.kill_worker();
    family.greet();
    EXPECT_EQ(family.ask("list"), "list bus=socket ring=one x=other");
}

TEST_F(ParentStoreTest, ABoundForTheStore) {
    Family family({"limit=64"});
    family.notify("READY=1");
    const std::string ten = " 1 2 3 4 5 6 7 8 9 0";
    for (int i = 0; i < 3; ++i) EXPECT_EQ(family.ask("store a" + ten), "ok");
    family.parent().say("store b" + ten);
    EXPECT_THAT(family.parent().hear(), HasSubstr("no room for its descriptors"));
    EXPECT_EQ(family.parent().hear(), "ok");
    family.kill_worker();
    family.greet();
    EXPECT_THAT(family.ask("environment"), HasSubstr("LISTEN_FDS=32"));
}

TEST_F(ParentStoreTest, IgnoresWhatHasLostItsDescriptors) {
    Family family;
    family.notify("READY=1");
    const pid_t parent = family.parent().pid();
    const auto before = descriptors_of(parent);
    rlimit limit{};
    ASSERT_EQ(::prlimit(parent, RLIMIT_NOFILE, nullptr, &limit), 0);
    const rlimit room_for_one{static_cast<rlim_t>(lowest_free_of(parent) + 1), limit.rlim_max};
    ASSERT_EQ(::prlimit(parent, RLIMIT_NOFILE, &room_for_one, nullptr), 0);
    family.parent().say("store ring one two three");
    EXPECT_THAT(family.parent().hear(), EndsWith("is ignored: no room for its descriptors"));
    EXPECT_EQ(family.parent().hear(), "ok");
    EXPECT_EQ(descriptors_of(parent), before);
    ASSERT_EQ(::prlimit(parent, RLIMIT_NOFILE, &limit, nullptr), 0);
    EXPECT_EQ(family.ask("store ring four"), "ok");
    family.kill_worker();
    family.greet();
    EXPECT_EQ(family.ask("list"), "list ring=four");
}

} // namespace
} // namespace shmbus::parent
