// A disk that remembers everything that was done to it, and can say what a crash would leave.
//
// Its files behave like those of a kernel: what was written can be read at once, and is on the disk for
// sure only after a sync; names, after a sync of the directory. A power loss in between leaves of what was
// not synced nothing, or any part, in any order, torn anywhere. A sync that fails drops what it should
// have written: later syncs do not bring it back, though it can still be read until the power fails.
#pragma once

#include "daemon/store/files.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace shmbus::test {

using FileBytes = std::vector<std::byte>;

/// What a crash leaves of what had not been synced.
enum class Loss : std::uint8_t {
    nothing,    // the process died, the kernel did not
    everything, // nothing that was not synced had got to the disk
    some,       // sectors of it had, in any order
};

struct Crash {
    std::size_t operations = 0; // of the trace, that were done
    Loss loss = Loss::nothing;
    std::uint64_t seed = 0; // which are lost, with Loss::some
    /// Of the operation after these, a write: so many bytes were done.
    std::optional<std::size_t> torn = {};
};

class SimulatedDisk {
  public:
    SimulatedDisk() = default;
    explicit SimulatedDisk(std::map<std::string, FileBytes> files);
    SimulatedDisk(SimulatedDisk&&) = delete;

    /// A handle on it, for a process that has opened the directory.
    [[nodiscard]] std::unique_ptr<store::Directory> open();

    /// How many changing operations there were.
    [[nodiscard]] std::size_t operations() const {
        const auto locked = lock();
        return trace_.size();
    }
    /// How many of the bytes the operation with this number writes; nothing if it is no write.
    [[nodiscard]] std::size_t written_by(std::size_t operation) const;
    [[nodiscard]] std::uint64_t bytes_read() const {
        const auto locked = lock();
        return bytes_read_;
    }
    [[nodiscard]] std::uint64_t syncs() const;

    /// The operation with this number fails, counted from now on from 0; all from there on if `for_good`.
    /// A write that fails has done half of its work.
    void fail_at(std::size_t operation, int error, bool for_good = false);
    void fail_no_more() {
        const auto locked = lock();
        failing_.reset();
    }
    /// Whether one has failed since fail_at().
    [[nodiscard]] bool has_failed() const {
        const auto locked = lock();
        return has_failed_;
    }
    /// Reading these bytes of a file fails with EIO.
    void spoil(const std::string& name, std::uint64_t from, std::uint64_t to);

    /// Called with the name of each file before it is removed, by whoever removes it. Before there is any.
    void watch_removals(std::function<void(const std::string&)> watch) {
        removal_watch_ = std::move(watch);
    }

    /// The files that a crash leaves.
    [[nodiscard]] std::map<std::string, FileBytes> after(const Crash& crash) const;
    /// The files as they can be read now.
    [[nodiscard]] std::map<std::string, FileBytes> files() const;

  private:
    friend class SimulatedFile;
    friend class SimulatedDirectory;
    using Inode = std::size_t;
    enum class Kind : std::uint8_t {
        create,
        write,
        allocate,
        truncate,
        sync,
        failed_sync,
        remove,
        rename,
        sync_directory
    };
    struct Operation {
        Kind kind;
        Inode inode = 0;
        std::uint64_t at = 0; // offset of a write; size for allocate and truncate
        FileBytes bytes = {};
        std::string name = {};
        std::string to = {};
    };
    struct Contents {
        std::map<std::string, Inode> names;
        std::map<Inode, FileBytes> inodes;
        void apply(const Operation& operation);
    };
    class CrashedDisk;
    [[nodiscard]] std::lock_guard<std::mutex> lock() const { return std::lock_guard(mutex_); }
    /// Fails if it is to, else does it.
    void run(Operation operation, const std::string& name);
    /// Whether the next operation is to fail.
    bool is_due();

    mutable std::mutex mutex_;
    // Guarded by mutex_:
    std::map<std::string, FileBytes> original_;
    Contents now_;
    Inode next_inode_ = 1;
    std::vector<Operation> trace_;
    std::uint64_t bytes_read_ = 0;
    struct Failing {
        std::size_t countdown;
        int error;
        bool for_good;
    };
    std::optional<Failing> failing_;
    bool has_failed_ = false;
    struct Spoiled {
        std::uint64_t from;
        std::uint64_t to;
    };
    std::map<Inode, Spoiled> spoiled_;
    std::function<void(const std::string&)> removal_watch_; // not guarded
};

} // namespace shmbus::test
