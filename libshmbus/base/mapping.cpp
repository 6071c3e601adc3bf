#include "base/mapping.hpp"

#include "base/system_error.hpp"

#include <boost/interprocess/exceptions.hpp>
#include <sys/mman.h>

namespace shmbus::base {

namespace {

/// What Boost.Interprocess wants of a thing that can be mapped.
struct Mappable {
    int fd;
    boost::interprocess::mode_t mode;
    [[nodiscard]] boost::interprocess::mapping_handle_t get_mapping_handle() const noexcept {
        return {fd, false};
    }
    [[nodiscard]] boost::interprocess::mode_t get_mode() const noexcept { return mode; }
};

} // namespace

Mapping::Mapping(const Fd& fd, Access access, std::uint64_t size, std::uint64_t populate) {
    const auto mode = access == Access::read_only ? boost::interprocess::read_only
                                                  : boost::interprocess::read_write;
    try {
        region_ = boost::interprocess::mapped_region(Mappable{fd.get(), mode}, mode, 0, size);
    } catch (const boost::interprocess::interprocess_exception& e) {
        throw_system("mapping " + std::to_string(size) + " bytes of shared memory",
                     e.get_native_error());
    }
    for (const int advice : {MADV_DONTFORK, MADV_DONTDUMP})
        if (::madvise(region_.get_address(), size, advice) != 0) throw_system("madvise");
    if (populate != 0) {
        const int advice = access == Access::read_only ? MADV_POPULATE_READ : MADV_POPULATE_WRITE;
        // Only a faster start: EINVAL and EFAULT leave the pages to be faulted in one by one.
        (void)::madvise(region_.get_address(), populate, advice);
    }
}

} // namespace shmbus::base
