#include "daemon/spiller/storage.hpp"

#include "daemon/system/log.hpp"
#include "daemon/system/watchdog.hpp"

#include <bit>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <unistd.h>

namespace shmbus::spiller {

namespace {

constexpr const char* held_mark = "/held";

std::string text_of(const layout::Uuid& uuid) {
    std::string text;
    for (const auto byte : uuid) text += fmt::format("{:02x}", byte);
    return text;
}

/// Of the disk, left free for others: a twentieth, or 1 GiB where that is less.
std::uint64_t reserve_of(const std::string& path) {
    std::error_code error;
    const auto space = std::filesystem::space(path, error);
    return error ? 0 : std::min<std::uint64_t>(space.capacity / 20, std::uint64_t{1} << 30U);
}

} // namespace

store::LogOptions Storage::log_options(const TopicOptions& options) const {
    const system::DiskWait waits;
    store::LogOptions log;
    log.durable = options.sync != Sync::none;
    log.reserve = reserve_of(state_.path());
    // What is kept goes by whole segments: a small limit wants small ones.
    if (options.keep_bytes != 0)
        log.max_capacity =
            std::clamp(std::bit_floor(options.keep_bytes / 8), log.min_capacity, log.max_capacity);
    return log;
}

OpenLog Storage::create(const std::string& name, const store::TopicRecord& record, Sequence first) {
    auto options = log_options(record.options);
    options.first = first;
    auto directory = state_.make(name);
    try {
        store::write_record(*directory, record);
        auto log = open_log(std::move(directory), record.uuid, options);
        log.path = state_.topic_path(name);
        state_.commit();
        return log;
    } catch (...) {
        clear(name, record.uuid);
        throw;
    }
}

std::optional<store::TopicRecord> Storage::find(const std::string& name) {
    const auto directory = state_.open(name);
    auto record = store::read_record(*directory);
    if (record) return record;
    if (!store::take_inventory(*directory).segments.empty())
        throw Error(Errc::damaged, "there are segments, and no record of what it was made with; "
                                   "move its directory away");
    clear(name, "unmade-" + name); // the daemon was killed while it made it
    return std::nullopt;
}

OpenLog Storage::open(const std::string& name, const store::TopicRecord& record) {
    auto log = open_log(state_.open(name), record.uuid, log_options(record.options));
    log.path = state_.topic_path(name);
    return log;
}

void Storage::remove(const std::string& name, const layout::Uuid& uuid,
                     const std::shared_ptr<DiskTopic>& topic) {
    topic->note_removal();
    state_.set_aside(name, text_of(uuid));
    spiller_.drop(topic, [this, unique = text_of(uuid)] { state_.discard(unique); });
}

void Storage::mark_held(const std::string& name, bool held) noexcept {
    const system::DiskWait waits;
    if (held)
        std::ofstream(path_of(name) + held_mark);
    else
        ::unlink((path_of(name) + held_mark).c_str());
}

bool Storage::is_held(const std::string& name) const noexcept {
    const system::DiskWait waits;
    return ::access((path_of(name) + held_mark).c_str(), F_OK) == 0;
}

void Storage::clear(const std::string& name, const layout::Uuid& uuid) noexcept {
    clear(name, text_of(uuid));
}

void Storage::clear(const std::string& name, const std::string& unique) noexcept {
    try {
        state_.set_aside(name, unique);
    } catch (const std::exception& e) {
        system::log(system::Level::warning, e.what());
    }
    state_.discard(unique);
}

} // namespace shmbus::spiller
