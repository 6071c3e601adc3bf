// Proves what another user cannot do, with a second user and a real daemon:
//
//   * who is not in the group shmbus is refused, and told what to do;
//   * who is in it publishes and receives, but as a subscriber cannot write the ring, in no way
//   that
//     the kernel offers for a descriptor, nor open it anew for writing, resize it, punch holes into
//     it, unseal or seal it, change its mode; likewise a publisher the readers object;
//   * neither can get at the daemon's memory and descriptors.
//
// Needs root, to become somebody else. The group is there for the daemon alone: it runs in a mount
// namespace with an /etc/group of its own, unless the host has the group already.
#include "process/child.hpp"
#include "process/raw_client.hpp"
#include "shmbus/bus.hpp"
#include "support/daemon_process.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <functional>
#include <grp.h>
#include <gtest/gtest.h>
#include <iostream>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

namespace shmbus::test {

namespace {

namespace fs = std::filesystem;

constexpr uid_t other_user = 61'234; // nobody's
constexpr gid_t other_group = 61'234;

/// Tries things that must fail, and says which of them did not.
class Attempts {
  public:
    void must_fail(const std::string& what, bool succeeded) {
        ++count_;
        if (succeeded) say("breach " + what);
    }
    void on_read_only(const std::string& name, int fd, std::size_t size) {
        const std::string path = "/proc/self/fd/" + std::to_string(fd);
        const auto tries = [&](const char* what, bool succeeded) {
            must_fail(name + ": " + what, succeeded);
        };
        tries("map for writing", map(fd, size, PROT_READ | PROT_WRITE) != nullptr);
        void* mapped = map(fd, size, PROT_READ);
        if (mapped == nullptr) throw std::runtime_error("cannot even read the " + name);
        tries("make the mapping writable", ::mprotect(mapped, size, PROT_READ | PROT_WRITE) == 0);
        tries("write through /proc/self/mem", write_own_memory(mapped));
        tries("open anew read-write", opens(path, O_RDWR));
        tries("open anew write-only", opens(path, O_WRONLY));
        tries("open the mapping read-write", opens(map_file(mapped, size), O_RDWR));
        tries("write", ::pwrite(fd, "x", 1, 0) > 0);
        tries("splice into", splices(fd));
        on_any(name, fd, size);
    }
    /// What nobody may who only holds a descriptor, be it for writing.
    void on_any(const std::string& name, int fd, std::size_t size) {
        const auto tries = [&](const char* what, bool succeeded) {
            must_fail(name + ": " + what, succeeded);
        };
        const auto length = static_cast<off_t>(size);
        tries("shrink", ::ftruncate(fd, 0) == 0);
        tries("grow", ::ftruncate(fd, 2 * length) == 0);
        tries("allocate beyond its end", ::fallocate(fd, 0, length, 4096) == 0);
        tries("seal against writing", ::fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0);
        tries("seal against future writing", ::fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0);
        tries("change its mode", ::fchmod(fd, 0777) == 0);
        tries("change its owner", ::fchown(fd, other_user, other_group) == 0);
    }
    void on_process(pid_t pid) {
        const std::string proc = "/proc/" + std::to_string(pid);
        must_fail("attach to the daemon", ::ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) == 0);
        must_fail("open the daemon's memory", opens(proc + "/mem", O_RDWR));
        must_fail("read the daemon's memory", opens(proc + "/mem", O_RDONLY));
        must_fail("see the daemon's mappings",
                  opens(proc + "/maps", O_RDONLY) && std::ifstream(proc + "/maps").peek() != EOF);
        must_fail("stop the daemon", ::kill(pid, SIGSTOP) == 0);
        char byte = 0;
        iovec here{&byte, 1};
        iovec there{this, 1};
        must_fail("process_vm_writev", ::process_vm_writev(pid, &here, 1, &there, 1, 0) > 0);
        const base::Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
        for (int fd = 0; fd < 64; ++fd) {
            must_fail(
                "take the daemon's descriptor " + std::to_string(fd),
                base::Fd(static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd.get(), fd, 0))).get() >=
                    0);
            must_fail("open the daemon's descriptor " + std::to_string(fd),
                      opens(proc + "/fd/" + std::to_string(fd), O_RDONLY));
        }
    }
    [[nodiscard]] unsigned count() const { return count_; }

  private:
    static void* map(int fd, std::size_t size, int access) {
        void* at = ::mmap(nullptr, size, access, MAP_SHARED, fd, 0);
        return at == MAP_FAILED ? nullptr : at;
    }
    static bool opens(const std::string& path, int flags) {
        return bool(base::Fd(::open(path.c_str(), flags | O_CLOEXEC)));
    }
    static std::string map_file(void* at, std::size_t size) {
        char path[64];
        const auto begin = reinterpret_cast<std::uintptr_t>(at);
        std::snprintf(path, sizeof path, "/proc/self/map_files/%lx-%lx", begin, begin + size);
        return path;
    }
    /// The kernel writes through /proc/self/mem where the mapping itself would not let one.
    static bool write_own_memory(void* at) {
        const base::Fd mem(::open("/proc/self/mem", O_RDWR | O_CLOEXEC));
        return ::pwrite(mem.get(), "x", 1,
                        static_cast<off_t>(reinterpret_cast<std::uintptr_t>(at))) > 0;
    }
    static bool splices(int fd) {
        int pipe[2];
        if (::pipe2(pipe, O_CLOEXEC | O_NONBLOCK) != 0) throw std::runtime_error("pipe2");
        const base::Fd out(pipe[0]);
        const base::Fd in(pipe[1]);
        if (::write(in.get(), "x", 1) != 1) throw std::runtime_error("write to a pipe");
        off_t offset = 0;
        return ::splice(out.get(), nullptr, fd, &offset, 1, 0) > 0;
    }
    unsigned count_ = 0;
};

