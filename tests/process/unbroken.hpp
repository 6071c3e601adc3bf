// A load that must not notice anything: publishers for whom no publish may fail, and durable subscribers
// that get every sequence, once and in order. In two topics, "kept" on disk and "fast" in memory.
#pragma once

#include "process/child.hpp"
#include "shmbus/bus.hpp"

#include <map>

namespace shmbus::test {

class UnbrokenLoad {
  public:
    static constexpr unsigned publishers = 2; // of each topic, and one subscriber
    /// Makes the topics. Returns when all are at work.
    explicit UnbrokenLoad(const std::string& socket);

    /// Whether everybody is still there.
    [[nodiscard]] bool goes_on();
    /// Whether the daemon knows of everybody.
    [[nodiscard]] static bool is_known_to(Bus& bus);
    struct Sum {
        std::uint64_t events = 0;
        /// Sequences that a publisher had taken when an orderly stop closed the ring; it took another one.
        std::uint64_t aborted = 0;
    };
    /// Ends publishers, then subscribers; what there was, by topic.
    /// @throws std::runtime_error when anybody has noticed anything else
    std::map<std::string, Sum> stop();

  private:
    std::multimap<std::string, Child> publishers_; // by topic
    std::map<std::string, Child> subscribers_;
};

} // namespace shmbus::test
