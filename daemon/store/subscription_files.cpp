#include "daemon/store/subscription_files.hpp"

#include "group/table.hpp"

#include <cerrno>
#include <string_view>

namespace shmbus::store {

namespace {

constexpr std::string_view suffix = ".sub";

std::string file_name(const std::string& name) { return name + std::string(suffix); }
std::string slots_name(const std::string& name) { return name + ".slots"; }

/// As it is on disk; fields are only ever added, at the end.
struct Stored {
    std::uint64_t created_ns;
    std::uint64_t cursor;
    std::uint32_t creator;
    std::uint8_t begun;
    std::uint8_t paused;
    std::uint8_t is_group;
    std::uint8_t order;
    std::uint32_t ack_wait_ms; // of a group, as is the rest
    std::uint32_t max_deliver;
    std::uint32_t max_in_flight;
    std::uint32_t back_off_count;
    std::array<std::uint32_t, GroupOptions::max_back_off> back_off_ms;
};
static_assert(sizeof(Stored) == 72);

struct StoredSlot {
    std::uint64_t seq;
    std::uint16_t tries;
    std::uint8_t failure;
    std::array<std::uint8_t, 5> reserved;
};
using StoredSlots = std::array<StoredSlot, key_slots>;
constexpr std::size_t slots_bytes = 5 * layout::page;
static_assert(sizeof(StoredSlots) == 16'384);

GroupOptions options_in(const Stored& stored) {
    GroupOptions options{.ack_wait = std::chrono::milliseconds(stored.ack_wait_ms),
                         .max_deliver = stored.max_deliver,
                         .max_in_flight = stored.max_in_flight,
                         .order = static_cast<Order>(stored.order)};
    for (std::size_t i = 0; i < stored.back_off_count && i < stored.back_off_ms.size(); ++i)
        options.back_off.emplace_back(stored.back_off_ms[i]);
    return options;
}

/// Whether it says what can be.
bool take(const Stored& stored, SubscriptionRecord& record) {
    record.created_ns = stored.created_ns;
    record.cursor = stored.cursor;
    record.creator = stored.creator;
    record.begun = stored.begun != 0;
    record.paused = stored.paused != 0;
    if (stored.is_group == 0) return true;
    record.group.emplace(options_in(stored));
    return group::problem_with(*record.group).empty();
}

Stored stored_of(const SubscriptionRecord& record) {
    Stored stored{};
    stored.created_ns = record.created_ns;
    stored.cursor = record.cursor;
    stored.creator = record.creator;
    stored.begun = record.begun ? 1 : 0;
    stored.paused = record.paused ? 1 : 0;
    if (!record.group) return stored;
    const auto& options = *record.group;
    stored.is_group = 1;
    stored.order = static_cast<std::uint8_t>(options.order);
    stored.ack_wait_ms = static_cast<std::uint32_t>(options.ack_wait.count());
    stored.max_deliver = options.max_deliver;
    stored.max_in_flight = options.max_in_flight;
    stored.back_off_count = static_cast<std::uint32_t>(options.back_off.size());
    for (std::size_t i = 0; i < options.back_off.size(); ++i)
        stored.back_off_ms[i] = static_cast<std::uint32_t>(options.back_off[i].count());
    return stored;
}

} // namespace

StateFile& SubscriptionFiles::file_of(const std::string& name) {
    return files_.try_emplace(name, *directory_, file_name(name), topic_).first->second;
}

StateFile& SubscriptionFiles::slots_of(const std::string& name) {
    return slots_.try_emplace(name, *directory_, slots_name(name), topic_, slots_bytes)
        .first->second;
}

std::map<std::string, SubscriptionRecord>
SubscriptionFiles::load(std::vector<std::string>& damaged) {
    std::map<std::string, SubscriptionRecord> found;
    for (const auto& file : directory_->list()) {
        if (!file.ends_with(suffix)) continue;
        const auto name = file.substr(0, file.size() - suffix.size());
        if (!is_valid_name(name)) continue;
        const auto stored = file_of(name).as<Stored>();
        auto& record = found[name];
        if (!stored || !take(*stored, record)) {
            damaged.push_back(name);
            found.erase(name);
        } else if (record.group && record.begun) {
            load_slots(name, record);
        }
    }
    return found;
}

/// Each slot is at least as far as the cursor; without a good file no further.
void SubscriptionFiles::load_slots(const std::string& name, SubscriptionRecord& record) {
    record.slots.assign(key_slots, {.seq = record.cursor + 1});
    const auto stored = slots_of(name).as<StoredSlots>();
    if (!stored) return;
    for (std::size_t k = 0; k < key_slots; ++k) {
        const auto& slot = (*stored)[k];
        if (slot.seq < record.cursor + 1) continue;
        const auto failure =
            slot.failure > 3 ? layout::Failure::none : static_cast<layout::Failure>(slot.failure);
        record.slots[k] = {slot.seq, slot.tries, failure};
    }
}

void SubscriptionFiles::write(const std::string& name, const SubscriptionRecord& record) {
    if (record.group && record.begun) {
        StoredSlots slots{};
        for (std::size_t k = 0; k < key_slots && k < record.slots.size(); ++k) {
            const auto& slot = record.slots[k];
            slots[k] = {slot.seq,
                        static_cast<std::uint16_t>(slot.tries),
                        static_cast<std::uint8_t>(slot.failure),
                        {}};
        }
        slots_of(name).write(std::as_bytes(std::span(slots)));
    }
    const Stored stored = stored_of(record);
    file_of(name).write(std::as_bytes(std::span(&stored, 1)));
}

void SubscriptionFiles::remove_file(const std::string& name) {
    try {
        directory_->remove(name);
    } catch (const FileError& e) {
        if (e.error() != ENOENT) throw;
    }
}

/// The second file last: what is left of a group is a subscription that nobody asks for.
void SubscriptionFiles::remove(const std::string& name) {
    files_.erase(name);
    slots_.erase(name);
    remove_file(file_name(name));
    remove_file(slots_name(name));
    directory_->sync_directory();
}

} // namespace shmbus::store
