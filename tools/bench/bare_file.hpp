// The bare probes of the disk: what the same bytes take through a file, without a bus.
#pragma once

#include <shmbus/types.hpp>

#include <filesystem>
#include <vector>

namespace shmbus::tools::bench {

/// A preallocated file that is written from its beginning to its end.
class BareFile {
  public:
    /// Made anew; of events of this size so many go into one write that it is worth it.
    /// @throws std::runtime_error, as everything here
    BareFile(const std::filesystem::path& path, std::size_t event_bytes);
    ~BareFile();
    BareFile(const BareFile&) = delete;
    BareFile& operator=(const BareFile&) = delete;

    /// Empty, with room on disk for so many bytes.
    void prepare(std::uint64_t bytes);
    /// Where the next event's bytes go; those before it may be written now.
    [[nodiscard]] std::span<std::byte> next(std::size_t bytes);
    void flush();
    void sync();

  private:
    int fd_;
    std::vector<std::byte> buffer_;
    std::size_t buffered_ = 0;
    std::uint64_t offset_ = 0;
};

/// A directory's segments, in order.
[[nodiscard]] std::vector<std::filesystem::path>
segments_in(const std::filesystem::path& directory);
/// Reads all of a file.
void read_file(const std::filesystem::path& path);
/// Maps the files one after the other, and copies `count` pieces of this size out of them.
void copy_out_of(const std::vector<std::filesystem::path>& files, std::size_t bytes,
                 std::uint64_t count);

} // namespace shmbus::tools::bench
