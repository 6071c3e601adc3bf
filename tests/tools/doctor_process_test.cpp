#include "tools/doctor/process.hpp"
#include "tools/doctor_fixture.hpp"

#include <csignal>
#include <limits>
#include <sstream>
#include <sys/wait.h>
#include <unistd.h>

namespace shmbus::tools::doctor {
namespace {

TEST(DoctorProcess, ReadsStat) {
    const auto process = parse_stat("4711 (a (b) c) T 17 4711 0 -1");
    ASSERT_TRUE(process);
    EXPECT_EQ(process->pid, 4711U);
    EXPECT_EQ(process->command, "a (b) c");
    EXPECT_EQ(process->parent, 17U);
    EXPECT_TRUE(process->is_stopped());
    EXPECT_FALSE(parse_stat("1 (init) S 0")->is_stopped());
    EXPECT_TRUE(parse_stat("1 (traced) t 0")->is_stopped());
    for (const auto* const text : {"", "1", "1 (a", "1 a) S 2", ")(", "x (a) S 1", "1 (a) S"})
        EXPECT_FALSE(parse_stat(text)) << text;
}

TEST(DoctorProcess, SeesThatOneIsStopped) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::raise(SIGSTOP);
        ::_exit(0);
    }
    ASSERT_EQ(::waitpid(child, nullptr, WUNTRACED), child);
    const auto process = process_of(static_cast<std::uint32_t>(child));
    EXPECT_TRUE(process && process->is_stopped());
    EXPECT_EQ(process ? process->parent : 0, static_cast<std::uint32_t>(::getpid()));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    EXPECT_FALSE(process_of(static_cast<std::uint32_t>(child)));
}

TEST(DoctorProcess, ReadsLimits) {
    const std::string text = "Limit    Soft Limit  Hard Limit  Units\n"
                             "Max processes   7   8   processes\n"
                             "Max open files            1024                 524288      files\n";
    EXPECT_EQ(parse_descriptor_limit(text), 1024U);
    EXPECT_EQ(parse_descriptor_limit("Max open files unlimited unlimited files"),
              std::numeric_limits<std::uint64_t>::max());
    EXPECT_FALSE(parse_descriptor_limit("Max processes 7 8 processes\n"));
    EXPECT_FALSE(parse_descriptor_limit("Max open files"));
    EXPECT_TRUE(parse_descriptor_limit(contents_of("/proc/self/limits")));
}

TEST(DoctorProcess, ReadsNamespaces) {
    EXPECT_EQ(parse_namespaces("Name:\tNSpid: 7 8 9\nNSpid:\t4711\nNSpgid:\t4711\n"), 1U);
    EXPECT_EQ(parse_namespaces("NSpid:\t4711\t1\n"), 2U);
    EXPECT_FALSE(parse_namespaces("Pid:\t4711\n"));
    EXPECT_TRUE(parse_namespaces(contents_of("/proc/self/status")));
}

TEST(DoctorProcess, FindsWhoseSocketListens) {
    const std::string table =
        "Num       RefCount Protocol Flags    Type St Inode Path\n"
        "0000000000000000: 00000003 00000000 00000000 0001 03 77 /run/a b.sock\n"
        "0000000000000000: 00000002 00000000 00010000 0001 01 78 /run/a b.sock\n"
        "0000000000000000: 00000002 00000000 00010000 0001 01 79 /run/a\n"
        "0000000000000000: 00000002 00000000 00000000 0002 01 80\n";
    const auto found = [&](const std::string& path) {
        std::istringstream text(table);
        return listener_in(text, path);
    };
    EXPECT_EQ(found("/run/a b.sock"), "78");
    EXPECT_EQ(found("/run/a"), "79");
    EXPECT_EQ(found("/run/b.sock"), "");
}

TEST(DoctorProcess, ReadsTheUnitOfAProcess) {
    EXPECT_EQ(parse_service("0::/system.slice/shmbusd.service\n"),
              (Service{"shmbusd.service", false}));
    EXPECT_EQ(
        parse_service(
            "4:memory:/x.service\n"
            "1:name=systemd:/user.slice/user-7.slice/user@7.service/app.slice/my@1.service\n"),
        (Service{"my@1.service", true}));
    for (const auto* const text :
         {"", "0::/\n", "0::/user.slice/session-3.scope\n", "0::/a/$(reboot).service\n",
          "0::/a/--host=x.service\n", "0::/.service\n", "0::/user@7.service/a b.service\n"})
        EXPECT_EQ(parse_service(text), Service{}) << text;
}

} // namespace
} // namespace shmbus::tools::doctor
