#include "daemon/spiller/disk_topic.hpp"

#include "base/clock.hpp"
#include "daemon/system/messages.hpp"
#include "ring/recovery.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace shmbus::spiller {

namespace {

/// How far ahead a promise on disk reaches: each costs a sync, and a power loss shows it as a gap.
constexpr Sequence rings_ahead = 64;
/// Where publishers do not wait for the disk nothing else bounds them: 100 s at full speed.
constexpr Sequence far_ahead = Sequence{1} << 32U;

/// How often a topic is looked at for events that are too old, and when it waits for room.
constexpr auto expiry_interval = std::chrono::seconds(10);
constexpr auto urgent_expiry_interval = std::chrono::seconds(1);

} // namespace

DiskPolicy disk_policy_of(const TopicOptions& options) {
    const auto limit = [](std::uint64_t value) {
        return value == 0 ? std::nullopt : std::optional(value);
    };
    constexpr std::uint64_t ns_per_ms = 1'000'000;
    store::Limits keep;
    keep.max_bytes = limit(options.keep_bytes);
    keep.max_events = limit(options.keep_events);
    if (options.keep_age_ms != 0)
        keep.max_age_ns = std::min(options.keep_age_ms, ~std::uint64_t{0} / ns_per_ms) * ns_per_ms;
    constexpr std::uint64_t most_held = 4; // times what is kept
    if (options.hold && options.keep_bytes != 0)
        keep.hold_cap_bytes = options.keep_bytes <= ~std::uint64_t{0} / most_held
                                  ? options.keep_bytes * most_held
                                  : ~std::uint64_t{0};
    return {options.sync, std::chrono::milliseconds(options.sync_interval_ms), options.hold, keep};
}

OpenLog open_log(std::unique_ptr<store::Directory> directory, const layout::Uuid& uuid,
                 const store::LogOptions& options) {
    OpenLog open{std::move(directory), nullptr, {}};
    open.log = std::make_unique<store::Log>(*open.directory, uuid, options);
    return open;
}

void give_up_promises(OpenLog& open) noexcept {
    if (open.log->leased() >= open.log->next()) open.log->write_off(open.log->leased());
}

DiskTopic::DiskTopic(std::string topic_name, const ring::Topic& topic, std::uint32_t entry,
                     OpenLog log, const layout::Uuid& uuid, const DiskPolicy& policy,
                     std::shared_ptr<NamedPublishers> named)
    : name(std::move(topic_name)), source(topic, entry, log.log->next()), topic_(topic),
      open_(std::move(log)), log_(*open_.log), uuid_(uuid), policy_(policy),
      named_(std::move(named)), segments_when_saved_(log_.segments().size()),
      catalog_(log_, *open_.directory, uuid_) {
    // The ring lets publishers hand out a lap from where it stands on, whatever the disk says later.
    if (!keep_lease() && log_.leased() < let_on())
        throw Error(Errc::system, "its disk takes no promise: " + log_.trouble());
    take_stock();
}

bool DiskTopic::begin() {
    if (!note(log_.sync()) || !keep_lease()) return false;
    publish_watermarks();
    return true;
}

/// How far publishers may come without the spiller's help.
Sequence DiskTopic::let_on() const noexcept {
    const auto& header = topic_.ring.header();
    const auto& parameters = topic_.ring.parameters();
    if (parameters.full_policy == static_cast<std::uint8_t>(FullPolicy::drop_oldest))
        return header.tail.load_acquire();
    const bool durable = parameters.gate == static_cast<std::uint8_t>(layout::GateKind::durable);
    const Sequence gate = (durable ? header.durable : header.written).load_acquire();
    return std::max(gate, parameters.first_sequence - 1) + parameters.capacity;
}

bool DiskTopic::store(store::Batch& batch) {
    // After trouble what was under way begins too far on: it comes again.
    if (log_.has_failed()) return false;
    if (batch.first() != log_.next()) return true;
    store::Outcome outcome = log_.append(batch);
    note_named(batch);
    if (outcome == store::Outcome::done) outcome = log_.flush();
    if (!note(outcome)) return false;
    if (!unsynced_since_) unsynced_since_ = Deadline::Clock::now();
    if (!keep_lease() || !save_named()) return false;
    expire();
    publish_watermarks();
    return true;
}

/// A full disk may have taken the first ones alone: the others come again.
void DiskTopic::note_named(const store::Batch& batch) {
    if (!named_ || !named_->any()) return;
    batch.for_each_event([this, next = log_.next()](Sequence s, const layout::EventHeader& event) {
        if (s < next) named_->note(event.publisher, event.event_id);
    });
}

std::optional<Deadline::Clock::time_point> DiskTopic::sync_due() const noexcept {
    if (!unsynced_since_ || policy_.sync == Sync::none) return std::nullopt;
    // Publishers wait for what is not durable when the ring is full of it.
    const bool is_early = log_.written() - log_.durable() >= topic_.ring.capacity() / 2;
    return policy_.sync == Sync::group || is_early ? *unsynced_since_
                                                   : *unsynced_since_ + policy_.interval;
}

