#include "daemon/system/listener.hpp"

#include "base/socket_path.hpp"
#include "base/system_error.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

namespace shmbus::system {

namespace {

bool same_file(const struct stat& a, const struct stat& b) noexcept {
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

Error in_use(const std::string& path) {
    return {Errc::busy,
            "another daemon listens at " + path + "; stop it, or choose another --socket"};
}

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
}

base::Fd new_socket(int flags) {
    base::Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
    if (!fd) base::throw_system("making a socket");
    return fd;
}

/// Makes the path free, if what is there is a socket that nobody listens at.
void clear(const std::string& path) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) {
        if (errno == ENOENT) return;
        base::throw_system("looking at " + path);
    }
    if (!S_ISSOCK(status.st_mode))
        throw Error(Errc::bad_argument,
                    path + " exists and is no socket; move it away, or choose another --socket");
    // Not every program that listens here takes the lock.
    const auto address = address_of(path);
    const auto probe = new_socket(SOCK_NONBLOCK);
    if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
        errno == EAGAIN)
        throw in_use(path);
    if (errno != ECONNREFUSED) base::throw_system("looking whether somebody listens at " + path);
    if (::unlink(path.c_str()) != 0) base::throw_system("removing the stale socket " + path);
}

/// Whether the socket is the one that is to be found at the path, as far as can be told.
bool is_bound_to(const base::Fd& socket, const std::string& path) {
    sockaddr_un address{};
    socklen_t size = sizeof address;
    struct stat status {};
    return ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0 &&
           address.sun_family == AF_UNIX && path == std::string(address.sun_path) &&
           ::lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode);
}

/// Binding makes the file with the mode that the umask leaves: a chmod afterwards would be late.
void bind_with_mode(const base::Fd& socket, const std::string& path, mode_t mode) {
    const auto address = address_of(path);
    const mode_t before = ::umask(0777 & ~mode);
    const int rc =
        ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    const int error = errno;
    ::umask(before);
    if (rc != 0) base::throw_system("binding a socket to " + path, error);
}

} // namespace

/// The file is removed by who holds the lock, so the lock counts only while the path means it.
PathLock::PathLock(const std::string& path) : file_(path + ".lock") {
    base::check_socket_path(path);
    constexpr int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    for (;;) {
        base::Fd fd(::open(file_.c_str(), flags, 0600));
        if (!fd && (errno == ENOENT || errno == ENOTDIR))
            throw Error(Errc::bad_argument, "there is no directory for the socket " + path +
                                                "; make it, or choose another --socket");
        if (!fd) base::throw_system("opening " + file_);
        struct stat ours {};
        if (::fstat(fd.get(), &ours) != 0) base::throw_system("fstat of " + file_);
        if (!S_ISREG(ours.st_mode))
            throw Error(Errc::bad_argument, file_ + " is no file; the daemon needs it for a lock");
        if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
            if (errno == EWOULDBLOCK) throw in_use(path);
            base::throw_system("locking " + file_);
        }
        struct stat there {};
        if (::stat(file_.c_str(), &there) == 0 && same_file(ours, there)) {
            fd_ = std::move(fd);
            return;
        }
    }
}

PathLock::~PathLock() {
    ::unlink(file_.c_str());
} // before the descriptor, and with it the lock, goes

Listener::Listener(std::string path, mode_t mode, base::Fd left)
    : path_(std::move(path)), lock_(path_), socket_(std::move(left)) {
    if (!socket_ || !is_bound_to(socket_, path_)) bind(mode);
    struct stat status {};
    if (::lstat(path_.c_str(), &status) != 0) base::throw_system("looking at " + path_);
    device_ = status.st_dev;
    inode_ = status.st_ino;
    listen();
}

Listener::Listener(std::string path, base::Fd activated)
    : path_(std::move(path)), socket_(std::move(activated)) {
    if (!is_bound_to(socket_, path_))
        throw Error(Errc::bad_argument,
                    "the socket that systemd passed is not at " + path_ +
                        "; let ListenStream= of its unit and the daemon's --socket agree");
    listen();
}

Listener Listener::activated(std::string path, base::Fd socket) {
    return {std::move(path), std::move(socket)};
}

/// Where systemd did so already, once more: SO_PEERCRED names to clients whoever did it last.
void Listener::listen() const {
    const int flags = ::fcntl(socket_.get(), F_GETFL); // systemd hands it over without O_NONBLOCK
    if (flags < 0 || ::fcntl(socket_.get(), F_SETFL, flags | O_NONBLOCK) != 0)
        base::throw_system("preparing the socket at " + path_);
    if (::listen(socket_.get(), SOMAXCONN) != 0) base::throw_system("listening at " + path_);
}

void Listener::bind(mode_t mode) {
    socket_ = {}; // whoever listens there is not this process any more
    clear(path_);
    socket_ = new_socket(SOCK_NONBLOCK);
    bind_with_mode(socket_, path_, mode);
}

Listener::~Listener() {
    if (!lock_) return;
    struct stat status {};
    if (::lstat(path_.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_)
        ::unlink(path_.c_str());
}

} // namespace shmbus::system
