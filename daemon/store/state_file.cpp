#include "daemon/store/state_file.hpp"

#include "base/hash.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <utility>

namespace shmbus::store {

namespace {

struct SlotHead {
    std::uint64_t magic;
    std::uint16_t major;
    std::uint16_t minor;
    std::uint32_t length;
    std::uint64_t generation;
    layout::Uuid topic;
    std::uint64_t checksum; // of the whole slot, with zero here, and of the file's name
    std::array<std::uint8_t, 16> reserved;
};
static_assert(sizeof(SlotHead) == 64 && offsetof(SlotHead, checksum) == 40);

/// Another name's slot has another one.
std::uint64_t checksum_of(SlotHead head, std::span<const std::byte> rest, const std::string& name) {
    head.checksum = 0;
    const auto of_name = base::checksum(std::as_bytes(std::span(name)));
    return base::checksum(rest, base::checksum(std::as_bytes(std::span(&head, 1)), of_name));
}

} // namespace

StateFile::StateFile(Directory& directory, std::string name, const layout::Uuid& topic,
                     std::size_t bytes_of_slot)
    : directory_(directory), name_(std::move(name)), topic_(topic), slot_bytes_(bytes_of_slot) {
    std::vector<std::byte> slots(2 * slot_bytes_);
    try {
        slots.resize(directory_.open(name_, Directory::Access::read)->read_at(slots, 0));
    } catch (const FileError& e) {
        if (e.error() != ENOENT) throw;
        return;
    }
    for (std::size_t i = 0; i < slots.size() / slot_bytes_; ++i)
        take(std::span(slots).subspan(i * slot_bytes_, slot_bytes_), i);
    is_whole_ = slots.size() == 2 * slot_bytes_; // else somebody cut it
}

/// Takes a slot's record if it is good and newer than what there was.
void StateFile::take(std::span<const std::byte> slot, std::size_t index) {
    SlotHead head;
    std::memcpy(&head, slot.data(), sizeof head);
    if (head.magic != state_magic || head.topic != topic_ ||
        head.checksum != checksum_of(head, slot.subspan(sizeof head), name_))
        return;
    if (head.major > state_major)
        throw Error(Errc::incompatible, "state file " + name_ + " has layout version " +
                                            std::to_string(head.major) + ", this program knows " +
                                            std::to_string(state_major) + "; use a newer shmbus");
    if (head.length > slot_bytes_ - sizeof(SlotHead) || head.generation <= generation_) return;
    const auto record = slot.subspan(sizeof head, head.length);
    record_.emplace(record.begin(), record.end());
    generation_ = head.generation;
    next_slot_ = 1 - index;
}

std::vector<std::byte> StateFile::encode(std::span<const std::byte> record) const {
    assert(record.size() <= slot_bytes_ - sizeof(SlotHead));
    SlotHead head{};
    head.magic = state_magic;
    head.major = state_major;
    head.minor = state_minor;
    head.length = static_cast<std::uint32_t>(record.size());
    head.generation = generation_ + 1;
    head.topic = topic_;
    std::vector<std::byte> slot(slot_bytes_);
    const auto rest = std::span(slot).subspan(sizeof head);
    std::copy(record.begin(), record.end(), rest.begin());
    head.checksum = checksum_of(head, rest, name_);
    std::memcpy(slot.data(), &head, sizeof head);
    return slot;
}

void StateFile::write(std::span<const std::byte> record) {
    const auto slot = encode(record);
    // Once it has failed, this file says nothing reliable about itself any more.
    if (std::exchange(is_whole_, false)) {
        const auto file = directory_.open(name_, Directory::Access::write);
        file->write_at(slot, next_slot_ * slot_bytes_);
        file->sync_data();
        // The process that made it may have failed to do this, or have been killed before.
        if (!std::exchange(is_entry_on_disk_, true)) directory_.sync_directory();
    } else {
        replace(slot);
    }
    is_whole_ = true;
    record_.emplace(record.begin(), record.end());
    generation_ += 1;
    next_slot_ = 1 - next_slot_;
}

/// A new file with this slot alone, which takes the old one's place in one step.
void StateFile::replace(std::span<const std::byte> slot) {
    const std::string fresh = name_ + ".new";
    try {
        directory_.remove(fresh);
    } catch (const FileError& e) {
        if (e.error() != ENOENT) throw;
    }
    const auto file = directory_.create(fresh);
    if (!file->allocate(2 * slot_bytes_)) throw FileError("allocating", fresh, ENOSPC);
    file->write_at(slot, next_slot_ * slot_bytes_);
    file->sync_data();
    directory_.rename(fresh, name_);
    directory_.sync_directory();
    is_entry_on_disk_ = true;
}

} // namespace shmbus::store
