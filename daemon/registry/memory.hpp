// The memory that a topic's clients share: its ring and its readers object.
#pragma once

#include "base/fd.hpp"
#include "base/mapping.hpp"
#include "ring/view.hpp"

#include <string>

namespace shmbus::registry {

/// A descriptor for publishers and one for subscribers; each only as writable as it must be.
struct Descriptors {
    base::Fd writable;
    base::Fd read_only;
};

class TopicMemory {
  public:
    /// @pre layout::problem_with(parameters).empty() @throws Error(limit), Error(system)
    static TopicMemory make(const std::string& name, const layout::Uuid& uuid,
                            const layout::RingParameters& parameters);
    /// What an earlier daemon made, as descriptors of any access: this process's user owns them.
    /// @throws Error(damaged), Error(incompatible), Error(system)
    static TopicMemory adopt(const layout::Uuid& uuid, const layout::RingParameters& parameters,
                             const base::Fd& ring, const base::Fd& readers);

    [[nodiscard]] const layout::RingParameters& parameters() const noexcept { return parameters_; }
    [[nodiscard]] const Descriptors& ring() const noexcept { return ring_; }
    [[nodiscard]] const Descriptors& readers() const noexcept { return readers_; }
    [[nodiscard]] ring::Topic view() const noexcept;

    /// Takes it away from whoever has a descriptor of it still, but for what says that it has ended: nobody is
    /// charged for it any more.
    void free() const noexcept;

  private:
    TopicMemory(const layout::RingParameters& parameters, Descriptors ring, Descriptors readers);
    layout::RingParameters parameters_;
    Descriptors ring_;
    Descriptors readers_;
    base::Mapping ring_mapping_;
    base::Mapping readers_mapping_;
};

/// What a ring says that it was made with. @throws Error(damaged)
[[nodiscard]] layout::RingParameters parameters_in(const base::Fd& ring);

/// The ring of a descriptor that is of no use to this daemon ends for all who map it, as far as it is one.
void disown(const base::Fd& ring) noexcept;

} // namespace shmbus::registry
