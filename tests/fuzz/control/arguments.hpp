// What a hostile client puts into its messages: field by field as the schema has them, of names and numbers that
// mean something, of what is next to these, and of anything.
#pragma once

#include "fuzz/input.hpp"
#include "layout/ring.hpp"

#include <capnp/dynamic.h>
#include <string>
#include <vector>

namespace shmbus::test {

class Arguments {
  public:
    explicit Arguments(Input& input) : input_(input) {}

    void fill(capnp::DynamicStruct::Builder to, unsigned depth = 0);
    /// A capability; what it is the message's table says.
    static void set_capability(capnp::DynamicStruct::Builder to, kj::StringPtr field);
    /// Some fields of what is filled already.
    void alter(capnp::DynamicStruct::Builder to);
    [[nodiscard]] std::string name();
    [[nodiscard]] std::uint64_t number();

    /// From now on these are among those that mean something.
    void learn(std::uint64_t number) { numbers_.push_back(number); }
    void learn(const layout::Uuid& id) { ids_.push_back(id); }
    /// What is in an answer.
    void learn(capnp::DynamicStruct::Reader from);

  private:
    void fill(capnp::DynamicStruct::Builder to, capnp::StructSchema::Field field, unsigned depth);
    void fill(capnp::DynamicList::Builder to, unsigned depth);
    void learn(const capnp::DynamicValue::Reader& value);
    Input& input_;
    std::vector<std::uint64_t> numbers_;
    std::vector<layout::Uuid> ids_;
};

} // namespace shmbus::test
