// Runs a log on a simulated disk and writes down what the log promised, and when; checks after a crash
// that the promises were kept.
#pragma once

#include "workload.hpp"

#include <algorithm>
#include <cerrno>

namespace shmbus::test {

/// What was promised once so many operations of the disk were done.
struct Promise {
    std::size_t operations = 0;
    Sequence durable = 0;
    Sequence leased = 0;
    Sequence expired = 0; // may be gone up to here
    Sequence handed_out = 0;
};

class Caller {
  public:
    explicit Caller(SimulatedDisk& disk, const store::LogOptions& options = small_segments())
        : disk_(disk), options_(options) {
        reopen();
    }
    void reopen() {
        log_.reset();
        directory_ = disk_.open();
        log_ = std::make_unique<Log>(*directory_, log_topic, options_);
        note();
    }

    /// Appends up to `last`, and asks for a sync now and then.
    void append_through(Sequence last) {
        while (log_->next() <= last) {
            lease_for(log_->next());
            const Sequence s = log_->next();
            cope(append_next(*log_));
            if (s % 7 == 0) cope(log_->flush());
            if (s % 17 == 0) cope(log_->sync());
        }
    }
    void sync() {
        const Sequence all = handed_out_;
        while (log_->durable() < all) {
            append_through(all); // again, if it had to start over
            cope(log_->sync());
        }
    }
    void expire(std::size_t count) {
        if (count >= log_->segments().size()) return;
        expired_ = std::max(expired_, log_->segments()[count] - 1);
        note();
        (void)log_->expire(count);
        note();
    }
    void close() {
        while (cope(log_->close()) != Outcome::done) append_through(handed_out_);
    }
    void flush() { cope(log_->flush()); }

    [[nodiscard]] Log& log() { return *log_; }
    /// What holds after the first `operations` of them.
    [[nodiscard]] Promise promised_after(std::size_t operations) const {
        Promise last;
        for (const auto& promise : promises_)
            if (promise.operations <= operations) last = promise;
        // What was under way may have come further than was ever told.
        last.handed_out = handed_out_;
        last.expired = expired_;
        return last;
    }

  private:
    void lease_for(Sequence s) {
        while (log_->leased() < s) {
            if (log_->lease(s + 40) != Outcome::done) disk_.fail_no_more();
            note();
        }
        handed_out_ = std::max(handed_out_, s);
    }
    /// Does what a caller is to do; afterwards append_through() goes on from next().
    Outcome cope(Outcome outcome) {
        note();
        if (outcome != Outcome::done && ++troubles_ > 2) disk_.fail_no_more();
        if (outcome == Outcome::failed) log_->start_over();
        note();
        return outcome;
    }
    void note() {
        promises_.push_back({disk_.operations(), log_->durable(), log_->leased(), expired_, 0});
    }
    SimulatedDisk& disk_;
    store::LogOptions options_;
    std::unique_ptr<store::Directory> directory_;
    std::unique_ptr<Log> log_;
    std::vector<Promise> promises_;
    Sequence handed_out_ = 0;
    Sequence expired_ = 0;
    int troubles_ = 0;
};

/// Nothing durable is missing, nothing wrong is served, no sequence can come twice.
inline void expect_kept(const Log& log, const std::map<std::string, FileBytes>& files,
                        const Promise& promise) {
    EXPECT_GE(log.leased(), promise.leased);
    EXPECT_GT(log.next(), promise.durable);
    EXPECT_LE(log.next(), promise.handed_out + 1);
    EXPECT_LE(log.first(), promise.expired + 1);
    for (const auto& gap : losses(read_log(log, files)))
        EXPECT_GT(gap.first, promise.durable) << gap.last << ' ' << name_of(gap.reason);
}

/// What a caller does with a recovered log: accounts for what is missing, and goes on.
inline void go_on(Log& log) {
    if (log.next() <= log.leased()) log.write_off(log.leased());
    ASSERT_EQ(log.lease(log.next() + 10), Outcome::done);
    append_through(log, log.next() + 5);
    ASSERT_EQ(log.sync(), Outcome::done);
    ASSERT_EQ(log.durable() + 1, log.next());
}

} // namespace shmbus::test
