// A mapping of a descriptor, through Boost.Interprocess.
#pragma once

#include "base/fd.hpp"

#include <boost/interprocess/mapped_region.hpp>
#include <cstddef>
#include <cstdint>
#include <span>

namespace shmbus::base {

enum class Access { read_only, read_write };

/// Maps [0, size) of `fd`; not inherited by fork (a child must open the bus anew) and left out of
/// core dumps. The descriptor may be closed afterwards. The first `populate` bytes get their page
/// table entries now, so that the hot path does not fault.
/// @throws Error(limit), Error(system)
class Mapping {
  public:
    Mapping() noexcept = default;
    Mapping(const Fd& fd, Access access, std::uint64_t size, std::uint64_t populate = 0);
    [[nodiscard]] std::span<std::byte> bytes() const noexcept {
        return {static_cast<std::byte*>(region_.get_address()), region_.get_size()};
    }

  private:
    boost::interprocess::mapped_region region_;
};

} // namespace shmbus::base
