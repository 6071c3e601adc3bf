// How long nothing came after somebody was killed: by whom the subscribers that see everything got.
#pragma once

#include "tools/torture/schedule.hpp"

#include <array>
#include <cstddef>
#include <vector>

namespace shmbus::tools::torture {

class Silence {
  public:
    explicit Silence(std::size_t topics) : topics_(topics) {}

    /// Times are ns of one clock. Kills of the daemon concern every topic.
    void killed(Target target, std::size_t topic, std::uint64_t at);
    /// Until then a silence says nothing: somebody of the topic is stopped. The daemon concerns all.
    void excused(Target target, std::size_t topic, std::uint64_t until);
    void delivered(std::size_t topic, std::uint64_t at);

    [[nodiscard]] std::uint64_t longest_ns(Target target) const {
        return longest_.at(static_cast<std::size_t>(target));
    }

  private:
    struct Kill {
        Target target;
        std::uint64_t at;
    };
    struct Topic {
        std::vector<Kill> kills; // that nothing has come after yet
        std::uint64_t excused_until = 0;
    };
    template <class Each> void for_each(Target target, std::size_t topic, Each each);
    std::vector<Topic> topics_;
    std::array<std::uint64_t, 4> longest_{};
};

} // namespace shmbus::tools::torture
