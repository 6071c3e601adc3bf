// What has happened to a topic beside its events, for people who ask why (shmbus/incident.hpp).
//
// The records are in a topic's books, so that a daemon that is killed loses none: two rings, of comings and
// goings and of all else, so that nobody flushes out what is rare by opening and closing. Topics on disk have a
// copy in a file, record by record where they are in memory; each has its checksum, and none is synced: what a
// power loss tears is left out.
#pragma once

#include "daemon/registry/holder.hpp"
#include "daemon/store/files.hpp"
#include "layout/ring.hpp"
#include "shmbus/incident.hpp"

#include <array>
#include <memory>

namespace shmbus::registry {

struct IncidentRecord {
    std::uint64_t number; // 0: none
    std::uint64_t time_ns;
    std::uint64_t first;
    std::uint64_t last;
    std::uint32_t pid;
    std::uint32_t uid;
    std::uint32_t kind;
    std::uint32_t reserved;
    std::array<char, 16> command; // zeros behind these
    std::array<char, 64> unit;
    std::array<char, 128> name;
    std::uint64_t checksum; // of all before, seeded with the topic's uuid
};
static_assert(sizeof(IncidentRecord) == 264);

/// Zeros: nothing has happened yet.
struct IncidentTable {
    static constexpr std::size_t of_each = 128;
    std::array<IncidentRecord, 2 * of_each> records; // comings and goings first
};

class Incidents {
  public:
    /// Goes on with what the table says, as far as it is whole. The table outlives this.
    Incidents(IncidentTable& table, const layout::Uuid& topic);

    /// `what` has the kind, and a name and sequences where there are any; `who` did it, or suffered it.
    void note(const Incident& what, const Holder& who = {}) noexcept;
    /// In their order, at most `limit` behind number `after`.
    [[nodiscard]] std::vector<Incident> list(std::uint64_t after, std::size_t limit) const;

    /// What is in the file comes before what is in memory; from now on save() copies to it.
    /// @throws store::FileError
    void keep_in(std::unique_ptr<store::Directory> directory);
    [[nodiscard]] bool has_unsaved() const noexcept { return directory_ && saved_ != last_number_; }
    /// What is new, if it is kept at all. @throws store::FileError
    void save();

    /// The same of a topic that is asleep. @throws store::FileError
    [[nodiscard]] static std::vector<Incident> load(store::Directory& directory,
                                                    const layout::Uuid& topic, std::uint64_t after,
                                                    std::size_t limit);

  private:
    void find_ends() noexcept;

    IncidentTable& table_;
    layout::Uuid topic_;
    std::uint64_t last_number_ = 0;
    std::array<std::size_t, 2> next_{}; // place in each ring
    std::unique_ptr<store::Directory> directory_;
    std::uint64_t saved_ = 0; // number
};

} // namespace shmbus::registry
