#include "process/member_log.hpp"

#include "base/clock.hpp"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <unordered_map>

namespace shmbus::test {

// ---- the log -----------------------------------------------------------------------------------

void MemberLog::add(Note note) const {
    const std::uint64_t place = cells_[0].what.fetch_add(1) + 1;
    if (place >= cells_.size()) throw std::runtime_error("the log of members is full");
    auto& cell = cells_[place];
    cell.sequence = note.sequence;
    cell.since_ns = note.since_ns;
    cell.at_ns = note.at_ns != 0 ? note.at_ns : base::monotonic_ns();
    cell.what = std::uint64_t{note.attempt} << 40U | std::uint64_t{note.member} << 8U |
                static_cast<std::uint8_t>(note.deed);
}

std::vector<Note> MemberLog::all() const {
    std::vector<Note> notes;
    const std::uint64_t count = std::min<std::uint64_t>(cells_[0].what, cells_.size() - 1);
    notes.reserve(count);
    for (std::uint64_t place = 1; place <= count; ++place) {
        const auto& cell = cells_[place];
        const std::uint64_t what = cell.what;
        notes.push_back({.deed = static_cast<Deed>(what & 0xffU),
                         .member = static_cast<std::uint32_t>(what >> 8U),
                         .sequence = cell.sequence,
                         .attempt = static_cast<std::uint32_t>(what >> 40U),
                         .since_ns = cell.since_ns,
                         .at_ns = cell.at_ns});
    }
    return notes;
}

// ---- what it tells -----------------------------------------------------------------------------

namespace {

using Place = std::size_t; // in the log
constexpr Place never = ~Place{0};

class Check {
  public:
    Check(const std::vector<Note>& notes, Sequence last,
          const std::function<std::uint32_t(Sequence)>& key_of, std::chrono::nanoseconds ack_wait)
        : notes_(notes), last_(last), key_of_(key_of),
          ack_wait_(static_cast<std::uint64_t>(ack_wait.count())), acknowledged_(last + 1, never) {}

    Verdict run() {
        for (Place at = 0; at < notes_.size(); ++at) read(at);
        for (const auto& [member, at] : acknowledging_) end_in_doubt(member, at);
        judge_acknowledgements();
        judge_receptions();
        return verdict_;
    }

