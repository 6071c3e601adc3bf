#include "daemon/registry/incidents.hpp"

#include "base/clock.hpp"
#include "base/hash.hpp"

#include <algorithm>
#include <cstring>
#include <span>

namespace shmbus::registry {

namespace {

constexpr auto of_each = IncidentTable::of_each;
const std::string file_name = "incidents";

template <std::size_t bytes>
void write(std::array<char, bytes>& to, const std::string& text) noexcept {
    std::copy_n(text.begin(), std::min(text.size(), bytes), to.begin());
}
template <std::size_t bytes> std::string read(const std::array<char, bytes>& from) {
    return {from.begin(), std::find(from.begin(), from.end(), '\0')};
}

std::uint64_t checksum_of(const IncidentRecord& record, const layout::Uuid& topic) noexcept {
    constexpr auto summed = offsetof(IncidentRecord, checksum);
    return base::checksum(std::as_bytes(std::span(&record, 1)).first(summed),
                          base::checksum(std::as_bytes(std::span(topic))));
}

bool is_whole(const IncidentRecord& record, const layout::Uuid& topic) noexcept {
    return record.number != 0 && record.checksum == checksum_of(record, topic);
}

Incident incident_of(const IncidentRecord& record) {
    return {.number = record.number,
            .time = std::chrono::sys_time<std::chrono::nanoseconds>(
                std::chrono::nanoseconds(record.time_ns)),
            .kind = static_cast<IncidentKind>(record.kind),
            .pid = record.pid,
            .uid = record.uid,
            .command = read(record.command),
            .unit = read(record.unit),
            .name = read(record.name),
            .first = record.first,
            .last = record.last};
}

std::vector<Incident> incidents_in(const IncidentTable& table, const layout::Uuid& topic,
                                   std::uint64_t after, std::size_t limit) {
    std::vector<Incident> found;
    for (const auto& record : table.records)
        if (is_whole(record, topic) && record.number > after) found.push_back(incident_of(record));
    std::sort(found.begin(), found.end(),
              [](const Incident& a, const Incident& b) { return a.number < b.number; });
    if (found.size() > limit) found.resize(limit);
    return found;
}

bool exists(const store::Directory& directory) {
    const auto names = directory.list();
    return std::find(names.begin(), names.end(), file_name) != names.end();
}

/// What the file has; zeros behind its end, or if there is none.
std::unique_ptr<IncidentTable> table_in(store::Directory& directory) {
    auto table = std::make_unique<IncidentTable>();
    if (exists(directory))
        (void)directory.open(file_name, store::Directory::Access::read)
            ->read_at(std::as_writable_bytes(std::span(table.get(), 1)), 0);
    return table;
}

} // namespace

Incidents::Incidents(IncidentTable& table, const layout::Uuid& topic)
    : table_(table), topic_(topic) {
    find_ends();
}

void Incidents::find_ends() noexcept {
    next_ = {};
    std::array<std::uint64_t, 2> newest{};
    for (std::size_t i = 0; i < table_.records.size(); ++i) {
        const auto& record = table_.records[i];
        if (!is_whole(record, topic_) || record.number <= newest[i / of_each]) continue;
        newest[i / of_each] = record.number;
        next_[i / of_each] = (i + 1) % of_each;
    }
    last_number_ = std::max(newest[0], newest[1]);
}

void Incidents::note(const Incident& what, const Holder& who) noexcept {
    IncidentRecord record{};
    record.number = ++last_number_;
    record.time_ns = base::wall_ns();
    record.first = what.first;
    record.last = what.last;
    record.pid = who.pid;
    record.uid = who.uid;
    record.kind = static_cast<std::uint32_t>(what.kind);
    write(record.command, who.command);
    write(record.unit, who.unit);
    write(record.name, what.name);
    record.checksum = checksum_of(record, topic_);
    const std::size_t ring = what.kind < IncidentKind::publisher_died ? 0 : 1;
    table_.records[ring * of_each + next_[ring]] = record;
    next_[ring] = (next_[ring] + 1) % of_each;
}

std::vector<Incident> Incidents::list(std::uint64_t after, std::size_t limit) const {
    return incidents_in(table_, topic_, after, limit);
}

void Incidents::keep_in(std::unique_ptr<store::Directory> directory) {
    const auto kept = table_in(*directory);
    const bool is_new = last_number_ == 0;
    for (std::size_t i = 0; i < table_.records.size(); ++i) {
        const auto& from = kept->records[i];
        auto& to = table_.records[i];
        const bool is_older = !is_whole(to, topic_) || to.number < from.number;
        if (is_whole(from, topic_) && is_older) to = from;
    }
    find_ends();
    if (is_new) saved_ = last_number_;
    directory_ = std::move(directory);
}

void Incidents::save() {
    if (!has_unsaved()) return;
    const auto file = exists(*directory_)
                          ? directory_->open(file_name, store::Directory::Access::write)
                          : directory_->create(file_name);
    for (std::size_t i = 0; i < table_.records.size(); ++i) {
        const auto& record = table_.records[i];
        if (record.number > saved_)
            file->write_at(std::as_bytes(std::span(&record, 1)), i * sizeof record);
    }
    saved_ = last_number_;
}

std::vector<Incident> Incidents::load(store::Directory& directory, const layout::Uuid& topic,
                                      std::uint64_t after, std::size_t limit) {
    return incidents_in(*table_in(directory), topic, after, limit);
}

} // namespace shmbus::registry