std::size_t size_of(const base::Fd& fd) {
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) throw std::runtime_error("fstat");
    return static_cast<std::size_t>(status.st_size);
}

/// intruder SOCKET DAEMON: tries everything; says each breach, then how much it tried.
SHMBUS_WORKER(intruder) {
    Attempts attempts;
    const auto subscriber = raw_open(args.text(0), "secret", RawRole::subscriber);
    attempts.on_read_only("ring", subscriber.ring.get(), size_of(subscriber.ring));
    attempts.on_any("own readers object", subscriber.readers.get(), size_of(subscriber.readers));
    const auto publisher = raw_open(args.text(0), "secret", RawRole::publisher);
    attempts.on_read_only("readers object", publisher.readers.get(), size_of(publisher.readers));
    attempts.on_any("own ring", publisher.ring.get(), size_of(publisher.ring));
    attempts.on_process(static_cast<pid_t>(args.number(1)));
    say("tried " + std::to_string(attempts.count()));
    return 0;
}

/// member SOCKET: what a user of the bus may do.
SHMBUS_WORKER(member) {
    Bus bus({.socket = args.text(0)});
    auto subscription = bus.subscribe("secret", {.start = Start::all()});
    auto publisher = bus.publisher("secret");
    if (!publisher.publish("from the other user")) return 1;
    for (int i = 0; i < 2; ++i) {
        auto received = subscription.receive(patience);
        if (const auto* event = std::get_if<Event>(&received)) say(event->text());
    }
    try {
        bus.remove_topic("secret", true);
        say("removed");
    } catch (const Error& e) {
        say(std::string(name_of(e.code())) + ' ' + e.what());
    }
    return 0;
}

/// outsider SOCKET: says how it was refused.
SHMBUS_WORKER(outsider) {
    try {
        const Bus bus({.socket = args.text(0)});
        say("accepted");
    } catch (const Error& e) {
        say(std::string(name_of(e.code())) + ' ' + e.what());
    }
    return 0;
}

class TwoUsers : public ::testing::Test {
  protected:
    void SetUp() override {
        if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become another user";
        share_programs();
        if (const auto* group = ::getgrnam("shmbus")) {
            bus_group_ = group->gr_gid;
        } else {
            fake_group();
        }
        daemon_.emplace();
        fs::permissions(daemon_->directory(), fs::perms(0755)); // mkdtemp's are private
        bus_.emplace(BusOptions{.socket = daemon_->socket()});
        bus_->create_topic("secret", {.capacity = 16, .retention = Retention::memory});
    }
    void TearDown() override {
        if (real_daemon_.empty()) return;
        ::setenv("SHMBUSD", real_daemon_.c_str(), 1);
    }

