// The files of a topic's past, for who reads them without being handed them by the daemon.
//
// It may be running meanwhile: files grow, are cut off and go away at any time. So they are read and not
// mapped, as looking at what has been cut off a mapped file would be the end.
#pragma once

#include "base/fd.hpp"
#include "shmbus/types.hpp"

namespace shmbus::client {

class SegmentFiles {
  public:
    /// @throws Error
    explicit SegmentFiles(std::string directory);

    /// The first sequences of all segments, in order. @throws Error
    [[nodiscard]] std::vector<Sequence> list() const;
    /// A segment's bytes, or so many of the first; nothing if it has gone away. What cannot be read is
    /// zeros, a page at a time: damaged like any other. @throws Error
    [[nodiscard]] std::optional<std::vector<std::byte>>
    read(Sequence first, std::uint64_t most = ~std::uint64_t{0}) const;

  private:
    std::string path_;
    base::Fd directory_;
};

} // namespace shmbus::client
