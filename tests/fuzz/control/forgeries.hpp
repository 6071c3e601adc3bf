// Descriptors that a hostile client makes up, and what it says that they are.
#pragma once

#include "control/protocol.hpp"
#include "daemon/registry/memory.hpp"
#include "fuzz/control/arguments.hpp"

namespace shmbus::test {

class Forgeries {
  public:
    Forgeries(Input& input, Arguments& arguments) : input_(input), arguments_(arguments) {}

    /// A topic that no daemon made, or not this one, with entries that these processes hold; nearly right.
    void make_topic(std::span<const pid_t> processes);
    /// The one made last, as a client hands it back. @returns whether there is any
    bool hand_back(protocol::Mapped::Builder mapped);
    /// Its ring, its readers object, or a subscription's page or group; or something else. -1: none.
    [[nodiscard]] int descriptor(unsigned place, std::span<const base::Fd> given);

  private:
    struct Topic {
        std::string name;
        layout::Uuid id;
        registry::TopicMemory memory;
        base::Fd page; // or its group's memory
        bool has_group;
    };
    [[nodiscard]] base::Fd make_page();
    [[nodiscard]] base::Fd make_group(const layout::Uuid& topic);
    int odd_one(std::size_t which);
    Input& input_;
    Arguments& arguments_;
    std::vector<Topic> topics_;
    std::vector<base::Fd> others_;
};

} // namespace shmbus::test
