#include "ring/exclusive_writer.hpp"

#include <algorithm>

namespace shmbus::ring {

namespace {

/// Events claimed together at most: others wait for the first of them until the last is written.
constexpr std::size_t max_claimed = 32;

} // namespace

PublishOutcome ExclusiveWriter::publish(std::span<const Draft> drafts, Deadline deadline,
                                        Run& run) noexcept {
    PublishOutcome outcome = PublishOutcome::published;
    while (outcome == PublishOutcome::published && run.published < drafts.size()) {
        std::size_t claimed = 0;
        outcome = claim(drafts.size() - run.published, deadline, claimed);
        if (claimed != 0) outcome = fill(drafts.subspan(run.published, claimed), run);
    }
    return outcome;
}

/// Claims as many slots as there is room for now; waits when there is none.
PublishOutcome ExclusiveWriter::claim(std::size_t wanted, Deadline deadline,
                                      std::size_t& claimed) noexcept {
    if (!is_open()) return PublishOutcome::closed;
    while (!is_room_for(next_))
        if (const auto outcome = wait_for_room(next_, deadline);
            outcome != PublishOutcome::published)
            return outcome;
    const std::size_t most =
        std::min({wanted, max_claimed, std::size_t{topic_.ring.capacity()} / 2});
    for (; claimed < most; ++claimed) {
        const Sequence s = next_ + claimed;
        if (claimed != 0 && !is_room_for(s)) break;
        if (!is_free(s)) return claimed == 0 ? PublishOutcome::damaged : PublishOutcome::published;
        topic_.ring.slot(s).stamp.store_release(Stamp::slot(s, SlotState::claimed, owner_).word());
    }
    base::full_fence(); // pairs with the acquire fence in Reader (litmus X3), and with set_state()
    // Release: pairs with the acquire loads of the tail; who sees it sees the claims.
    topic_.ring.header().tail.store_release(next_ + claimed);
    return PublishOutcome::published;
}

/// Whether the slot holds the final state of the lap before, or nothing yet.
bool ExclusiveWriter::is_free(Sequence s) const noexcept {
    const Stamp stamp(topic_.ring.slot(s).stamp.load_relaxed());
    if (stamp.word() == 0) return true;
    const auto state = stamp.slot_state();
    return stamp.ahead_of(s) == -static_cast<std::int64_t>(topic_.ring.capacity()) &&
           (state == SlotState::committed || state == SlotState::aborted ||
            state == SlotState::evicted);
}

/// Gives every claim its outcome.
PublishOutcome ExclusiveWriter::fill(std::span<const Draft> drafts, Run& run) noexcept {
    PublishOutcome outcome =
        is_open() ? PublishOutcome::published : PublishOutcome::closed; // see Reader::resolve
    for (const Draft& draft : drafts) {
        const Sequence s = next_++;
        const bool in_chunk = draft.header.chunk != layout::no_chunk;
        if (outcome == PublishOutcome::published && in_chunk &&
            !pool_.mark_published(draft.header.chunk, s))
            outcome = PublishOutcome::revoked; // somebody freed a living publisher's chunk
        if (outcome != PublishOutcome::published) {
            finish(s, SlotState::aborted);
            continue;
        }
        write_content(topic_.ring.slot(s), draft);
        finish(s, SlotState::committed);
        run.last = s;
        ++run.published;
    }
    base::full_fence(); // pairs with the sleeper's second look (litmus P6)
    topic_.event_bell().ring_if_needed();
    return outcome;
}

void ExclusiveWriter::finish(Sequence s, SlotState state) noexcept {
    // Release: pairs with the reader's first load of the stamp.
    topic_.ring.slot(s).stamp.store_release(Stamp::slot(s, state).word());
}

} // namespace shmbus::ring
