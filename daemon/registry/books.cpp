#include "daemon/registry/books.hpp"

#include "base/memfd.hpp"
#include "daemon/registry/incidents.hpp"
#include "daemon/registry/limits.hpp"
#include "shmbus/error.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace shmbus::registry {

namespace {

constexpr std::uint64_t books_magic = 0x31736b6f'6f6d6873; // "shmooks1", little-endian
constexpr std::uint16_t books_major = 1;

using Name = std::array<char, max_name_bytes>; // zeros behind it

void write_name(Name& to, const std::string& name) noexcept {
    to.fill(0);
    std::memcpy(to.data(), name.data(), std::min(name.size(), to.size()));
}

std::string read_name(const Name& from) {
    return {from.begin(), std::find(from.begin(), from.end(), '\0')};
}

} // namespace

struct Books::Entry {
    base::Word64 session; // 0: nobody
    std::uint64_t lease;
    std::uint64_t mark;
    std::uint64_t hold;
    std::uint32_t exclusive;
    std::uint32_t reserved;
    Name subscription;
};

struct Books::Layout {
    std::uint64_t magic;
    std::uint16_t major;
    std::uint16_t minor;
    std::uint32_t reserved;
    std::uint64_t total_bytes;
    std::uint64_t first;
    store::PackedRecord record;
    Name topic;
    base::Word64 last_publisher;
    base::Word32 writer;       // uid; 0: only root
    base::Word32 relying_user; // uid + 1; 0: nobody
    std::array<Entry, entries_per_topic> publishers;
    std::array<Entry, entries_per_topic> subscribers;
    IncidentTable incidents;
};

Books::Layout& Books::layout() const noexcept {
    return *reinterpret_cast<Layout*>(mapping_.bytes().data());
}

Books::Books(const std::string& topic, const store::TopicRecord& record, Sequence first)
    : fd_(base::make_memfd("shmbus-books-" + topic, sizeof(Layout), 0)),
      mapping_(fd_, base::Access::read_write, sizeof(Layout)) {
    auto& to = layout();
    to.major = books_major;
    to.total_bytes = sizeof(Layout);
    to.first = first;
    to.record = store::pack(record);
    write_name(to.topic, topic);
    to.magic = books_magic;
}

Books::Books(const base::Fd& kept) : fd_(base::writable_twin(kept)) {
    if (base::sealed_size(fd_, "books") != sizeof(Layout))
        throw Error(Errc::incompatible, "the books are another daemon's: their size is another");
    mapping_ = base::Mapping(fd_, base::Access::read_write, sizeof(Layout));
    const auto& from = layout();
    if (from.magic != books_magic || from.total_bytes != sizeof(Layout))
        throw Error(Errc::damaged, "the books are none");
    if (from.major != books_major)
        throw Error(Errc::incompatible, "the books are of another version of the daemon");
}

IncidentTable& Books::incidents() const noexcept { return layout().incidents; }
std::string Books::topic() const { return read_name(layout().topic); }
store::TopicRecord Books::record() const { return store::unpack(layout().record); }
Sequence Books::first() const noexcept { return layout().first; }

uid_t Books::writer() const noexcept { return layout().writer.load_acquire(); }
void Books::set_writer(uid_t user) noexcept { layout().writer.store_release(user); }
std::optional<uid_t> Books::relying_user() const noexcept {
    const std::uint32_t noted = layout().relying_user.load_acquire();
    return noted == 0 ? std::nullopt : std::optional<uid_t>(noted - 1);
}
void Books::set_relying_user(std::optional<uid_t> user) noexcept {
    layout().relying_user.store_release(user ? *user + 1 : 0);
}

Books::Entry& Books::entry(Role role, std::uint32_t index) const noexcept {
    auto& of = role == Role::publisher ? layout().publishers : layout().subscribers;
    return of[index];
}

void Books::book(Role role, std::uint32_t index, const Booked& who) noexcept {
    auto& to = entry(role, index);
    to.lease = who.lease;
    to.mark = who.mark;
    to.hold = who.hold;
    to.exclusive = who.exclusive ? 1 : 0;
    write_name(to.subscription, who.subscription);
    to.session.store_release(who.session); // pairs with look(), in the next daemon
}

void Books::strike(Role role, std::uint32_t index) noexcept {
    entry(role, index).session.store_release(0);
}

std::optional<Booked> Books::look(Role role, std::uint32_t index) const {
    const auto& from = entry(role, index);
    const std::uint64_t session = from.session.load_acquire();
    if (session == 0) return std::nullopt;
    return Booked{
        session,  from.lease, from.mark, from.exclusive != 0, read_name(from.subscription),
        from.hold};
}

void Books::raise_last_publisher(std::uint32_t id) noexcept {
    layout().last_publisher.store_release(id);
}
std::uint32_t Books::last_publisher() const noexcept {
    return static_cast<std::uint32_t>(layout().last_publisher.load_acquire());
}

} // namespace shmbus::registry
