#include "daemon/system/descriptor_store.hpp"

#include "daemon/system/log.hpp"
#include "daemon/system/notify.hpp"

#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <systemd/sd-daemon.h>
#include <utility>

namespace shmbus::system {

namespace {

/// They come back in one variable of the environment, of which the kernel takes 128 KiB.
constexpr std::size_t most_name_bytes = std::size_t{120} << 10U;

} // namespace

void DescriptorStore::keep(const std::string& name, const base::Fd& fd) {
    if (!is_heard() || names_.contains(name)) return;
    if (bytes_ + name.size() + 1 > most_name_bytes) {
        if (!std::exchange(is_full_, true))
            log(Level::warning,
                "there is no room to keep more descriptors for the next daemon: what it "
                "does not find clients will hand back");
        return;
    }
    if (names_.insert(name).second) bytes_ += name.size() + 1;
    // Some kinds of files are readable or hung up for good once their time has come (a pidfd is): systemd
    // drops these unless it is told not to look.
    const std::string state = "FDSTORE=1\nFDPOLL=0\nFDNAME=" + name;
    notify(state, &fd);
}

std::map<std::string, base::Fd> DescriptorStore::inherit() {
    auto found = inherited_descriptors();
    for (const auto& [name, fd] : found) note(name);
    return found;
}

void DescriptorStore::forget(const std::string& name) {
    if (names_.erase(name) == 0) return;
    bytes_ -= name.size() + 1;
    is_full_ = false;
    notify("FDSTOREREMOVE=1\nFDNAME=" + name);
}

std::map<std::string, base::Fd> inherited_descriptors() {
    char** names = nullptr;
    const int count = ::sd_listen_fds_with_names(1, &names); // and takes the variables away
    if (count < 0)
        log(Level::warning,
            std::string("looking for descriptors of the daemon before: ") + std::strerror(-count));
    std::map<std::string, base::Fd> found;
    for (int i = 0; i < count; ++i) {
        base::Fd fd(SD_LISTEN_FDS_START + i); // close-on-exec by now
        found[names[i]] = std::move(fd);
        std::free(names[i]); // NOLINT(cppcoreguidelines-no-malloc): as sd_listen_fds(3) says
    }
    std::free(static_cast<void*>(names)); // NOLINT(cppcoreguidelines-no-malloc)
    return found;
}

} // namespace shmbus::system