    /// Another user may not be able to read the build directory.
    void share_programs() {
        fs::permissions(shared_.path(), fs::perms(0755));
        fs::copy_file("/proc/self/exe", shared_.path() / "test");
        std::ifstream maps("/proc/self/maps");
        for (std::string line; std::getline(maps, line);) {
            const fs::path library = line.substr(std::min(line.find('/'), line.size()));
            if (!library.filename().string().starts_with("libshmbus.so")) continue;
            fs::copy_file(library, shared_.path() / "libshmbus.so.1");
            break;
        }
        for (const auto& entry : fs::directory_iterator(shared_.path()))
            fs::permissions(entry.path(), fs::perms(0755));
    }
    /// The daemon that is started next sees a group shmbus.
    void fake_group() {
        const char* daemon = std::getenv("SHMBUSD");
        ASSERT_NE(daemon, nullptr) << "SHMBUSD says where the daemon is";
        real_daemon_ = daemon;
        bus_group_ = 61'999;
        const auto groups = shared_.path() / "group";
        fs::copy_file("/etc/group", groups);
        std::ofstream(groups, std::ios::app) << "shmbus:x:" << bus_group_ << ":\n";
        const auto script = shared_.path() / "shmbusd";
        std::ofstream(script) << "#!/bin/sh\nexec unshare --mount sh -c 'mount --bind \"$0\" "
                                 "/etc/group && exec \"$@\"' '"
                              << groups.string() << "' '" << real_daemon_ << "' \"$@\"\n";
        fs::permissions(script, fs::perms(0755));
        ::setenv("SHMBUSD", script.c_str(), 1);
    }
    /// A worker as the other user, in `groups` beside its own.
    Child as_other_user(const std::string& worker, const std::string& groups,
                        const std::vector<std::string>& args) {
        std::vector<std::string> argv{"env",
                                      "LD_LIBRARY_PATH=" + shared_.path().string(),
                                      "setpriv",
                                      "--reuid=" + std::to_string(other_user),
                                      "--regid=" + std::to_string(other_group),
                                      groups.empty() ? "--clear-groups" : "--groups=" + groups,
                                      "--inh-caps=-all",
                                      shared_.path() / "test",
                                      "--worker",
                                      worker};
        argv.insert(argv.end(), args.begin(), args.end());
        return Child::program(argv);
    }

    TemporaryDirectory shared_;
    gid_t bus_group_ = 0;
    std::string real_daemon_;
    std::optional<DaemonProcess> daemon_;
    std::optional<Bus> bus_;
};

TEST_F(TwoUsers, AMemberOfTheGroupUsesTheBusAndOwnsNothingOfIt) {
    EXPECT_TRUE(bus_->publisher("secret").publish("from root"));
    auto member = as_other_user("member", std::to_string(bus_group_), {daemon_->socket()});
    EXPECT_EQ(member.hear(), "from root");
    EXPECT_EQ(member.hear(), "from the other user");
    const auto answer = member.hear();
    EXPECT_TRUE(answer.starts_with("permission ")) << answer;
    EXPECT_EQ(member.wait(), 0);
}

TEST_F(TwoUsers, WhoIsNotInTheGroupIsRefusedAndToldWhatToDo) {
    auto outsider = as_other_user("outsider", "", {daemon_->socket()});
    const auto answer = outsider.hear();
    EXPECT_TRUE(answer.starts_with("permission ")) << answer;
    for (const auto* part : {"61234", "group shmbus", "usermod -aG shmbus"})
        EXPECT_NE(answer.find(part), std::string::npos) << answer;
    EXPECT_EQ(outsider.wait(), 0);
}

TEST_F(TwoUsers, NoWayToWriteWhatIsReadOnly) {
    EXPECT_TRUE(bus_->publisher("secret").publish("untouched"));
    auto intruder = as_other_user("intruder", std::to_string(bus_group_),
                                  {daemon_->socket(), std::to_string(daemon_->pid())});
    auto line = intruder.hear();
    for (; line.starts_with("breach "); line = intruder.hear()) ADD_FAILURE() << line;
    EXPECT_TRUE(line.starts_with("tried ")) << line;
    std::cout << line << " ways\n";
    EXPECT_EQ(intruder.wait(), 0);
    auto subscription = bus_->subscribe("secret", {.start = Start::all()});
    auto received = subscription.receive(patience);
    ASSERT_TRUE(std::holds_alternative<Event>(received));
    EXPECT_EQ(std::get<Event>(received).text(), "untouched");
}

} // namespace

} // namespace shmbus::test
