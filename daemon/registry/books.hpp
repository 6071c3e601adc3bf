// What a daemon must know of a topic when it starts again, in memory that no client has: what the topic
// was made with, and who holds which of its entries. The descriptor is kept, beside those of ring and
// readers object, by whoever starts the daemon.
//
// A daemon may be killed at any instruction. So an entry is booked before it is leased and struck out after
// it was reaped, each by one store; who finds it booked, but not so in the ring, knows that nobody was told.
#pragma once

#include "base/atomic.hpp"
#include "base/fd.hpp"
#include "base/mapping.hpp"
#include "daemon/store/topic_record.hpp"

#include <optional>
#include <string>
#include <sys/types.h>

namespace shmbus::registry {

struct IncidentTable;

/// Who holds an entry.
struct Booked {
    std::uint64_t session = 0;
    std::uint64_t lease = 0;
    std::uint64_t mark = 0; // publishers: the id; subscribers: the token of the lease
    bool exclusive = false;
    std::string subscription = {}; // a durable one's name,
    std::uint64_t hold = 0;        // and which hold of it
};

class Books {
  public:
    enum class Role : std::uint8_t { publisher, subscriber };

    /// @throws Error(limit), Error(system)
    Books(const std::string& topic, const store::TopicRecord& record, Sequence first);
    /// Those of an earlier daemon. @throws Error: damaged, incompatible, system
    explicit Books(const base::Fd& kept);

    [[nodiscard]] const base::Fd& fd() const noexcept { return fd_; }
    [[nodiscard]] std::string topic() const;
    [[nodiscard]] store::TopicRecord record() const;
    [[nodiscard]] Sequence first() const noexcept; // the ring's first sequence

    /// The one user beside root who was ever given the ring for writing; or one of these.
    static constexpr uid_t only_root = 0;
    static constexpr uid_t several_users = ~uid_t{0}; // which is nobody's
    [[nodiscard]] uid_t writer() const noexcept;
    void set_writer(uid_t user) noexcept;
    /// Whose subscribers were told that nobody but root and themselves publishes.
    [[nodiscard]] std::optional<uid_t> relying_user() const noexcept;
    void set_relying_user(std::optional<uid_t> user) noexcept;

    void book(Role role, std::uint32_t index, const Booked& who) noexcept;
    void strike(Role role, std::uint32_t index) noexcept;
    [[nodiscard]] std::optional<Booked> look(Role role, std::uint32_t index) const;
    /// No id up to here is given to a publisher again.
    void raise_last_publisher(std::uint32_t id) noexcept;
    [[nodiscard]] std::uint32_t last_publisher() const noexcept;
    [[nodiscard]] IncidentTable& incidents() const noexcept;

  private:
    struct Entry;
    struct Layout;
    [[nodiscard]] Layout& layout() const noexcept;
    [[nodiscard]] Entry& entry(Role role, std::uint32_t index) const noexcept;
    base::Fd fd_;
    base::Mapping mapping_;
};

} // namespace shmbus::registry
