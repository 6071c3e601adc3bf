#include "base/memfd.hpp"

#include "base/system_error.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

namespace shmbus::base {

namespace {

constexpr int required_seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

Fd open_again(const Fd& memfd, int access) {
    const std::string path = "/proc/self/fd/" + std::to_string(memfd.get());
    Fd twin(::open(path.c_str(), access | O_CLOEXEC));
    if (!twin) throw_system("opening " + path + " again");
    return twin;
}

} // namespace

Fd make_memfd(const std::string& name, std::uint64_t size, std::uint64_t allocated) {
    Fd fd(::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd) throw_system("memfd_create " + name);
    if (::fchmod(fd.get(), 0600) != 0) throw_system("fchmod of memory for " + name);
    if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0)
        throw_system("ftruncate of memory for " + name);
    if (allocated != 0 && ::fallocate(fd.get(), 0, 0, static_cast<off_t>(allocated)) != 0)
        throw_system("allocating " + std::to_string(allocated) + " bytes of memory for " + name);
    if (::fcntl(fd.get(), F_ADD_SEALS, required_seals) != 0)
        throw_system("sealing memory for " + name);
    return fd;
}

Fd read_only_twin(const Fd& memfd) { return open_again(memfd, O_RDONLY); }
Fd writable_twin(const Fd& memfd) { return open_again(memfd, O_RDWR); }

bool is_same_memory(const Fd& one, const Fd& other) noexcept {
    struct stat a {};
    struct stat b {};
    return ::fstat(one.get(), &a) == 0 && ::fstat(other.get(), &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

std::uint64_t sealed_size(const Fd& memfd, const std::string& what) {
    const int seals = ::fcntl(memfd.get(), F_GET_SEALS);
    if (seals < 0 || (seals & required_seals) != required_seals)
        throw Error(Errc::damaged, what + ": the descriptor is not sealed shared memory");
    struct stat status {};
    if (::fstat(memfd.get(), &status) != 0) throw_system("fstat of " + what);
    return static_cast<std::uint64_t>(status.st_size);
}

} // namespace shmbus::base
