// What the members of a group did, on record outside of them: one log that all processes of a run share.
//
// A note's place in the log is taken by one fetch_add. So the log has in order what one process did before another
// one could learn of it: that an event was received is noted afterwards, that it is acknowledged before and after.
// Whoever is killed has noted all that it did, but perhaps for the last thing.
#pragma once

#include "process/shared_array.hpp"
#include "shmbus/types.hpp"

#include <functional>
#include <string>
#include <vector>

namespace shmbus::test {

enum class Deed : std::uint8_t {
    none, // whoever took this place was killed before it wrote the note
    received,
    acknowledging,
    done,     // it was acknowledged,
    not_held, // or not
    leaving,
    killing,  // by the test, before it does
    stopping, // likewise
};

struct Note {
    Deed deed = Deed::none;
    std::uint32_t member = 0; // each process that was ever one has a number of its own
    Sequence sequence = 0;
    std::uint32_t attempt = 0;
    std::uint64_t since_ns = 0; // when it asked for the event
    std::uint64_t at_ns = 0;    // monotonic, as all
};

class MemberLog {
  public:
    explicit MemberLog(std::size_t size) : cells_(size) {}
    /// In a worker: the one that was passed as descriptor `fd`.
    static MemberLog inherited(int fd) { return MemberLog(SharedArray<Cell>::inherited(fd)); }
    [[nodiscard]] int fd() const noexcept { return cells_.fd(); }
    /// `at_ns` is the time of the call if it is 0. @throws std::runtime_error when it is full
    void add(Note note) const;
    [[nodiscard]] std::vector<Note> all() const;

  private:
    struct Cell { // the first one counts
        std::atomic<std::uint64_t> what;
        std::uint64_t sequence;
        std::uint64_t since_ns;
        std::uint64_t at_ns;
    };
    explicit MemberLog(SharedArray<Cell> cells) : cells_(std::move(cells)) {}
    SharedArray<Cell> cells_;
};

/// What a log tells, and what is wrong with that.
struct Verdict {
    std::vector<std::string> wrong; // the first of it
    std::uint64_t kills = 0;
    std::uint64_t stops = 0;
    std::uint64_t leaves = 0;
    std::uint64_t again_after_kill = 0; // events that were received again
    std::uint64_t again_after_leave = 0;
    std::uint64_t again_after_time_out = 0;
    std::uint64_t unseen =
        0; // receptions, and acknowledgements, that who was killed could not note any more
    std::uint64_t refused = 0; // acknowledgements: not_held
    [[nodiscard]] std::uint64_t again() const {
        return again_after_kill + again_after_leave + again_after_time_out;
    }
};

/// Whether events 1 to `last` were each acknowledged once, those of a key in order, none handed out before the one
/// before it was; and each taken from its member only when that was killed, had left, or had it for `ack_wait`.
[[nodiscard]] Verdict check(const std::vector<Note>& notes, Sequence last,
                            const std::function<std::uint32_t(Sequence)>& key_of,
                            std::chrono::nanoseconds ack_wait);

} // namespace shmbus::test
