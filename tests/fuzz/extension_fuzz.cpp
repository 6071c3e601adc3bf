// Extension blocks: what can be read lies inside, and what was written is read back.
#include "input.hpp"
#include "layout/extension.hpp"

#include <string>
#include <vector>

using namespace shmbus::layout;
using shmbus::test::expect;

namespace {

bool within(std::string_view view, const std::vector<std::byte>& block) {
    const auto* first = reinterpret_cast<const char*>(block.data());
    return view.empty() ||
           (view.data() >= first && view.data() + view.size() <= first + block.size());
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::vector<std::byte> block(size);
    for (std::size_t i = 0; i < size; ++i) block[i] = static_cast<std::byte>(data[i]);
    const ExtensionReader reader(block);
    const auto key = reader.key();
    expect(key.size() <= max_key_bytes && within(key, block));
    const auto cause = reader.cause();
    expect(!cause || (cause->topic.size() <= max_name_bytes && within(cause->topic, block)));
    const auto parent = reader.parent();
    std::vector<HeaderField> headers;
    std::size_t headers_bytes = 0;
    for (std::size_t i = 0; const auto header = reader.header(i); ++i) {
        expect(i <= size / header_field_bytes && within(header->name, block) &&
               within(header->value, block));
        headers_bytes += header_field_bytes + header->name.size() + header->value.size();
        headers.push_back(*header);
    }
    if (headers_bytes > max_headers_bytes) return 0; // more than anybody may write

    std::vector<std::byte> buffer(max_extension_bytes);
    ExtensionWriter writer(buffer.data());
    if (!key.empty()) writer.key(key);
    if (cause) writer.cause(*cause);
    if (parent) writer.parent(*parent);
    for (const auto& header : headers) writer.header(header);
    buffer.resize(writer.size());
    const ExtensionReader again(buffer);
    expect(again.key() == key);
    expect(again.cause().has_value() == cause.has_value());
    expect(!cause ||
           (again.cause()->sequence == cause->sequence && again.cause()->topic == cause->topic));
    expect(again.parent().has_value() == parent.has_value());
    expect(!parent || (again.parent()->id == parent->id && again.parent()->flags == parent->flags));
    for (std::size_t i = 0; i < headers.size(); ++i) {
        const auto header = again.header(i);
        expect(header && header->name == headers[i].name && header->value == headers[i].value);
    }
    expect(!again.header(headers.size()));
    return 0;
}
