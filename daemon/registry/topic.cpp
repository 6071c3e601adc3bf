#include "daemon/registry/topic.hpp"

#include "base/random.hpp"
#include "daemon/registry/limits.hpp"
#include "shmbus/error.hpp"

#include <algorithm>
#include <utility>

namespace shmbus::registry {

namespace {

using layout::tokens_per_lease;
constexpr std::uint64_t token_mask = (std::uint64_t{1} << 56U) - 1;

/// Tokens of a daemon that ran before, or of another topic, should not look like ours.
std::uint64_t random_token() {
    std::uint64_t token = 0;
    base::fill_random(std::as_writable_bytes(std::span(&token, 1)));
    return token & token_mask & ~(tokens_per_lease - 1);
}

template <class Entries, class IsFree>
std::optional<std::uint32_t> first_free(const Entries& entries, IsFree is_free) {
    const auto found = std::find_if(entries.begin(), entries.end(), is_free);
    if (found == entries.end()) return std::nullopt;
    return static_cast<std::uint32_t>(found - entries.begin());
}

} // namespace

layout::Uuid Topic::new_uuid() {
    layout::Uuid uuid;
    base::fill_random(std::as_writable_bytes(std::span(uuid)));
    uuid[6] = static_cast<std::uint8_t>((uuid[6] & 0x0fU) | 0x40U); // RFC 4122, version 4
    uuid[8] = static_cast<std::uint8_t>((uuid[8] & 0x3fU) | 0x80U);
    return uuid;
}

layout::RingParameters Topic::parameters_of(const TopicOptions& options, Sequence first) noexcept {
    layout::RingParameters parameters{};
    parameters.capacity = options.capacity;
    parameters.slot_bytes = options.slot_bytes;
    parameters.max_event = options.max_event;
    parameters.pool_bytes = options.pool_bytes;
    parameters.first_sequence = first;
    parameters.max_publishers = entries_per_topic;
    parameters.max_readers = entries_per_topic;
    parameters.evict_after_ms = options.evict_after_ms;
    parameters.hold_timeout_ms = options.hold_timeout_ms;
    parameters.full_policy = static_cast<std::uint8_t>(options.full);
    const auto on_disk =
        options.sync == Sync::none ? layout::GateKind::written : layout::GateKind::durable;
    parameters.gate = static_cast<std::uint8_t>(
        options.retention == Retention::disk ? on_disk : layout::GateKind::readers);
    return parameters;
}

TopicOptions Topic::options_of(const layout::RingParameters& parameters) noexcept {
    return {.full = static_cast<FullPolicy>(parameters.full_policy),
            .capacity = parameters.capacity,
            .slot_bytes = parameters.slot_bytes,
            .max_event = parameters.max_event,
            .pool_bytes = parameters.pool_bytes,
            .evict_after_ms = parameters.evict_after_ms,
            .hold_timeout_ms = parameters.hold_timeout_ms,
            .retention = Retention::memory};
}

MemoryNeed Topic::need_of(const layout::RingParameters& parameters) noexcept {
    const auto ring = layout::geometry_of(parameters);
    const auto readers = layout::readers_geometry_of(parameters);
    return {ring.slots_end + readers.total_bytes, ring.total_bytes + readers.total_bytes};
}

Topic::Topic(const std::string& name, const store::TopicRecord& record, Sequence first)
    : Topic(Books(name, record, first),
            TopicMemory::make(name, record.uuid, parameters_of(record.options, first))) {}

Topic::Topic(Books books, TopicMemory memory)
    : name_(books.topic()), uuid_(books.record().uuid), options_(books.record().options),
      parameters_(memory.parameters()), creator_(books.record().creator), books_(std::move(books)),
      memory_(std::move(memory)), view_(memory_.view()), publishers_(parameters_.max_publishers),
      readers_(parameters_.max_readers), tail_seen_(view_.ring.header().tail.load_acquire()),
      tail_before_(tail_seen_), last_publisher_id_(books_.last_publisher()) {
    for (auto& reader : readers_) reader.last_token = random_token();
}

Topic::~Topic() {
    if (frees_memory_) memory_.free();
}

std::vector<Topic::Adopted> Topic::adopt_holders(const Whose& whose) {
    using Role = Books::Role;
    std::vector<Adopted> adopted;
    tail_before_ = tail_seen_ - parameters_.capacity; // whatever was begun before
    // A ring that was closed when the last daemon ended in order is about to be opened again.
    if (view_.ring.header().state.load_acquire() ==
        static_cast<std::uint32_t>(layout::RingState::draining))
        state_ = layout::RingState::draining;
    // What was booked and is not so in the ring was given to nobody: the daemon died before.
    for (std::uint32_t e = 0; e < publishers_.size(); ++e) {
        const auto booked = books_.look(Role::publisher, e);
        const bool leased = booked && booked->mark == view_.ring.publisher(e).id.load_acquire();
        if (leased) publishers_[e] = whose(*booked);
        if (!publishers_[e]) {
            abandoned_publishers_.set(e);
            continue;
        }
        if (booked->exclusive) exclusive_id_ = last_publisher_id_;
        adopted.push_back({true, e, *booked});
    }
    for (std::uint32_t e = 0; e < readers_.size(); ++e) {
        const auto booked = books_.look(Role::subscriber, e);
        if (booked) readers_[e].holder = whose(*booked);
        if (!readers_[e].holder) {
            abandoned_readers_.set(e); // the spiller's too, which begins anew
            continue;
        }
        readers_[e].last_token = booked->mark;
        adopted.push_back({false, e, *booked});
    }
    reap();
    return adopted;
}

void Topic::carry(spiller::OpenLog log, std::shared_ptr<spiller::NamedPublishers> named) {
    disk_ = std::make_shared<spiller::DiskTopic>(
        name_, view_, parameters_.max_readers - 1, std::move(log), uuid_,
        spiller::disk_policy_of(options_), std::move(named));
}

std::size_t Topic::leasable_readers() const noexcept {
    return readers_.size() - (options_.retention == Retention::disk ? 1 : 0);
}

std::optional<Topic::PublisherEntry> Topic::lease_publisher(const Holder& holder,
                                                            std::uint64_t lease, bool exclusive,
                                                            std::uint32_t named_id) {
    const auto entry = first_free(publishers_, [](const auto& held) { return !held; });
    if (!entry || last_publisher_id_ == ~std::uint32_t{0}) return std::nullopt;
    // Counts named ones, too: is_exclusive() goes by the last.
    books_.raise_last_publisher(++last_publisher_id_);
    if (exclusive) exclusive_id_ = last_publisher_id_;
    publishers_[*entry] = holder;
    const std::uint32_t id = named_id == 0 ? last_publisher_id_ : named_id;
    books_.book(Books::Role::publisher, *entry,
                {.session = holder.session, .lease = lease, .mark = id, .exclusive = exclusive});
    ring::lease_publisher(view_, *entry, id, holder.pid);
    PublisherEntry leased{*entry, id};
    // Nobody publishes under this name just now: what is not stored yet is in the ring.
    if (named_id != 0)
        leased.last_event =
            std::max(disk_->named()->last_event(id), ring::last_event_of(view_, id));
    return leased;
}

std::optional<Holder> Topic::holder_of(std::uint32_t named_id) const {
    for (std::uint32_t e = 0; e < publishers_.size(); ++e) {
        const auto booked = books_.look(Books::Role::publisher, e);
        if (booked && booked->mark == named_id) return publishers_[e];
    }
    return std::nullopt;
}

/// Nobody came after it, so whoever publishes is it.
bool Topic::is_exclusive() const noexcept {
    return exclusive_id_ != 0 && exclusive_id_ == last_publisher_id_ && publisher_count() != 0;
}

void Topic::abandon_publisher(std::uint32_t entry) noexcept { abandoned_publishers_.set(entry); }

void Topic::abandon_subscriber(std::uint32_t entry) noexcept { abandoned_readers_.set(entry); }

ring::Reaped Topic::reap() noexcept {
    ring::Reaped reaped;
    if (abandoned_publishers_.any()) {
        reaped = ring::reap_publishers(view_, abandoned_publishers_);
        for (std::uint32_t p = 0; p < publishers_.size(); ++p)
            if (abandoned_publishers_[p]) {
                books_.strike(Books::Role::publisher, p);
                publishers_[p].reset();
            }
        abandoned_publishers_.reset();
    }
    if (abandoned_readers_.any()) {
        ring::Entries dead;
        for (std::uint32_t r = 0; r < readers_.size(); ++r) {
            if (abandoned_readers_[r]) readers_[r].holder.reset();
            // The spiller's own entry is not anybody's to leave behind while it reads.
            dead[r] = !readers_[r].holder && (r < leasable_readers() || !disk_);
        }
        ring::reap_readers(view_, dead);
        for (std::uint32_t r = 0; r < readers_.size(); ++r)
            if (abandoned_readers_[r]) books_.strike(Books::Role::subscriber, r);
        abandoned_readers_.reset();
    }
    return reaped;
}

ring::Quarantined Topic::quarantine(const ring::Entries& entries) noexcept {
    if (is_exclusive()) return {};
    const Sequence tail = view_.ring.header().tail.load_acquire();
    return ring::quarantine_claims(view_, entries, tail - parameters_.capacity, tail);
}

ring::Quarantined Topic::quarantine_stalled() noexcept {
    const Sequence tail = view_.ring.header().tail.load_acquire();
    const Sequence end = std::exchange(tail_seen_, tail);
    const Sequence begin = std::exchange(tail_before_, end);
    if (tail == begin) return {}; // nothing new, now or the last time
    if (somebody_is_behind(tail - 1)) view_.event_bell().ring_if_needed();
    if (is_exclusive()) return {};
    const Sequence count = std::min<Sequence>(end - begin, parameters_.capacity);
    return ring::quarantine_claims(view_, ~ring::Entries(), end - count, end - 1);
}

std::optional<Topic::SubscriberEntry> Topic::lease_subscriber(const Holder& holder,
                                                              std::uint64_t lease) {
    const auto entry = first_free(readers_, [](const auto& reader) { return !reader.holder; });
    if (!entry || *entry >= leasable_readers()) return std::nullopt;
    auto& reader = readers_[*entry];
    reader.holder = holder;
    // 2^36 leases of one entry until a token comes again; never 0, which means none.
    reader.last_token = (reader.last_token + tokens_per_lease) & token_mask;
    if (reader.last_token == 0) reader.last_token = tokens_per_lease;
    books_.book(Books::Role::subscriber, *entry,
                {.session = holder.session, .lease = lease, .mark = reader.last_token});
    ring::lease_reader(view_, *entry, reader.last_token, holder.pid);
    return SubscriberEntry{*entry, reader.last_token};
}

bool Topic::pass_on(bool publishes, std::uint32_t entry, std::uint64_t mark, const Holder& to,
                    std::uint64_t lease) noexcept {
    const auto role = publishes ? Books::Role::publisher : Books::Role::subscriber;
    if (entry >= (publishes ? publishers_.size() : readers_.size())) return false;
    auto& holder = publishes ? publishers_[entry] : readers_[entry].holder;
    auto booked = books_.look(role, entry);
    if (!holder || !booked || holder->pid != to.pid) return false;
    // A subscriber that had not attached yet has no mark.
    const bool same = publishes
                          ? booked->mark == mark
                          : booked->mark == 0 || booked->mark == (mark & ~(tokens_per_lease - 1));
    if (!same) return false;
    booked->session = to.session;
    booked->lease = lease;
    books_.book(role, entry, *booked);
    holder = to;
    return true;
}

void Topic::make_exclusive(std::uint32_t entry) noexcept {
    auto booked = books_.look(Books::Role::publisher, entry);
    if (!booked || publisher_count() != 1) return;
    booked->exclusive = true;
    books_.book(Books::Role::publisher, entry, *booked);
    exclusive_id_ = last_publisher_id_;
}

void Topic::note_subscription(std::uint32_t entry, const std::string& name,
                              std::uint64_t hold) noexcept {
    auto booked = books_.look(Books::Role::subscriber, entry);
    if (!booked) return;
    booked->subscription = name;
    booked->hold = hold;
    books_.book(Books::Role::subscriber, entry, *booked);
}

void Topic::look_for_incidents() noexcept {
    for (std::uint32_t r = 0; r < readers_.size(); ++r) {
        auto& reader = readers_[r];
        if (!reader.holder) continue;
        const std::uint64_t attach = view_.readers.entry(r).attach.load_acquire();
        const bool is_evicted = layout::mode_of(attach) == layout::ReaderMode::gate &&
                                view_.ring.watch(r).lossy.load_acquire() == attach;
        if (!is_evicted || std::exchange(reader.evicted, attach) == attach) continue;
        const auto booked = books_.look(Books::Role::subscriber, r);
        incidents_.note(
            {.kind = IncidentKind::evicted,
             .name = booked ? booked->subscription : "",
             .last = std::min(view_.readers.entry(r).cursor.load_acquire(), head_hint())},
            *reader.holder);
    }
    const bool is_degraded = disk_ && disk_->is_degraded();
    if (std::exchange(is_degraded_, is_degraded) != is_degraded)
        incidents_.note({.kind = is_degraded ? IncidentKind::degraded : IncidentKind::recovered});
}

std::vector<Holder> Topic::publishers() const { return publishers(~ring::Entries()); }

std::vector<Holder> Topic::publishers(const ring::Entries& entries) const {
    std::vector<Holder> holders;
    for (std::uint32_t p = 0; p < publishers_.size(); ++p)
        if (entries[p] && publishers_[p]) holders.push_back(*publishers_[p]);
    return holders;
}

std::size_t Topic::publisher_count() const noexcept {
    return static_cast<std::size_t>(std::count_if(
        publishers_.begin(), publishers_.end(), [](const auto& held) { return held.has_value(); }));
}

std::size_t Topic::subscriber_count() const noexcept {
    return static_cast<std::size_t>(
        std::count_if(readers_.begin(), readers_.end(),
                      [](const auto& reader) { return reader.holder.has_value(); }));
}

bool Topic::gates(std::uint32_t reader) const noexcept {
    const std::uint64_t attach = view_.readers.entry(reader).attach.load_acquire();
    return layout::mode_of(attach) == layout::ReaderMode::gate &&
           view_.ring.watch(reader).lossy.load_acquire() != attach;
}

std::uint32_t Topic::claimant_of(Sequence s) const noexcept {
    const layout::Stamp stamp(view_.ring.slot(s).stamp.load_acquire());
    if (stamp.slot_state() != layout::SlotState::claimed || stamp.ahead_of(s) != 0) return 0;
    const auto owner = stamp.owner();
    return owner < publishers_.size() && publishers_[owner] ? publishers_[owner]->pid : 0;
}

std::vector<Topic::SubscriberHint> Topic::subscribers() const {
    std::vector<SubscriberHint> hints;
    for (std::uint32_t i = 0; i < readers_.size(); ++i) {
        if (!readers_[i].holder) continue;
        const Sequence cursor = std::min(view_.readers.entry(i).cursor.load_acquire(), head_hint());
        hints.push_back({*readers_[i].holder, cursor, gates(i), claimant_of(cursor + 1)});
    }
    return hints;
}

Sequence Topic::head_hint() const noexcept {
    return std::max(view_.ring.header().tail.load_acquire(), parameters_.first_sequence) - 1;
}

Sequence Topic::first_hint() const noexcept {
    const Sequence head = head_hint();
    const Sequence span = head + 1 - parameters_.first_sequence;
    const Sequence in_ring =
        span <= parameters_.capacity ? parameters_.first_sequence : head + 1 - parameters_.capacity;
    if (!disk_) return in_ring;
    const auto kept = disk_->kept();
    return kept.segments.empty() ? in_ring : std::min(in_ring, kept.segments.front());
}

bool Topic::somebody_is_behind(Sequence s) const noexcept {
    for (std::uint32_t r = 0; r < readers_.size(); ++r)
        if (readers_[r].holder && view_.readers.entry(r).cursor.load_acquire() < s) return true;
    return false;
}

bool Topic::is_drained_hint() const noexcept {
    const Sequence head = head_hint();
    for (std::uint32_t r = 0; r < readers_.size(); ++r)
        if (readers_[r].holder && gates(r) && view_.readers.entry(r).cursor.load_acquire() < head)
            return false;
    return true;
}

void Topic::set_state(layout::RingState state) noexcept {
    state_ = state;
    ring::set_state(view_, state);
}

} // namespace shmbus::registry
