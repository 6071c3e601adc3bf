#include "daemon/store/log.hpp"

#include "base/clock.hpp"
#include "base/random.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cerrno>
#include <utility>

namespace shmbus::store {

namespace {

const std::string state_name = "log.state";

void remove_if_there(Directory& directory, const std::string& name) {
    try {
        directory.remove(name);
    } catch (const FileError& e) {
        if (e.error() != ENOENT) throw;
    }
}

/// An event, or a gap, alone. @pre there is room for it
template <class What> void append_to(SegmentWriter& segment, const What& what) {
    Batch batch;
    batch.add(what);
    segment.append(batch.frames());
}

} // namespace

Log::Log(Directory& directory, const layout::Uuid& topic, const LogOptions& options)
    : directory_(directory), topic_(topic), options_(options),
      state_file_(directory, state_name, topic) {
    recover();
}

void Log::recover() {
    state_ = state_file_.as<State>().value_or(State{});
    auto inventory = take_inventory(directory_);
    spare_exists_ = inventory.has_spare;
    auto& all = inventory.segments;
    std::size_t gone = 0;
    while (gone + 1 < all.size() && all[gone + 1] - 1 <= state_.expired_through) ++gone;
    const auto middle = all.begin() + static_cast<std::ptrdiff_t>(gone);
    expired_.assign(all.begin(), middle);
    segments_.assign(middle, all.end());
    if (segments_.empty()) {
        next_ = std::max(options_.first, state_.durable_through + 1);
        durable_ = written_ = next_ - 1;
        return;
    }
    const Sequence last = segments_.back();
    const auto remains = examine(directory_, topic_, last, state_.durable_through);
    next_ = remains.next;
    written_ = next_ - 1;
    durable_ = remains.durable_through;
    // Every promise is in the state file, twice, before it counts; what segments say is for the case
    // that the file is gone.
    if (!state_file_.record()) state_.lease_through = remains.lease_through;
    max_time_ = kept_max_time_ = remains.max_time;
    used_ = remains.used;
    tail_ = remains.tail;
    if (!remains.is_sealed) untrimmed_ = {last, remains.used};
    for (std::size_t i = 0; i + 1 < segments_.size(); ++i)
        if (segments_[i + 1] - 1 > durable_) unsynced_.push_back(segments_[i]);
}

Sequence Log::first() const noexcept { return segments_.empty() ? next_ : segments_.front(); }

/// Runs what writes to the log: false is out of space, an exception the end of the current file.
template <class Action> Outcome Log::guarded(Action action) {
    if (failed_) return Outcome::failed;
    Outcome outcome = Outcome::failed;
    try {
        outcome = action() ? Outcome::done : Outcome::out_of_space;
    } catch (const Error& e) {
        failed_ = true;
        trouble_ = e.what();
    }
    take_stock();
    return outcome;
}

/// Runs what is no part of the log proper: the log works on when it fails.
template <class Action> Outcome Log::aside(Action action) {
    try {
        action();
        return Outcome::done;
    } catch (const FileError& e) {
        trouble_ = e.what();
        return e.is_out_of_space() ? Outcome::out_of_space : Outcome::failed;
    }
}

void Log::take_stock() noexcept {
    if (!current_) return;
    written_ = std::max(written_, current_->written());
    if (!options_.durable) kept_max_time_ = current_->written_max_time();
}

Outcome Log::append(Batch& batch) {
    return guarded([&] {
        assert(batch.first() == next_);
        for (auto frames = batch.frames(); !frames.empty();) {
            if (!make_room(layout::head_of(frames.data()).length)) return false;
            frames = frames.subspan(current_->append(frames));
            next_ = current_->last() + 1;
            make_spare_early();
        }
        return true;
    });
}

void Log::write_off(Sequence last) noexcept {
    assert(!current_ && !written_off_ && last >= next_);
    written_off_ = Gap{next_, last, GapReason::lost};
    next_ = last + 1;
}

Outcome Log::flush() {
    return guarded([&] {
        if (current_) current_->flush();
        return true;
    });
}

Outcome Log::sync() {
    return guarded([&] {
        if (!settle()) return false;
        if (durable_ + 1 == next_) return true;
        sync_files();
        if (current_)
            current_->append(layout::SyncPoint{base::wall_ns(), durable_, state_.lease_through});
        return true;
    });
}

/// Everything appended is on disk when this has returned.
void Log::sync_files() {
    while (!unsynced_.empty()) {
        // Tried once: what is in there was never promised to be on disk.
        const std::string name = layout::segment_name(unsynced_.front());
        unsynced_.erase(unsynced_.begin());
        directory_.open(name, Directory::Access::write)->sync_data();
    }
    if (current_) {
        current_->sync();
        max_time_ = current_->max_time();
    }
    durable_ = next_ - 1;
    if (options_.durable) kept_max_time_ = max_time_;
}

Outcome Log::close() {
    return guarded([&] {
        if (!settle()) return false;
        sync_files(); // first: so the footer can say that all before it is on disk
        if (current_) seal_current();
        sync_files();
        save({state_.lease_through, durable_, state_.expired_through});
        discard_spare();
        return true;
    });
}

void Log::start_over() {
    failed_ = false;
    spare_.reset();
    if (current_) used_ = current_->written_bytes();
    if (current_ && !options_.durable && !current_->is_doubtful())
        unsynced_.push_back(current_->first());
    current_.reset();
    if (tail_ || written_off_) return; // nothing was appended yet
    next_ = kept() + 1;
    written_ = next_ - 1;
    max_time_ = kept_max_time_;
}

Outcome Log::lease(Sequence through) {
    if (through <= state_.lease_through) return Outcome::done;
    return aside([&] { save({through, durable_, state_.expired_through}); });
}

Outcome Log::withdraw_lease() {
    return aside([&] { save({durable_, durable_, state_.expired_through}); });
}

void Log::save(const State& state) {
    state_file_.write_twice(std::as_bytes(std::span(&state, 1)));
    state_ = state;
}

Outcome Log::expire(std::size_t count, const std::function<void()>& unlisted) {
    return aside([&] {
        if (segments_.size() > 1 && count > 0) {
            const auto end = segments_.begin() +
                             static_cast<std::ptrdiff_t>(std::min(count, segments_.size() - 1));
            // Known to be expired before it is gone: whatever a power loss leaves of them is no hole.
            save({state_.lease_through, durable_, *end - 1});
            expired_.insert(expired_.end(), segments_.begin(), end);
            segments_.erase(segments_.begin(), end);
            unlisted();
        }
        remove_expired();
    });
}

void Log::remove_expired() {
    if (expired_.empty()) return;
    std::sort(expired_.begin(), expired_.end());
    while (!expired_.empty()) {
        remove_if_there(directory_, layout::segment_name(expired_.front()));
        std::erase(unsynced_, expired_.front());
        expired_.erase(expired_.begin());
    }
    directory_.sync_directory();
}

/// What comes before everything that is appended. False: there is no room for it.
bool Log::settle() {
    if (tail_) return copy_tail();
    return !written_off_ || begin_with_loss();
}

/// Copies the tail that another run left into a segment of this one's, and what is lost behind it.
bool Log::copy_tail() {
    if (!make_spare(tail_->bytes + layout::tombstone_frame_bytes)) return false;
    const Sequence old = segments_.back();
    const auto bytes =
        read_all(*directory_.open(layout::segment_name(old), Directory::Access::read));
    auto cursor = spill::SegmentView(bytes, topic_, old, {.durable_through = durable_}).begin();
    while (cursor.expected() < tail_->first) {
        auto ahead = cursor;
        (void)ahead.next();
        if (ahead.expected() > tail_->first) break; // a damage across the border
        cursor = ahead;
    }
    auto segment = begin(tail_->first, cursor.max_time());
    for_each_of(
        cursor, tail_->first, next_,
        [&](const spill::FrameCursor& event) {
            append_to(*segment, layout::EventFrame{event.sequence(), event.event(),
                                                   event.extension(), event.payload()});
        },
        [&](const Gap& gap) { append_to(*segment, gap); });
    settle_with(std::move(segment));
    return true;
}

/// On disk before anything comes behind it: the caller has none of it to append again.
void Log::settle_with(std::unique_ptr<SegmentWriter> segment) {
    segment->sync();
    publish(std::move(segment));
    if (unsynced_.empty()) durable_ = next_ - 1;
    tail_.reset();
    written_off_.reset();
}

bool Log::begin_with_loss() {
    if (!make_spare(layout::tombstone_frame_bytes)) return false;
    auto segment = begin(written_off_->first, max_time_);
    append_to(*segment, *written_off_);
    settle_with(std::move(segment));
    return true;
}

bool Log::make_room(std::uint64_t frame_bytes) {
    if (!settle()) return false;
    if (current_ && current_->has_room(frame_bytes)) return true;
    if (!make_spare(frame_bytes)) return false;
    if (current_) seal_current();
    publish(begin(next_, max_time_));
    return true;
}

void Log::seal_current() {
    current_->seal(durable_);
    max_time_ = current_->max_time();
    if (options_.durable)
        sync_files();
    else
        unsynced_.push_back(current_->first());
    take_stock();
    used_ = current_->bytes();
    current_.reset();
}

std::uint64_t Log::next_capacity() const noexcept {
    const std::uint64_t filled = current_ ? current_->capacity() : used_;
    // Bounded before it is rounded up: a file's size may be anything.
    const auto twice = 2 * std::bit_ceil(std::min(filled, options_.max_capacity));
    return std::clamp(twice, options_.min_capacity, options_.max_capacity);
}

bool Log::make_spare(std::uint64_t frame_bytes) {
    const std::uint64_t needed = capacity_for(frame_bytes);
    if (spare_ && spare_capacity_ >= needed) return true;
    discard_spare();
    const std::uint64_t capacity = std::max(needed, next_capacity());
    if (options_.reserve != 0 && directory_.free_bytes() < capacity + options_.reserve)
        return has_no_room_for(capacity);
    try {
        spare_ = directory_.create(spare_name);
    } catch (const FileError& e) {
        if (!e.is_out_of_space()) throw;
        return has_no_room_for(capacity);
    }
    spare_exists_ = true;
    spare_capacity_ = capacity;
    if (spare_->allocate(capacity)) return true;
    discard_spare();
    return has_no_room_for(capacity);
}

/// Says so, and is false.
bool Log::has_no_room_for(std::uint64_t capacity) {
    constexpr std::uint64_t kib = 1024;
    trouble_ = "no space for a segment of " + std::to_string(capacity / kib) +
               " KiB: " + std::to_string(directory_.free_bytes() / kib) + " KiB are free";
    if (options_.reserve != 0)
        trouble_ += ", and " + std::to_string(options_.reserve / kib) + " KiB are to stay so";
    return false;
}

/// When the current segment is half full. If that fails it is tried again when it is full.
void Log::make_spare_early() noexcept {
    if (spare_ || spare_tried_ || !current_->is_half_full()) return;
    spare_tried_ = true;
    try {
        (void)make_spare(0);
    } catch (const Error&) {
        spare_.reset();
    }
}

void Log::discard_spare() {
    spare_.reset();
    if (spare_exists_) remove_if_there(directory_, spare_name);
    spare_exists_ = false;
}

/// A segment that has no name yet, in the spare.
std::unique_ptr<SegmentWriter> Log::begin(Sequence first, std::uint64_t max_time_before) {
    layout::SegmentHeader header{};
    header.topic = topic_;
    header.first = first;
    header.created_ns = base::wall_ns();
    base::fill_random(std::as_writable_bytes(std::span(&header.salt, 1)));
    header.max_time_before = max_time_before;
    header.durable_through = std::min(durable_, first - 1);
    header.lease_through = state_.lease_through;
    header.capacity = spare_capacity_;
    auto file = std::move(spare_);
    file->write_at(layout::segment_header_page(header), 0);
    file->sync_data();
    return std::make_unique<SegmentWriter>(std::move(file), header);
}

/// Gives it its name, for good, and makes it the current one.
void Log::publish(std::unique_ptr<SegmentWriter> segment) {
    const Sequence first = segment->first();
    directory_.rename(spare_name, layout::segment_name(first));
    spare_exists_ = false;
    directory_.sync_directory();
    while (!segments_.empty() && segments_.back() >= first) segments_.pop_back();
    trim();
    segments_.push_back(first);
    current_ = std::move(segment);
    spare_tried_ = false;
}

/// Gives back what a segment that was never sealed has allocated and never used. A page is left behind
/// its last frame: somebody may be looking there whether there is another.
void Log::trim() noexcept {
    const auto untrimmed = std::exchange(untrimmed_, {});
    if (!untrimmed || segments_.empty() || segments_.back() != untrimmed->segment) return;
    try {
        const auto file =
            directory_.open(layout::segment_name(untrimmed->segment), Directory::Access::write);
        const auto keep = (untrimmed->used / layout::page + 2) * layout::page;
        if (file->size() > keep) file->truncate(keep);
    } catch (const Error&) {
        // It takes more space than it must, until it expires.
        return;
    }
}

} // namespace shmbus::store
