// A small record that is either the one written last or the one before it, whenever power fails.
//
// Two slots of a page each, or of more, written in turn: a write that tears spoils its own slot, and the other one
// still has the record before it. Reading gives the newest slot whose checksum is right. A topic may have
// thousands of them, so none is open but while it is read or written.
//
//      0  magic      8  major|minor   12  length of the record   16  generation
//     24  topic     40  checksum      48  reserved                64  record
#pragma once

#include "daemon/store/files.hpp"
#include "layout/segment.hpp"

#include <algorithm>
#include <optional>
#include <span>
#include <vector>

namespace shmbus::store {

inline constexpr std::uint64_t state_magic = 0x31746174'736d6873; // "shmstat1", little-endian
inline constexpr std::uint16_t state_major = 1;
inline constexpr std::uint16_t state_minor = 0;

class StateFile {
  public:
    static constexpr std::size_t slot_bytes = layout::page; // if nothing else is said
    static constexpr std::size_t max_record = slot_bytes - 64;

    /// Reads `name` if it is there; the directory must outlive this. A record has at most 64 bytes less than a
    /// slot. @throws FileError; Error(incompatible) when a newer version wrote it
    StateFile(Directory& directory, std::string name, const layout::Uuid& topic,
              std::size_t bytes_of_slot = slot_bytes);

    /// The newest record; nothing if there is none.
    [[nodiscard]] const std::optional<std::vector<std::byte>>& record() const noexcept {
        return record_;
    }
    /// The same as a struct; a longer record, of a newer minor version, gives what is known of it, in a
    /// shorter one the rest is zero.
    template <class T> [[nodiscard]] std::optional<T> as() const noexcept {
        if (!record_) return {};
        T value{};
        std::copy_n(record_->begin(), std::min(sizeof value, record_->size()),
                    std::as_writable_bytes(std::span(&value, 1)).begin());
        return value;
    }

    /// On disk when this has returned. @throws FileError: the record before it is still there, and the
    /// next write goes to a new file
    void write(std::span<const std::byte> record);
    /// In both slots: no damage of one of them brings an older record back.
    void write_twice(std::span<const std::byte> record) {
        write(record);
        write(record);
    }

  private:
    void take(std::span<const std::byte> slot, std::size_t index);
    [[nodiscard]] std::vector<std::byte> encode(std::span<const std::byte> record) const;
    void replace(std::span<const std::byte> slot);

    Directory& directory_;
    std::string name_;
    layout::Uuid topic_;
    std::size_t slot_bytes_;
    bool is_whole_ = false; // else the next write makes a new one
    std::optional<std::vector<std::byte>> record_;
    std::uint64_t generation_ = 0;
    std::size_t next_slot_ = 0;
    bool is_entry_on_disk_ = false; // that of the directory, for all this process knows
};

} // namespace shmbus::store
