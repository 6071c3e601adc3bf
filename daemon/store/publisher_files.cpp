#include "daemon/store/publisher_files.hpp"

#include <charconv>
#include <string_view>

namespace shmbus::store {

namespace {

constexpr std::string_view suffix = ".pub";
const std::string extent_name = "publishers";

/// The id is in the name, so that no damage of the file gives it to another.
std::string file_name(const std::string& name, std::uint32_t id) {
    return name + '.' + std::to_string(id) + std::string(suffix);
}

struct FileName {
    std::string name;
    std::uint32_t id;
};
std::optional<FileName> parse(std::string_view file) {
    if (!file.ends_with(suffix)) return {};
    file.remove_suffix(suffix.size());
    const auto dot = file.rfind('.');
    if (dot == std::string_view::npos || !is_valid_name(file.substr(0, dot))) return {};
    FileName parsed{std::string(file.substr(0, dot)), 0};
    const auto digits = file.substr(dot + 1);
    const auto [end, error] = std::from_chars(digits.begin(), digits.end(), parsed.id);
    if (error != std::errc() || end != digits.end() || parsed.id == 0) return {};
    return parsed;
}

} // namespace

PublisherFiles::PublisherFiles(std::unique_ptr<Directory> directory, const layout::Uuid& topic)
    : directory_(std::move(directory)), topic_(topic), extent_(*directory_, extent_name, topic) {}

StateFile& PublisherFiles::file_of(const std::string& name, std::uint32_t id) {
    return files_.try_emplace(name, *directory_, file_name(name, id), topic_).first->second;
}

const std::map<std::string, PublisherRecord>& PublisherFiles::load() {
    for (const auto& file : directory_->list()) {
        const auto parsed = parse(file);
        if (!parsed) continue;
        auto& found = found_[parsed->name] = {.id = parsed->id};
        if (const auto last = file_of(parsed->name, parsed->id).as<std::uint64_t>())
            found.last_event = *last;
        else
            damaged_.push_back(parsed->name);
    }
    if (damaged_.empty()) through_ = extent_.as<Sequence>().value_or(0);
    return found_;
}

void PublisherFiles::write(const std::string& name, const PublisherRecord& record) {
    file_of(name, record.id).write_twice(std::as_bytes(std::span(&record.last_event, 1)));
}

void PublisherFiles::add(const std::string& name, const PublisherRecord& record) {
    write(name, record);
}

void PublisherFiles::save(const std::map<std::string, PublisherRecord>& changed, Sequence through) {
    for (const auto& [name, record] : changed) write(name, record);
    extent_.write(std::as_bytes(std::span(&through, 1)));
    through_ = through;
}

} // namespace shmbus::store
