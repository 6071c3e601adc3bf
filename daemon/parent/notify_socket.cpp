#include "daemon/parent/notify_socket.hpp"

#include "base/system_error.hpp"
#include "daemon/system/ancillary.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>

namespace shmbus::parent {

namespace {

constexpr std::size_t longest_message = 4096; // as systemd has it

std::vector<std::string> lines_of(std::string_view text) {
    std::vector<std::string> lines;
    while (!text.empty()) {
        const auto end = std::min(text.find('\n'), text.size());
        if (end > 0) lines.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return lines;
}

/// The sender, and the descriptors, which are ours from now on.
void take_ancillary(msghdr& header, Notification& message) {
    for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr;
         part = CMSG_NXTHDR(&header, part)) {
        if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_CREDENTIALS) {
            ucred who{};
            std::memcpy(&who, CMSG_DATA(part), sizeof who);
            message.sender = who.pid;
        }
        system::take_descriptors(*part, message.descriptors);
    }
}

} // namespace

bool Notification::has(std::string_view assignment) const {
    return std::find(assignments.begin(), assignments.end(), assignment) != assignments.end();
}

std::optional<std::string_view> Notification::value_of(std::string_view name) const {
    for (const std::string_view line : assignments)
        if (line.size() > name.size() && line.starts_with(name) && line[name.size()] == '=')
            return line.substr(name.size() + 1);
    return std::nullopt;
}

NotifySocket::NotifySocket()
    : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    if (!socket_) base::throw_system("making a socket for notifications");
    const int on = 1;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address.sun_family; // and no path: the kernel chooses
    if (::setsockopt(socket_.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 ||
        ::bind(socket_.get(), generic, size) != 0)
        base::throw_system("binding the socket for notifications");
    size = sizeof address;
    if (::getsockname(socket_.get(), generic, &size) != 0)
        base::throw_system("asking for the address of the socket for notifications");
    const std::string_view abstract(address.sun_path, size - offsetof(sockaddr_un, sun_path));
    address_ = "@" + std::string(abstract.substr(1)); // instead of its zero byte
}

std::optional<Notification> NotifySocket::receive() {
    std::array<char, longest_message> text;
    constexpr auto control_size =
        CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(system::most_descriptors * sizeof(int));
    alignas(cmsghdr) std::array<char, control_size> control;
    iovec part{.iov_base = text.data(), .iov_len = text.size()};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const ssize_t size = ::recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC);
    if (size < 0) {
        if (errno == EAGAIN || errno == EINTR) return std::nullopt;
        base::throw_system("receiving a notification");
    }
    Notification message;
    message.descriptors.reserve(
        system::most_descriptors); // or one could get lost for want of memory
    take_ancillary(header, message);
    if ((header.msg_flags & MSG_TRUNC) != 0)
        message.fault = "it is longer than " + std::to_string(longest_message) + " bytes";
    else if ((header.msg_flags & MSG_CTRUNC) != 0)
        message.fault = "no room for its descriptors";
    else
        message.assignments = lines_of({text.data(), static_cast<std::size_t>(size)});
    return message;
}

} // namespace shmbus::parent