  private:
    void wrong(Sequence s, const std::string& what) {
        constexpr std::size_t most = 20;
        if (verdict_.wrong.size() < most)
            verdict_.wrong.push_back("event " + std::to_string(s) + ": " + what);
    }
    void read(Place at) {
        const Note& note = notes_[at];
        if (note.sequence > last_) {
            wrong(note.sequence, "was never published");
            return;
        }
        switch (note.deed) {
        case Deed::none: break;
        case Deed::received: received_.push_back(at); break;
        case Deed::acknowledging: acknowledging_[note.member] = at; break;
        case Deed::done: acknowledge(note, at); break;
        case Deed::not_held: refuse(note); break;
        case Deed::leaving:
            ++verdict_.leaves;
            left_[note.member] = at;
            break;
        case Deed::killing:
            ++verdict_.kills;
            killed_[note.member] = at;
            break;
        case Deed::stopping: ++verdict_.stops; break;
        }
    }
    /// It happened between the two notes; before the first of them nobody could know of it.
    void acknowledge(const Note& note, Place at) {
        const auto begun = acknowledging_.find(note.member);
        if (begun == acknowledging_.end() || notes_[begun->second].sequence != note.sequence) {
            wrong(note.sequence, "was acknowledged unasked");
            return;
        }
        auto& known = acknowledged_[note.sequence];
        if (known != never)
            wrong(note.sequence, "was acknowledged twice: by member " +
                                     std::to_string(notes_[at].member) + " too");
        known = begun->second;
        acknowledging_.erase(begun);
    }
    void refuse(const Note& note) {
        acknowledging_.erase(note.member);
        ++verdict_.refused;
        if (!is_late(note, note)) wrong(note.sequence, "was taken from its member before its time");
    }
    /// Whether what was handed out by the call that began then can have been taken away by now.
    [[nodiscard]] bool is_late(const Note& received, const Note& now) const {
        constexpr std::uint64_t coarse = 10'000'000; // the clock that says when it was handed out
        return now.at_ns + coarse >= received.since_ns + ack_wait_;
    }
    /// A member did not note how it ended: it was killed in the midst of it.
    void end_in_doubt(std::uint32_t member, Place at) {
        const Sequence s = notes_[at].sequence;
        if (!killed_.contains(member)) wrong(s, "a member that lives is acknowledging it");
        auto& latest = in_doubt_[s];
        latest = std::max(latest, at);
    }
    void judge_acknowledgements() {
        std::unordered_map<std::uint32_t, Place> last_of_key;
        for (Sequence s = 1; s <= last_; ++s) {
            auto& at = acknowledged_[s];
            if (at == never && in_doubt_.contains(s)) {
                at = in_doubt_[s];
                ++verdict_.unseen;
            }
            if (at == never) {
                wrong(s, "was never acknowledged");
                continue;
            }
            const auto [before, is_first] = last_of_key.try_emplace(key_of_(s), at);
            if (!is_first && before->second > at)
                wrong(s, "was acknowledged before another one of its key");
            before->second = at;
        }
    }
    void judge_receptions() {
        before_ = previous_of_keys();
        std::sort(received_.begin(), received_.end(), [&](Place a, Place b) {
            return std::tuple(notes_[a].sequence, notes_[a].attempt, a) <
                   std::tuple(notes_[b].sequence, notes_[b].attempt, b);
        });
        for (auto first = received_.begin(); first != received_.end();) {
            const Sequence s = notes_[*first].sequence;
            const auto end = std::find_if(first, received_.end(),
                                          [&](Place at) { return notes_[at].sequence != s; });
            judge(s, {first, end});
            first = end;
        }
        // Between receiving an event and its note, or between acknowledging and that one.
        if (verdict_.unseen > verdict_.kills)
            wrong(0, std::to_string(verdict_.unseen) + " things were done that nobody noted");
    }
    [[nodiscard]] std::vector<Sequence> previous_of_keys() const {
        std::vector<Sequence> before(last_ + 1, 0);
        std::unordered_map<std::uint32_t, Sequence> last_of_key;
        for (Sequence s = 1; s <= last_; ++s) before[s] = std::exchange(last_of_key[key_of_(s)], s);
        return before;
    }
    /// All receptions of one event, by attempt.
    void judge(Sequence s, const std::vector<Place>& all) {
        std::uint32_t attempt = 0;
        Place last = never;
        for (const Place at : all) {
            const Note& note = notes_[at];
            if (note.attempt == attempt) wrong(s, "attempt " + std::to_string(attempt) + " twice");
            verdict_.unseen += note.attempt - std::min(note.attempt, attempt + 1);
            if (note.attempt == attempt + 1 && last != never) judge_again(s, last, at);
            if (before_[s] != 0 && acknowledged_[before_[s]] > at)
                wrong(s, "was handed out while one of its key was not acknowledged");
            attempt = note.attempt;
            last = at;
        }
        if (const Place acknowledged = acknowledged_[s]; acknowledged != never) {
            if (acknowledged < last) wrong(s, "was handed out after it was acknowledged");
            if (notes_[acknowledged].member != notes_[last].member)
                wrong(s, "was acknowledged by a member that had lost it");
        }
    }
    void judge_again(Sequence s, Place first, Place again) {
        const std::uint32_t member = notes_[first].member;
        const auto happened_to = [&](const std::unordered_map<std::uint32_t, Place>& whom) {
            const auto found = whom.find(member);
            return found != whom.end() && found->second < again;
        };
        if (happened_to(killed_))
            ++verdict_.again_after_kill;
        else if (happened_to(left_))
            ++verdict_.again_after_leave;
        else if (is_late(notes_[first], notes_[again]))
            ++verdict_.again_after_time_out;
        else
            wrong(s, "was handed out again, and nothing had happened");
    }

    const std::vector<Note>& notes_;
    Sequence last_;
    const std::function<std::uint32_t(Sequence)>& key_of_;
    std::uint64_t ack_wait_;
    Verdict verdict_;
    std::vector<Place> acknowledged_; // by sequence: the note before it
    std::vector<Place> received_;
    std::vector<Sequence> before_;                           // of the same key, by sequence
    std::unordered_map<std::uint32_t, Place> acknowledging_; // by member
    std::unordered_map<std::uint32_t, Place> killed_;
    std::unordered_map<std::uint32_t, Place> left_;
    std::map<Sequence, Place> in_doubt_;
};

} // namespace

Verdict check(const std::vector<Note>& notes, Sequence last,
              const std::function<std::uint32_t(Sequence)>& key_of,
              std::chrono::nanoseconds ack_wait) {
    return Check(notes, last, key_of, ack_wait).run();
}

} // namespace shmbus::test
