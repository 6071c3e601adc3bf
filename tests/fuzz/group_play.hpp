// A group of a topic that has events without gaps: the daemon's keeper, members that look at them, and who was a
// member once and does not know yet that it is none. What they do is what an input says.
#pragma once

#include "fuzz/input.hpp"
#include "group/keeper.hpp"
#include "group/member.hpp"
#include "support/ring_fixture.hpp"

#include <memory>

namespace shmbus::test {

/// Such as a group may have.
[[nodiscard]] GroupOptions take_options(Input& input);

class GroupPlay {
  public:
    /// `hostile`: whatever is in the memory is what the input says, from one step to the next.
    GroupPlay(Input& input, bool hostile);
    void step();
    /// All who are there go on until nothing is left to do.
    void end();

  private:
    struct Someone {
        std::unique_ptr<group::Member> member;
        bool is_known = true;   // to the daemon
        bool is_closed = false; // it looks for nothing more
    };
    [[nodiscard]] std::uint32_t slot_of(Sequence s) const noexcept;
    [[nodiscard]] Someone* someone();
    void publish();
    void join();
    void end_one();
    void close_one();
    void look();
    void look_at_front(Someone& one, std::size_t events);
    void look_at_trail(Someone& one, std::size_t events);
    void take(group::Member& member, Sequence s, bool by_trail);
    void finish(group::Member& member, std::uint32_t slot, Sequence s);
    void finish_some();
    void fail_one();
    void touch_one();
    void sweep(bool is_paused);
    void restart_daemon();
    void reclaim();
    void keep_and_restore();
    void look_from_outside();
    void check_done();
    void work_off(Someone& one);
    void scribble();
    [[nodiscard]] std::uint64_t something(std::uint64_t was);

    Input& input_;
    bool hostile_;
    GroupOptions options_;
    Sequence begin_;
    std::uint32_t spread_;               // over so many slots
    Memory memory_{layout::group_bytes}; // and not a byte more, for a sanitizer to see
    group::Table table_;
    std::unique_ptr<group::Keeper> keeper_;
    bool is_adopting_ = false; // this keeper does not know yet who is there
    std::map<std::uint32_t, Someone> all_;
    Sequence head_;
    Sequence done_through_; // all before it was acknowledged
    std::vector<bool> done_;
    std::vector<std::uint32_t> handed_out_;
    std::uint64_t now_ = 1'000'000'000;
};

} // namespace shmbus::test
