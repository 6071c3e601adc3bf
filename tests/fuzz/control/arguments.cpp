#include "fuzz/control/arguments.hpp"

#include "control/protocol.hpp"
#include "fuzz/control/daemon.hpp"

#include <algorithm>

namespace shmbus::test {

namespace {

using capnp::DynamicList;
using capnp::DynamicStruct;
using capnp::DynamicValue;
using Kind = capnp::schema::Type::Which;

constexpr unsigned deepest = 80; // the daemon reads messages of up to 64 levels
constexpr std::size_t most_known = 120;

std::uint64_t mask_of(Kind kind) {
    switch (kind) {
    case Kind::UINT8: return 0xff;
    case Kind::UINT16: return 0xffff;
    case Kind::UINT32: return 0xffff'ffff;
    default: return ~std::uint64_t{0};
    }
}

} // namespace

std::string Arguments::name() {
    static const std::string known[] = {"a",           "b",    "c", disk_topic,  shared_topic,
                                        private_topic, "mine", "",  "not/a name"};
    const auto which = input_.take<std::uint8_t>();
    if (which < 200) return known[which % std::size(known)];
    if (which < 230) return std::string(100U + which, 'x'); // at most 128 are allowed
    if (which == 230) return std::string(70'000, 'x');      // more than a message may have
    if (which == 231) return own_group;
    const auto bytes = input_.take_bytes(which % 16);
    return {bytes.begin(), bytes.end()};
}

std::uint64_t Arguments::number() {
    const auto what = input_.take<std::uint8_t>();
    if (what < 32) return what;
    if (what < 160) return numbers_.empty() ? what : numbers_[what % numbers_.size()];
    if (what < 224) return (std::uint64_t{1} << (what & 63U)) - input_.pick(3);
    return input_.take<std::uint64_t>();
}

void Arguments::set_capability(DynamicStruct::Builder to, kj::StringPtr field) {
    to.set(field, capnp::DynamicCapability::Client(protocol::Memory::Client(
                      kj::Exception(kj::Exception::Type::FAILED, "", 0, kj::str("not called")))));
}

void Arguments::fill(DynamicStruct::Builder to, unsigned depth) {
    const auto schema = to.getSchema();
    if (input_.empty() || depth > deepest) return;
    if (schema == capnp::Schema::from<protocol::TopicOptions>()) {
        auto options = small_options();
        if (input_.pick(4) == 0) options.retention = Retention::disk;
        control::write_options(options, to.as<protocol::TopicOptions>());
        alter(to);
        return;
    }
    if (schema == capnp::Schema::from<protocol::GroupOptions>()) {
        control::write_options(GroupOptions{}, to.as<protocol::GroupOptions>());
        alter(to);
        return;
    }
    for (const auto field : schema.getNonUnionFields()) fill(to, field, depth);
    const auto choices = schema.getUnionFields();
    if (choices.size() != 0)
        fill(to, choices[static_cast<unsigned>(input_.pick(choices.size()))], depth);
}

void Arguments::alter(DynamicStruct::Builder to) {
    const auto fields = to.getSchema().getNonUnionFields();
    for (auto times = input_.pick(4); times != 0; --times)
        fill(to, fields[static_cast<unsigned>(input_.pick(fields.size()))], 1);
}

void Arguments::fill(DynamicStruct::Builder to, capnp::StructSchema::Field field, unsigned depth) {
    const auto type = field.getType();
    switch (type.which()) {
    case Kind::VOID: to.set(field, capnp::VOID); break;
    case Kind::BOOL: to.set(field, input_.pick(2) != 0); break;
    case Kind::UINT8:
    case Kind::UINT16:
    case Kind::UINT32:
    case Kind::UINT64: to.set(field, number() & mask_of(type.which())); break;
    case Kind::ENUM:
        to.set(field, capnp::DynamicEnum(type.asEnum(), input_.take<std::uint8_t>()));
        break;
    case Kind::TEXT: {
        const auto text = name();
        to.set(field, capnp::Text::Reader(text.c_str(), text.size()));
        break;
    }
    case Kind::DATA: {
        const auto which = input_.pick(ids_.size() % 200 + 2);
        const auto bytes = which < ids_.size() ? std::span<const std::uint8_t>(ids_[which])
                                               : input_.take_bytes(input_.pick(24));
        to.set(field, capnp::Data::Reader(bytes.data(), bytes.size()));
        break;
    }
    case Kind::STRUCT:
        // Without them it is no group.
        if (type.asStruct() == capnp::Schema::from<protocol::GroupOptions>() && input_.pick(2) == 0)
            break;
        fill(to.init(field).as<DynamicStruct>(), depth + 1);
        break;
    case Kind::LIST:
        fill(to.init(field, static_cast<unsigned>(input_.pick(8))).as<DynamicList>(), depth + 1);
        break;
    case Kind::INTERFACE:
        if (input_.pick(8) != 0) set_capability(to, field.getProto().getName());
        break;
    default: break;
    }
}

void Arguments::fill(DynamicList::Builder to, unsigned depth) {
    const auto kind = to.getSchema().whichElementType();
    for (unsigned i = 0; i < to.size(); ++i) {
        if (kind == Kind::STRUCT)
            fill(to[i].as<DynamicStruct>(), depth);
        else if (kind == Kind::UINT64 || kind == Kind::UINT32)
            to.set(i, number() & mask_of(kind));
    }
}

void Arguments::learn(DynamicStruct::Reader from) {
    if (from.getSchema() == capnp::Schema::from<protocol::TopicOptions>()) return;
    for (const auto field : from.getSchema().getNonUnionFields())
        if (!field.getType().isInterface() && from.has(field)) learn(from.get(field));
}

void Arguments::learn(const DynamicValue::Reader& value) {
    switch (value.getType()) {
    case DynamicValue::UINT:
        if (numbers_.size() < most_known) learn(value.as<std::uint64_t>());
        break;
    case DynamicValue::DATA: {
        layout::Uuid id{};
        const auto data = value.as<capnp::Data>();
        if (data.size() != id.size() || ids_.size() >= most_known) break;
        std::copy(data.begin(), data.end(), id.begin());
        if (std::find(ids_.begin(), ids_.end(), id) == ids_.end()) learn(id);
        break;
    }
    case DynamicValue::STRUCT: learn(value.as<DynamicStruct>()); break;
    case DynamicValue::LIST:
        for (const auto element : value.as<DynamicList>()) learn(element);
        break;
    default: break;
    }
}

} // namespace shmbus::test
