#include "daemon/spiller/disk_topic.hpp"

#include "daemon/system/log.hpp"
#include "ring/recovery.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace shmbus::spiller {

namespace {

/// How far ahead a promise on disk reaches: each costs a sync, and a power loss shows it as a gap.
constexpr Sequence rings_ahead = 64;
/// Where publishers do not wait for the disk nothing else bounds them: 100 s at full speed.
constexpr Sequence far_ahead = Sequence{1} << 32U;

} // namespace

OpenLog open_log(std::unique_ptr<store::Directory> directory, const layout::Uuid& uuid,
                 const store::LogOptions& options) {
    OpenLog open{std::move(directory), nullptr};
    open.log = std::make_unique<store::Log>(*open.directory, uuid, options);
    if (open.log->leased() >= open.log->next() &&
        open.log->append(open.log->leased(), GapReason::lost) != store::Outcome::done)
        throw Error(Errc::system, "opening a topic's log: " + open.log->trouble());
    return open;
}

DiskTopic::DiskTopic(std::string topic_name, const ring::Topic& topic, std::uint32_t entry,
                     OpenLog log, SyncPolicy policy)
    : name(std::move(topic_name)), source(topic, entry, log.log->next()), topic_(topic),
      open_(std::move(log)), log_(*open_.log), policy_(policy) {
    if (!note(log_.sync()) || !keep_lease()) return; // publishers wait; store() tries again
    publish_watermarks();
}

bool DiskTopic::store(const Batch& batch) {
    // After trouble what was under way begins too far on: it comes again.
    if (log_.has_failed()) return false;
    if (batch.first() != log_.next()) return true;
    store::Outcome outcome = store::Outcome::done;
    const auto went_well = [&](store::Outcome now) {
        outcome = now;
        return now == store::Outcome::done;
    };
    const bool all = batch.for_each(
        [&](Sequence, const auto& event) { return went_well(log_.append(event)); },
        [&](const Gap& gap) { return went_well(log_.append(gap.last, gap.reason)); });
    if (all) outcome = log_.flush();
    if (!note(outcome)) return false;
    if (!unsynced_since_) unsynced_since_ = Deadline::Clock::now();
    if (!keep_lease()) return false;
    publish_watermarks();
    return true;
}

std::optional<Deadline::Clock::time_point> DiskTopic::sync_due() const noexcept {
    if (!unsynced_since_ || policy_.kind == SyncPolicy::Kind::none) return std::nullopt;
    return policy_.kind == SyncPolicy::Kind::group ? *unsynced_since_
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
    publish_watermarks();
    return note(log_.withdraw_lease()); // the ring is closed, and everything in it is on disk
}

std::optional<Sequence> DiskTopic::resume() {
    if (log_.has_failed()) log_.start_over();
    if (!keep_lease()) return std::nullopt;
    publish_watermarks();
    return log_.next();
}

/// Whether all is well; says so when that changes.
bool DiskTopic::note(store::Outcome outcome) {
    const bool well = outcome == store::Outcome::done;
    if (degraded_.exchange(!well) == !well) return well;
    if (well)
        system::log(system::Level::notice,
                    fmt::format("topic {}: the disk takes events again", name));
    else
        system::log(system::Level::error,
                    fmt::format("topic {}: the disk takes no events: {}; publishers wait, and it "
                                "goes on by itself when that is mended",
                                name, log_.trouble()));
    return well;
}

/// Before publishers may hand out sequences the disk has to know of them: a watermark is moved only
/// where a ring full of events beyond it is promised for.
bool DiskTopic::keep_lease() {
    const Sequence capacity = topic_.ring.capacity();
    const bool unbounded =
        topic_.ring.parameters().full_policy == static_cast<std::uint8_t>(FullPolicy::drop_oldest);
    const Sequence handed_out =
        unbounded ? std::max(log_.kept(), topic_.ring.header().tail.load_acquire()) + far_ahead / 2
                  : log_.kept() + capacity;
    if (log_.leased() >= handed_out) return true;
    return note(log_.lease(handed_out + (unbounded ? far_ahead : rings_ahead * capacity)));
}

void DiskTopic::publish_watermarks() noexcept {
    ring::set_stored(topic_, log_.written(), log_.durable());
}

} // namespace shmbus::spiller
