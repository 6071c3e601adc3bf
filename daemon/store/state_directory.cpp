#include "daemon/store/state_directory.hpp"

#include "base/random.hpp"
#include "base/system_error.hpp"
#include "daemon/store/state_file.hpp"
#include "daemon/system/log.hpp"
#include "daemon/system/watchdog.hpp"
#include "shmbus/types.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <sys/file.h>
#include <sys/stat.h>

namespace shmbus::store {

namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t format = 1;

struct BusRecord {
    layout::Uuid bus;
    std::uint32_t format;
    std::uint32_t reserved;
};

/// Whether it is new.
bool make_directory(const std::string& path) {
    if (::mkdir(path.c_str(), 0700) == 0) return true;
    if (errno != EEXIST) base::throw_system("making " + path);
    return false;
}

void make_with_parents(const std::string& path) {
    std::error_code error;
    const fs::path parent = fs::path(path).parent_path();
    if (!parent.empty()) fs::create_directories(parent, error);
    if (error) base::throw_system("making " + parent.string(), error.value());
    if (!make_directory(path) && !fs::is_directory(path))
        throw Error(Errc::bad_argument, path + " is no directory; choose another --state-dir");
}

/// Whoever may put files there could have this process write to files elsewhere.
void require_own(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) base::throw_system("looking at " + path);
    if (status.st_uid != ::geteuid() && status.st_uid != 0)
        throw Error(Errc::bad_argument,
                    fmt::format("{} is user {}'s, not user {}'s: choose another --state-dir, or "
                                "chown -R it",
                                path, status.st_uid, ::geteuid()));
    if ((status.st_mode & S_IWOTH) != 0)
        throw Error(Errc::bad_argument,
                    fmt::format("everybody may write to {}: chmod o-w it, or choose another "
                                "--state-dir",
                                path));
}

/// Of one line; what is there goes.
bool write_line(const std::string& path, const std::string& line) {
    ::unlink(path.c_str());
    const base::Fd fd(
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
    const std::string text = line + '\n';
    return fd && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

base::Fd take_lock(const std::string& path) {
    base::Fd lock(
        ::open((path + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!lock) base::throw_system("opening " + path + "/lock");
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
    if (errno != EWOULDBLOCK) base::throw_system("locking " + path + "/lock");
    throw Error(Errc::busy, "another daemon uses the state directory " + path +
                                "; stop it, or choose another --state-dir");
}

void sync(const std::string& path) { open_directory(path)->sync_directory(); }

} // namespace

StateDirectory::StateDirectory(const std::string& path)
    : path_(fs::absolute(path).string()) { // clients are told of it, wherever they are
    while (path_.size() > 1 && path_.back() == '/') path_.pop_back();
    make_with_parents(path_);
    require_own(path_);
    lock_ = take_lock(path_);
    const auto top = open_directory(path_);
    StateFile bus(*top, "bus", {});
    const auto record = bus.as<BusRecord>();
    if (record && record->format > format)
        throw Error(
            Errc::incompatible,
            fmt::format("{} was laid out by a newer version (format {}, this one knows {}): "
                        "use a newer shmbusd",
                        path_, record->format, format));
    for (const char* const name : {"/topics", "/removed"}) {
        if (!make_directory(path_ + name) && !fs::is_directory(fs::symlink_status(path_ + name)))
            throw Error(Errc::bad_argument, // what a link leads to is somebody else's
                        path_ + name + " is no directory: move it away");
        require_own(path_ + name);
    }
    if (!record) {
        BusRecord fresh{{}, format, 0};
        base::fill_random(std::as_writable_bytes(std::span(fresh.bus)));
        bus.write_twice(std::as_bytes(std::span(&fresh, 1)));
    }
    for (const auto& entry : fs::directory_iterator(path_ + "/removed"))
        discard(entry.path().filename().string());
}

void StateDirectory::belong_to(const std::string& socket) const {
    const std::string file = path_ + "/socket";
    const std::string own = fs::absolute(socket).string();
    const auto status = fs::symlink_status(file);
    if (fs::exists(status) && !fs::is_regular_file(status))
        throw Error(Errc::bad_argument, file + " is no file: move it away");
    std::string owner; // empty as well when a crash has torn it
    std::getline(std::ifstream(file), owner);
    if (owner == own) return;
    if (!owner.empty())
        throw Error(
            Errc::bad_argument,
            fmt::format("{} is the state directory of the bus at {}, not of that at {}: choose "
                        "another --state-dir; if the bus has moved, remove {}",
                        path_, owner, own, file));
    const std::string draft = file + ".new";
    if (write_line(draft, own) && ::rename(draft.c_str(), file.c_str()) == 0) return;
    system::log(system::Level::warning, // a full disk is no reason not to start
                fmt::format("writing {}: {}; another bus may take {} for its own", file,
                            std::strerror(errno), path_));
}

std::string StateDirectory::topic_path(const std::string& topic) const {
    return path_ + "/topics/" + topic;
}

std::string StateDirectory::removed_path(const std::string& unique) const {
    return path_ + "/removed/" + unique;
}

std::vector<std::string> StateDirectory::topics() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(path_ + "/topics")) {
        auto name = entry.path().filename().string();
        if (is_valid_name(name)) names.push_back(std::move(name));
    }
    return names;
}

std::unique_ptr<Directory> StateDirectory::make(const std::string& topic) {
    const system::DiskWait waits;
    if (!make_directory(topic_path(topic)))
        throw Error(Errc::busy, topic_path(topic) + " is there, and is no topic: move it away");
    return open(topic);
}

void StateDirectory::commit() { sync(path_ + "/topics"); }

std::unique_ptr<Directory> StateDirectory::open(const std::string& topic) const {
    return open_directory(topic_path(topic));
}

void StateDirectory::set_aside(const std::string& topic, const std::string& unique) {
    const system::DiskWait waits;
    const auto from = topic_path(topic);
    const auto to = removed_path(unique);
    if (::rename(from.c_str(), to.c_str()) != 0) base::throw_system("moving " + from + " away");
    sync(path_ + "/removed");
    sync(path_ + "/topics");
}

void StateDirectory::discard(const std::string& unique) const noexcept {
    const system::DiskWait waits;
    std::error_code error;
    fs::remove_all(removed_path(unique), error);
    if (error)
        system::log(system::Level::warning,
                    fmt::format("removing {}: {}; it is tried again at the next start",
                                removed_path(unique), error.message()));
}

} // namespace shmbus::store
