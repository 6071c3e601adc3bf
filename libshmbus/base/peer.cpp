#include "base/peer.hpp"

#include "base/system_error.hpp"

#include <cerrno>
#include <cstdint>
#include <fcntl.h>
#include <fstream>
#include <sstream>
#include <sys/socket.h>
#include <sys/stat.h>

namespace shmbus::base {

namespace {

std::vector<gid_t> supplementary_groups(const Fd& socket) {
    std::vector<gid_t> groups(32);
    for (;;) {
        auto size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
        if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) == 0) {
            groups.resize(size / sizeof(gid_t));
            return groups;
        }
        if (errno != ERANGE) throw_system("asking for the groups of a peer");
        groups.resize(size / sizeof(gid_t)); // what it needs
    }
}

} // namespace

Peer peer_of(const Fd& socket) {
    ucred credentials{};
    socklen_t size = sizeof credentials;
    if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
        throw_system("asking who a peer is");
    Peer peer{.pid = credentials.pid, .uid = credentials.uid, .groups = {credentials.gid}};
    const auto more = supplementary_groups(socket);
    peer.groups.insert(peer.groups.end(), more.begin(), more.end());
    return peer;
}

uid_t user_of(pid_t pid) {
    struct stat status {};
    return ::stat(("/proc/" + std::to_string(pid)).c_str(), &status) == 0 ? status.st_uid : 0;
}

std::string command_of(pid_t pid) {
    const std::string path = "/proc/" + std::to_string(pid) + "/comm";
    const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    char text[16];
    const ssize_t size = file ? ::read(file.get(), text, sizeof text) : -1;
    std::string command(text, size > 0 ? static_cast<std::size_t>(size) : 0);
    while (!command.empty() && command.back() == '\n') command.pop_back();
    for (char& c : command)
        if (c < ' ' || c > '~') c = '?'; // goes to terminals and logs
    return command.empty() ? "?" : command;
}

bool is_running(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(file, text);
    const auto command_end = text.rfind(')'); // the name may have any bytes
    if (command_end == std::string::npos) return false;
    std::istringstream rest(text.substr(command_end + 1));
    std::string state;
    std::string skipped;
    std::uint64_t flags = 0;
    rest >> state >> skipped >> skipped >> skipped >> skipped >> skipped >> flags;
    constexpr std::uint64_t exiting = 4; // the kernel's PF_EXITING
    return rest && state != "Z" && (flags & exiting) == 0;
}

} // namespace shmbus::base
