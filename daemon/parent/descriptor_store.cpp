#include "daemon/parent/descriptor_store.hpp"

#include "base/system_error.hpp"
#include "daemon/system/log.hpp"

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <linux/close_range.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

namespace shmbus::parent {

namespace {

/// Names stand in a list with ':' between them.
bool is_name(std::string_view name) {
    constexpr std::size_t longest = 255;
    return !name.empty() && name.size() <= longest &&
           std::all_of(name.begin(), name.end(),
                       [](char c) { return c >= ' ' && c <= '~' && c != ':'; });
}

/// Open behind exec, too.
void place(int fd, int number) {
    const int rc = fd == number ? ::fcntl(fd, F_SETFD, 0) : ::dup2(fd, number);
    if (rc < 0) base::throw_system("passing on a descriptor");
}

void set_or_unset(const char* variable, const std::string& value) {
    if (value.empty())
        ::unsetenv(variable);
    else
        ::setenv(variable, value.c_str(), 1);
}

} // namespace

void DescriptorStore::add_inherited() {
    char** names = nullptr;
    const int count = ::sd_listen_fds_with_names(1, &names);
    if (count < 0)
        system::log(system::Level::warning,
                    std::string("the descriptors passed are not used: ") + std::strerror(-count));
    for (int i = 0; i < count; ++i) {
        if (!add(base::Fd(SD_LISTEN_FDS_START + i), names[i]))
            system::log(system::Level::warning, "no room for a descriptor passed");
        std::free(names[i]);
    }
    std::free(names);
}

bool DescriptorStore::add(base::Fd fd, std::string_view name) {
    if (entries_.size() == most_) return false;
    entries_.push_back({std::move(fd), std::string(is_name(name) ? name : "stored")});
    return true;
}

void DescriptorStore::remove(std::string_view name) {
    std::erase_if(entries_, [&](const Entry& entry) { return entry.name == name; });
}

/// In the order of their numbers, none is ever moved up, nor onto one that is still to be moved.
void DescriptorStore::pass_on() {
    std::sort(entries_.begin(), entries_.end(),
              [](const Entry& a, const Entry& b) { return a.fd.get() < b.fd.get(); });
    int next = SD_LISTEN_FDS_START;
    std::string names;
    for (const auto& entry : entries_) {
        if (!names.empty()) names += ':';
        names += entry.name;
        place(entry.fd.get(), next++);
    }
    if (::close_range(static_cast<unsigned>(next), UINT_MAX, CLOSE_RANGE_CLOEXEC) != 0)
        base::throw_system("keeping descriptors from a worker");
    const bool any = !entries_.empty();
    set_or_unset("LISTEN_FDS", any ? std::to_string(entries_.size()) : "");
    set_or_unset("LISTEN_PID", any ? std::to_string(::getpid()) : "");
    set_or_unset("LISTEN_FDNAMES", names);
}

} // namespace shmbus::parent
