#include "daemon/store/subscription_files.hpp"

#include <cerrno>
#include <string_view>

namespace shmbus::store {

namespace {

constexpr std::string_view suffix = ".sub";

std::string file_name(const std::string& name) { return name + std::string(suffix); }

/// As it is on disk; fields are only ever added, at the end.
struct Stored {
    std::uint64_t created_ns;
    std::uint64_t cursor;
    std::uint32_t creator;
    std::uint8_t begun;
    std::uint8_t paused;
    std::array<std::uint8_t, 2> reserved;
};
static_assert(sizeof(Stored) == 24);

} // namespace

StateFile& SubscriptionFiles::file_of(const std::string& name) {
    return files_.try_emplace(name, *directory_, file_name(name), topic_).first->second;
}

std::map<std::string, SubscriptionRecord>
SubscriptionFiles::load(std::vector<std::string>& damaged) {
    std::map<std::string, SubscriptionRecord> found;
    for (const auto& file : directory_->list()) {
        if (!file.ends_with(suffix)) continue;
        const auto name = file.substr(0, file.size() - suffix.size());
        if (!is_valid_name(name)) continue;
        if (const auto stored = file_of(name).as<Stored>())
            found.emplace(name,
                          SubscriptionRecord{stored->created_ns, stored->cursor, stored->creator,
                                             stored->begun != 0, stored->paused != 0});
        else
            damaged.push_back(name);
    }
    return found;
}

void SubscriptionFiles::write(const std::string& name, const SubscriptionRecord& record) {
    const Stored stored{record.created_ns,
                        record.cursor,
                        record.creator,
                        record.begun ? std::uint8_t{1} : std::uint8_t{0},
                        record.paused ? std::uint8_t{1} : std::uint8_t{0},
                        {}};
    file_of(name).write(std::as_bytes(std::span(&stored, 1)));
}

void SubscriptionFiles::remove(const std::string& name) {
    files_.erase(name);
    try {
        directory_->remove(file_name(name));
    } catch (const FileError& e) {
        if (e.error() != ENOENT) throw;
    }
    directory_->sync_directory();
}

} // namespace shmbus::store
