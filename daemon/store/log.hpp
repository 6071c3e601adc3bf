// One topic's past on disk, as its only writer sees it.
//
// Frames go into the current segment, which this process began: nothing is added to a file that another
// run wrote, since nobody knows whether what its pages say is on disk. What such a run left beyond the
// last sequence known to be on disk (the tail) is copied into a new segment before anything else is
// written; the new file takes its name when it is whole and synced, so a crash at any moment leaves
// either the one or the other.
//
// Space is asked for before it is needed: the spare, a file of the next size without content, is made
// when the current segment is half full, at the latest when it is full. So a full disk is met there, as
// `out_of_space`, with nothing torn and everything else working; the caller tries again.
//
// A write or sync that failed is not tried again on the same file: the kernel may have dropped what it
// could not write, and says so once. The log is `failed` until start_over(); then the caller appends
// again, from next() on, what it still has: everything above kept(). The new segment's header begins
// there, and where segments overlap the later one is right.
#pragma once

#include "daemon/store/batch.hpp"
#include "daemon/store/recovery.hpp"
#include "daemon/store/segment_writer.hpp"
#include "daemon/store/state_file.hpp"

#include <functional>

namespace shmbus::store {

struct LogOptions {
    /// Of a log that is new.
    Sequence first = 1;
    /// Whether a sequence counts as kept when it is on disk; else when it is in a file, and segments are
    /// sealed without a sync.
    bool durable = true;
    std::uint64_t min_capacity = std::uint64_t{256} << 10U; // of a segment; doubled up to
    std::uint64_t max_capacity = std::uint64_t{64} << 20U;
    std::uint64_t reserve = 0; // bytes of the disk that no segment takes
};

enum class Outcome : std::uint8_t {
    done,
    out_of_space, // nothing happened; try again later
    failed,       // see trouble(), and start_over()
};

class Log {
  public:
    /// Recovers what is there; reads only. The directory belongs to the log alone, and outlives it.
    /// @throws FileError; Error: damaged or incompatible, naming a file that it does not understand
    Log(Directory& directory, const layout::Uuid& topic, const LogOptions& options);

    /// The oldest sequence that is there, and the one to be appended next.
    [[nodiscard]] Sequence first() const noexcept;
    [[nodiscard]] Sequence next() const noexcept { return next_; }
    /// In a file up to here: it survives this process.
    [[nodiscard]] Sequence written() const noexcept { return written_; }
    /// On disk up to here: it survives a power loss. (All but what was written while the log was not
    /// `durable`, when the disk refused it afterwards.)
    [[nodiscard]] Sequence durable() const noexcept { return durable_; }
    /// The caller need not keep anything up to here.
    [[nodiscard]] Sequence kept() const noexcept { return options_.durable ? durable_ : written_; }
    /// No sequence above was ever handed out, says the promise that is on disk.
    [[nodiscard]] Sequence leased() const noexcept { return state_.lease_through; }

    /// Takes what is in the batch, which begins with next(); or as much of it as there is space for. It is
    /// written with the next flush, or when there is enough.
    Outcome append(Batch& batch);
    /// Before anything is appended: next() to `last` are lost. So it can be said on a disk that is full, too:
    /// their tombstone is written, in front of everything else, when there is room.
    void write_off(Sequence last) noexcept;
    Outcome flush();
    Outcome sync();
    /// Promises that no sequence above `through` is handed out before this is called again. Failing
    /// here is not the log's failure; the old promise stands.
    Outcome lease(Sequence through);
    /// Nothing above durable() was handed out, and nothing will be before the next lease().
    Outcome withdraw_lease();
    /// Syncs and seals: opened again, there is nothing to recover.
    Outcome close();

    [[nodiscard]] bool has_failed() const noexcept { return failed_; }
    /// What went wrong last.
    [[nodiscard]] const std::string& trouble() const noexcept { return trouble_; }
    /// Leaves the failed file alone for ever. @pre the caller appends again from next() on
    void start_over();

    /// The first sequences of the segments, in order. Each has what is from there to the next one's;
    /// the last one what is up to written().
    [[nodiscard]] const std::vector<Sequence>& segments() const noexcept { return segments_; }
    /// So many bytes of the last one have what is up to written(); what is behind may go away.
    [[nodiscard]] std::uint64_t last_segment_bytes() const noexcept {
        return current_ ? current_->written_bytes() : used_;
    }
    /// Removes the oldest `count` segments; the last one stays in any case. `unlisted` is called when segments()
    /// has them no more and their files are still there: who opens files by a list of it must have the new one
    /// before they go.
    Outcome expire(
        std::size_t count, const std::function<void()>& unlisted = [] {});

  private:
    struct State { // on disk
        Sequence lease_through;
        Sequence durable_through;
        Sequence expired_through;
    };
    template <class Action> Outcome guarded(Action action);
    template <class Action> Outcome aside(Action action);
    void recover();
    bool settle();
    bool copy_tail();
    bool begin_with_loss();
    void settle_with(std::unique_ptr<SegmentWriter> segment);
    bool make_room(std::uint64_t frame_bytes);
    bool make_spare(std::uint64_t frame_bytes);
    bool has_no_room_for(std::uint64_t capacity);
    void make_spare_early() noexcept;
    void discard_spare();
    [[nodiscard]] std::uint64_t next_capacity() const noexcept;
    [[nodiscard]] std::unique_ptr<SegmentWriter> begin(Sequence first,
                                                       std::uint64_t max_time_before);
    void publish(std::unique_ptr<SegmentWriter> segment);
    void trim() noexcept;
    void seal_current();
    void sync_files();
    void take_stock() noexcept;
    void save(const State& state);
    void remove_expired();

    Directory& directory_;
    layout::Uuid topic_;
    LogOptions options_;
    StateFile state_file_;
    State state_{};
    std::vector<Sequence> segments_;
    std::vector<Sequence> expired_; // still to be removed
    Sequence next_ = 1;
    Sequence written_ = 0;
    Sequence durable_ = 0;
    std::uint64_t max_time_ = 0;      // of what is in sealed segments
    std::uint64_t kept_max_time_ = 0; // of what is kept
    std::uint64_t used_ = 0;          // bytes of the last sealed segment: the next one is larger

    std::unique_ptr<SegmentWriter> current_;
    std::vector<Sequence> unsynced_;    // segments that were sealed without a sync
    std::optional<Remains::Tail> tail_; // of the last segment, to be settled
    std::optional<Gap> written_off_;    // likewise, behind it
    struct Untrimmed {
        Sequence segment;
        std::uint64_t used;
    };
    std::optional<Untrimmed> untrimmed_; // the last segment, when it was never sealed

    std::unique_ptr<File> spare_;
    std::uint64_t spare_capacity_ = 0;
    bool spare_exists_ = false; // a file of that name
    bool spare_tried_ = false;  // while the current segment is the current one

    bool failed_ = false;
    std::string trouble_;
};

} // namespace shmbus::store
