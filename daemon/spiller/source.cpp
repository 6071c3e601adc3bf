#include "daemon/spiller/source.hpp"

namespace shmbus::spiller {

namespace {

constexpr std::uint64_t token = 1; // its entry is nobody else's, ever

/// What everybody agrees on: that the ring ran over before the disk had it is loss to all.
GapReason reason_on_disk(GapReason reason) noexcept {
    return reason == GapReason::overrun || reason == GapReason::evicted ? GapReason::lost : reason;
}

} // namespace

Source::Source(const ring::Topic& topic, std::uint32_t entry, Sequence next)
    : reader_(topic, entry, token, true, {}), inline_capacity_(topic.ring.inline_capacity()) {
    rewind(next);
}

void Source::rewind(Sequence next) noexcept {
    at_end_ = false;
    reader_.join(Start::sequence(next));
}

bool Source::fill(store::Batch& batch) {
    bool any = false;
    while (!batch.is_full() && look(batch)) any = true;
    return any;
}

bool Source::look(store::Batch& batch) {
    using Look = ring::Reader::Look;
    place_.buffer = batch.next_body(inline_capacity_);
    for (;;) {
        switch (reader_.look(place_)) {
        case Look::event: take_event(batch); return true;
        case Look::gap: {
            const Gap& gap = reader_.gap();
            batch.add(Gap{gap.first, gap.last, reason_on_disk(gap.reason)});
            return true;
        }
        case Look::closed: at_end_ = true; return false;
        case Look::nothing: return false;
        case Look::skipped: break;
        }
    }
}

/// A chunk that was taken away meanwhile (drop-oldest, and a disk that takes ten seconds) was not copied.
void Source::take_event(store::Batch& batch) {
    batch.add({place_.sequence, place_.header, place_.extension, place_.payload});
    if (reader_.release(place_) == Released::intact) return;
    batch.drop_last();
    batch.add(Gap{place_.sequence, place_.sequence, GapReason::lost});
}

} // namespace shmbus::spiller
