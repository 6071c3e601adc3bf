// The seam of all file I/O of the store: a directory and the files in it.
//
// What the store asks of a disk is here and nowhere else, so that tests can put a simulated one in its
// place, which loses, tears and refuses what a real one might. Failures are thrown as FileError, but for
// running out of space in allocate(), which has to be expected. The watchdog is told of the time it takes.
#pragma once

#include "shmbus/error.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace shmbus::store {

class FileError : public Error {
  public:
    FileError(const std::string& doing, const std::string& path, int error);
    [[nodiscard]] int error() const noexcept { return error_; } // errno
    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    /// Disk or quota is full: it may go well later, on another file.
    [[nodiscard]] bool is_out_of_space() const noexcept;

  private:
    int error_;
    std::string path_;
};

class File {
  public:
    virtual ~File() = default;
    /// @returns how many bytes there were: fewer than wanted at the end of the file alone
    virtual std::size_t read_at(std::span<std::byte> to, std::uint64_t offset) const = 0;
    virtual void write_at(std::span<const std::byte> from, std::uint64_t offset) = 0;
    /// Content and size survive a power loss once this has returned. When it has thrown, what was
    /// written since the last sync may be gone and the next sync will not say so.
    virtual void sync_data() = 0;
    /// Makes an empty file `size` bytes long, zeros, with room on disk for all of them.
    /// @returns false, and leaves it empty, when there is no space
    [[nodiscard]] virtual bool allocate(std::uint64_t size) = 0;
    virtual void truncate(std::uint64_t size) = 0;
    [[nodiscard]] virtual std::uint64_t size() const = 0;
};

class Directory {
  public:
    enum class Access : std::uint8_t { read, write };

    virtual ~Directory() = default;
    /// A new, empty file. There must be none of that name.
    [[nodiscard]] virtual std::unique_ptr<File> create(const std::string& name) = 0;
    [[nodiscard]] virtual std::unique_ptr<File> open(const std::string& name, Access access) = 0;
    [[nodiscard]] virtual std::vector<std::string> list() const = 0; // in no order
    [[nodiscard]] virtual std::uint64_t size_of(const std::string& name) const = 0;
    virtual void remove(const std::string& name) = 0;
    virtual void rename(const std::string& from, const std::string& to) = 0; // replaces `to`
    /// What was created, removed and renamed survives a power loss once this has returned.
    virtual void sync_directory() = 0;
    [[nodiscard]] virtual std::uint64_t free_bytes() const = 0;
};

/// The real one. It must exist. @throws FileError
[[nodiscard]] std::unique_ptr<Directory> open_directory(const std::string& path);

} // namespace shmbus::store
