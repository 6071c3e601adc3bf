// Events on their way from a ring to the disk: copied out, in their order, without a hole.
#pragma once

#include "layout/frame_writer.hpp"
#include "shmbus/types.hpp"

#include <vector>

namespace shmbus::spiller {

class Batch {
  public:
    void add(Sequence s, const layout::EventHeader& header, Bytes extension, Bytes payload);
    void add(const Gap& gap);
    /// Takes the last one back.
    void drop_last() noexcept;
    void clear() noexcept;

    [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }
    /// More in one batch gains nothing.
    [[nodiscard]] bool is_full() const noexcept {
        return bytes_.size() >= enough_bytes || entries_.size() >= enough_entries;
    }
    [[nodiscard]] Sequence first() const noexcept { return entries_.front().first; }
    [[nodiscard]] Sequence last() const noexcept { return entries_.back().last; }

    /// Calls event(sequence, layout::EventFrame) and gap(Gap) in the order of the sequences, as long as
    /// they return true; whether all did.
    template <class OnEvent, class OnGap> bool for_each(OnEvent event, OnGap gap) const {
        for (const Entry& entry : entries_)
            if (!(entry.reason ? gap(Gap{entry.first, entry.last, *entry.reason})
                               : event(entry.first, frame_of(entry))))
                return false;
        return true;
    }

  private:
    static constexpr std::size_t enough_bytes = std::size_t{1} << 20U;
    static constexpr std::size_t enough_entries = 8192;

    struct Entry {
        Sequence first;
        Sequence last;
        std::optional<GapReason> reason; // none: an event
        layout::EventHeader header;
        std::size_t offset; // of extension block and payload in bytes_
    };
    [[nodiscard]] layout::EventFrame frame_of(const Entry& entry) const noexcept;

    std::vector<Entry> entries_;
    std::vector<std::byte> bytes_;
};

} // namespace shmbus::spiller
