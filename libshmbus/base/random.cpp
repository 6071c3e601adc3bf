#include "base/random.hpp"

#include "base/system_error.hpp"

#include <cassert>
#include <cerrno>
#include <sys/random.h>

namespace shmbus::base {

void fill_random(std::span<std::byte> bytes) {
    assert(bytes.size() <= 256); // up to there it is all or nothing
    while (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
        if (errno != EINTR)
            throw_system("getrandom"); // early at boot it waits, and can be interrupted
}

} // namespace shmbus::base