bool DiskTopic::sync() {
    if (!note(log_.sync())) return false;
    unsynced_since_.reset();
    if (!keep_lease()) return false;
    publish_watermarks();
    return true;
}

bool DiskTopic::close() {
    if (!note(log_.close())) return false;
    segments_when_saved_ = 0;
    if (!save_named()) return false;
    publish_watermarks();
    return note(log_.withdraw_lease()); // the ring is closed, and everything in it is on disk
}

std::optional<Sequence> DiskTopic::resume() {
    if (log_.has_failed()) log_.start_over();
    expire(); // it may be what there is no room for
    if (!keep_lease()) return std::nullopt;
    publish_watermarks();
    return log_.next();
}

/// Whether all is well; says so when that changes.
bool DiskTopic::note(store::Outcome outcome) {
    const bool well = outcome == store::Outcome::done;
    const bool was_well = !degraded_.exchange(!well);
    if (!well) take_stock();
    if (was_well == well) return well;
    if (well)
        system::log(system::messages::topic_recovered, {.topic = name},
                    fmt::format("topic {}: the disk takes events again", name));
    else
        system::log(system::messages::topic_degraded, {.topic = name, .sequence = log_.durable()},
                    fmt::format("topic {}: the disk takes no events: {}; publishers wait, and it "
                                "goes on by itself when that is mended",
                                name, log_.trouble()));
    return well;
}

/// Before publishers may hand out sequences the disk has to know of them: a watermark is moved only
/// where a ring full of events beyond it is promised for.
bool DiskTopic::keep_lease() {
    const Sequence capacity = topic_.ring.capacity();
    // The ring may be ahead: it begins behind what is lost, before the disk has been told of that.
    const Sequence behind = std::max(log_.kept(), topic_.ring.parameters().first_sequence - 1);
    const bool unbounded =
        topic_.ring.parameters().full_policy == static_cast<std::uint8_t>(FullPolicy::drop_oldest);
    const Sequence handed_out =
        unbounded ? std::max(behind, topic_.ring.header().tail.load_acquire()) + far_ahead / 2
                  : behind + capacity;
    if (log_.leased() >= handed_out) return true;
    return note(log_.lease(handed_out + (unbounded ? far_ahead : rings_ahead * capacity)));
}

void DiskTopic::publish_watermarks() {
    take_stock(); // whoever sees the watermark finds the file
    ring::set_stored(topic_, log_.written(), log_.durable());
}

void DiskTopic::take_stock() {
    const auto& segments = log_.segments();
    const std::lock_guard lock(mutex_);
    const bool same = segments.size() == kept_.segments.size() &&
                      (segments.empty() || (segments.front() == kept_.segments.front() &&
                                            segments.back() == kept_.segments.back()));
    if (!same) kept_.segments = segments;
    kept_.written = log_.written();
    kept_.durable = log_.durable();
    kept_.last_bytes = log_.last_segment_bytes();
    kept_.trouble = degraded_ ? log_.trouble() : "";
}

Kept DiskTopic::kept() const {
    const std::lock_guard lock(mutex_);
    return kept_;
}

/// With each segment: so no more than a few have to be read when the topic is opened again, and none goes
/// that still tells something. Only what is on disk may be said to be there.
bool DiskTopic::save_named() {
    if (!named_ || log_.segments().size() == segments_when_saved_ || !named_->has_changed())
        return true;
    if (log_.durable() < log_.written() && !note(log_.sync())) return false;
    try {
        named_->save(log_.durable());
        segments_when_saved_ = log_.segments().size();
    } catch (const Error& e) { // the log itself is well, and tells the same
        system::log(
            system::messages::topic_files_trouble, {.topic = name},
            fmt::format("topic {}: noting how far its publishers have come: {}", name, e.what()));
    }
    return true;
}

/// What need not be kept goes, when there is a segment more, and every now and then.
void DiskTopic::expire() {
    const auto now = Deadline::Clock::now();
    if (log_.segments().size() == segments_at_expiry_ && now < next_expiry_) return;
    next_expiry_ = now + (degraded_ ? urgent_expiry_interval : expiry_interval);
    try {
        store::Situation situation{base::wall_ns(), {}};
        if (policy_.hold) situation.hold = held_above_.load();
        const auto facts = catalog_.update();
        const std::size_t count = store::expendable(
            facts, policy_.keep, situation, [this](std::size_t i) { return catalog_.max_time(i); });
        // Who finds a file gone looks at kept() again, and takes it for damage if it is still there.
        if (count != 0 && log_.expire(count, [this] { take_stock(); }) != store::Outcome::done)
            system::log(system::messages::topic_files_trouble, {.topic = name},
                        fmt::format("topic {}: removing old segments: {}", name, log_.trouble()));
    } catch (const Error& e) { // the log itself is well
        system::log(system::messages::topic_files_trouble, {.topic = name},
                    fmt::format("topic {}: looking for old segments: {}", name, e.what()));
    }
    segments_at_expiry_ = log_.segments().size();
}

} // namespace shmbus::spiller
