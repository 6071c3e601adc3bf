#include "layout/extension.hpp"

#include <cstring>

namespace shmbus::layout {

namespace {

enum Tag : std::uint16_t { tag_key = 1, tag_cause = 2, tag_parent = 3, tag_header = 4 };

std::uint16_t u16_at(const std::byte* at) noexcept {
    std::uint16_t value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

std::string_view text(std::span<const std::byte> bytes) noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

} // namespace

void ExtensionWriter::put(const void* bytes, std::size_t size) noexcept {
    if (size != 0) std::memcpy(buffer_ + size_, bytes, size);
    size_ += size;
}

void ExtensionWriter::field(std::uint16_t tag, std::size_t length) noexcept {
    const auto length16 = static_cast<std::uint16_t>(length);
    put(&tag, sizeof tag);
    put(&length16, sizeof length16);
}

void ExtensionWriter::key(std::string_view key) noexcept {
    field(tag_key, key.size());
    put(key.data(), key.size());
}

void ExtensionWriter::cause(const CauseField& cause) noexcept {
    field(tag_cause, sizeof cause.sequence + cause.topic.size());
    put(&cause.sequence, sizeof cause.sequence);
    put(cause.topic.data(), cause.topic.size());
}

void ExtensionWriter::parent(const Parent& parent) noexcept {
    field(tag_parent, parent.id.size() + 1);
    put(parent.id.data(), parent.id.size());
    put(&parent.flags, 1);
}

void ExtensionWriter::header(const HeaderField& header) noexcept {
    const auto name_size = static_cast<std::uint16_t>(header.name.size());
    field(tag_header, sizeof name_size + header.name.size() + header.value.size());
    put(&name_size, sizeof name_size);
    put(header.name.data(), header.name.size());
    put(header.value.data(), header.value.size());
}

std::optional<std::span<const std::byte>> ExtensionReader::find(std::uint16_t tag,
                                                                std::size_t skip) const noexcept {
    auto rest = block_;
    while (rest.size() >= field_head_bytes) {
        const std::size_t length = u16_at(rest.data() + 2);
        if (length > rest.size() - field_head_bytes) return {};
        if (u16_at(rest.data()) == tag && skip-- == 0)
            return rest.subspan(field_head_bytes, length);
        rest = rest.subspan(field_head_bytes + length);
    }
    return {};
}

std::string_view ExtensionReader::key() const noexcept {
    const auto field = find(tag_key);
    return field && field->size() <= max_key_bytes ? text(*field) : std::string_view{};
}

std::optional<CauseField> ExtensionReader::cause() const noexcept {
    const auto field = find(tag_cause);
    CauseField cause{};
    if (!field || field->size() < sizeof cause.sequence ||
        field->size() > sizeof cause.sequence + max_name_bytes)
        return {};
    std::memcpy(&cause.sequence, field->data(), sizeof cause.sequence);
    cause.topic = text(field->subspan(sizeof cause.sequence));
    return cause;
}

std::optional<Parent> ExtensionReader::parent() const noexcept {
    const auto field = find(tag_parent);
    Parent parent{};
    if (!field || field->size() != parent.id.size() + 1) return {};
    std::memcpy(parent.id.data(), field->data(), parent.id.size());
    parent.flags = static_cast<std::uint8_t>((*field)[parent.id.size()]);
    return parent;
}

std::optional<HeaderField> ExtensionReader::header(std::size_t i) const noexcept {
    const auto field = find(tag_header, i);
    if (!field || field->size() < 2) return {};
    const std::size_t name_size = u16_at(field->data());
    if (name_size > field->size() - 2) return {};
    return HeaderField{text(field->subspan(2, name_size)), text(field->subspan(2 + name_size))};
}

} // namespace shmbus::layout
