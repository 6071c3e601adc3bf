#include "base/system_error.hpp"

#include <cerrno>
#include <system_error>

namespace shmbus::base {

void throw_system(const std::string& doing) { throw_system(doing, errno); }

void throw_system(const std::string& doing, int error) {
    const std::string what = doing + ": " + std::generic_category().message(error);
    switch (error) {
    case ENOMEM:
    case ENOSPC: throw Error(Errc::limit, what + " (free memory, or ask for fewer slots)");
    case EMFILE:
    case ENFILE:
        throw Error(Errc::limit, what + " (raise the descriptor limit: ulimit -n, LimitNOFILE=)");
    case EPERM:
    case EACCES: throw Error(Errc::permission, what);
    default: throw Error(Errc::system, what);
    }
}

} // namespace shmbus::base
