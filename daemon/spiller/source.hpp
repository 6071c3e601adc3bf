// Reads one topic's ring for the disk, as any subscriber does, but leaves nothing out.
#pragma once

#include "base/futex.hpp"
#include "daemon/store/batch.hpp"
#include "ring/reader.hpp"

namespace shmbus::spiller {

class Source {
  public:
    /// Through reader entry `entry`, which nobody else has; from `next` on.
    Source(const ring::Topic& topic, std::uint32_t entry, Sequence next);

    /// Adds what there is until the batch is full; whether it added anything.
    bool fill(store::Batch& batch);
    /// Nothing is left, and nothing will come: the ring was closed.
    [[nodiscard]] bool at_end() const noexcept { return at_end_; }
    /// Begins anew at `next`, which is still in the ring.
    void rewind(Sequence next) noexcept;

    /// Before sleeping; look once more whether it is_ready() then.
    [[nodiscard]] base::Watched arm() noexcept { return {&reader_.event_word(), reader_.arm()}; }
    [[nodiscard]] bool is_ready() const noexcept { return reader_.is_ready(); }

  private:
    bool look(store::Batch& batch);
    void take_event(store::Batch& batch);

    ring::Reader reader_;
    std::size_t inline_capacity_;
    ring::Place place_;
    bool at_end_ = false;
};

} // namespace shmbus::spiller
