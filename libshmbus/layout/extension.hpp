// The extension block: what not every event has, before its payload.
//
// A sequence of fields, each [u16 tag][u16 length][length bytes], little-endian, unaligned. A
// reader skips tags it does not know. The block is written before the claim and read from a
// private copy or from a chunk the reader holds; either way its lengths are hostile until checked
// here.
//
//     tag 1  key          up to 255 bytes
//     tag 2  cause        u64 sequence, then the topic's name
//     tag 3  parent       8 bytes of W3C parent-id, one of flags
//     tag 4  header       u16 length of the name, name, value; may come many times
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace shmbus::layout {

inline constexpr std::size_t field_head_bytes = 4;
inline constexpr std::size_t header_field_bytes = field_head_bytes + 2; // beside name and value
inline constexpr std::size_t max_key_bytes = 255;
inline constexpr std::size_t max_name_bytes = 128;
inline constexpr std::size_t max_headers_bytes = 4096; // all header fields together
inline constexpr std::size_t max_extension_bytes = 4608;
static_assert(field_head_bytes + max_key_bytes + field_head_bytes + 8 + max_name_bytes +
                  field_head_bytes + 9 + max_headers_bytes <=
              max_extension_bytes);

struct Parent {
    std::array<std::uint8_t, 8> id;
    std::uint8_t flags;
};

struct CauseField {
    std::uint64_t sequence;
    std::string_view topic;
};

struct HeaderField {
    std::string_view name;
    std::string_view value;
};

/// Appends fields to a buffer of max_extension_bytes. The caller has checked every limit above.
class ExtensionWriter {
  public:
    explicit ExtensionWriter(std::byte* buffer) noexcept : buffer_(buffer) {}
    void key(std::string_view key) noexcept;
    void cause(const CauseField& cause) noexcept;
    void parent(const Parent& parent) noexcept;
    void header(const HeaderField& header) noexcept;
    [[nodiscard]] std::uint16_t size() const noexcept { return static_cast<std::uint16_t>(size_); }

  private:
    void field(std::uint16_t tag, std::size_t length) noexcept;
    void put(const void* bytes, std::size_t size) noexcept;
    std::byte* buffer_;
    std::size_t size_ = 0;
};

/// Reads a block. Views point into it. A field that runs over the end ends the walk; a field of the
/// wrong size is skipped.
class ExtensionReader {
  public:
    ExtensionReader() noexcept = default;
    explicit ExtensionReader(std::span<const std::byte> block) noexcept : block_(block) {}
    [[nodiscard]] std::string_view key() const noexcept;
    [[nodiscard]] std::optional<CauseField> cause() const noexcept;
    [[nodiscard]] std::optional<Parent> parent() const noexcept;
    /// The i-th header, in the order written; nothing past the last one.
    [[nodiscard]] std::optional<HeaderField> header(std::size_t i) const noexcept;

  private:
    [[nodiscard]] std::optional<std::span<const std::byte>>
    find(std::uint16_t tag, std::size_t skip = 0) const noexcept;
    std::span<const std::byte> block_;
};

} // namespace shmbus::layout
