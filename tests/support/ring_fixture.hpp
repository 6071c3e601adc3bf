// A ring and its readers object in plain memory, and hands on them.
//
// No descriptors and no daemon: the protocol works on a span of bytes. The memory is exactly as
// large as the geometry says, so AddressSanitizer sees every step beyond it.
#pragma once

#include "base/hash.hpp"
#include "layout/extension.hpp"
#include "ring/exclusive_writer.hpp"
#include "ring/reader.hpp"
#include "ring/recovery.hpp"
#include "ring/shared_writer.hpp"

#include <cstring>
#include <memory>
#include <new>
#include <ostream>
#include <string>
#include <vector>

namespace shmbus::test {

using layout::Stamp;
using Look = ring::Reader::Look;
using layout::SlotState;
using Strings = std::vector<std::string>;

inline constexpr layout::Uuid a_topic{1, 2, 3};
inline constexpr Sequence before_wrap = (1ULL << 48U) - 1000; // a ring that begins here soon wraps

/// 8 slots of 64 bytes of payload, and 4 chunks of 12 KiB.
inline layout::RingParameters parameters(FullPolicy policy = FullPolicy::block) {
    layout::RingParameters p{};
    p.capacity = 8;
    p.slot_bytes = 128;
    p.max_event = 4096;
    p.pool_bytes = 4 * 12'288;
    p.first_sequence = 1;
    p.max_publishers = 8;
    p.max_readers = 64;
    p.evict_after_ms = 60'000;
    p.hold_timeout_ms = 60'000;
    p.full_policy = static_cast<std::uint8_t>(policy);
    return p;
}

/// Zeroed, page aligned.
class Memory {
  public:
    explicit Memory(std::size_t size) : bytes_(make(size)), size_(size) {}
    [[nodiscard]] std::span<std::byte> bytes() const noexcept { return {bytes_.get(), size_}; }

  private:
    static constexpr auto alignment = std::align_val_t{layout::page};
    struct Free {
        void operator()(std::byte* bytes) const noexcept { ::operator delete[](bytes, alignment); }
    };
    static std::byte* make(std::size_t size) {
        auto* bytes = static_cast<std::byte*>(::operator new[](size, alignment));
        std::memset(bytes, 0, size);
        return bytes;
    }
    std::unique_ptr<std::byte, Free> bytes_;
    std::size_t size_;
};

/// Both objects of a topic. A copy is what a core dump at this moment would show.
class TestRing {
  public:
    explicit TestRing(const layout::RingParameters& p)
        : ring_(layout::geometry_of(p).total_bytes),
          readers_(layout::readers_geometry_of(p).total_bytes),
          topic{ring::RingView(ring_.bytes(), p), ring::ReadersView(readers_.bytes(), p)} {
        ring::format_ring(ring_.bytes(), p, a_topic);
        ring::format_readers(readers_.bytes(), p, a_topic);
    }
    TestRing(const TestRing& other) : TestRing(other.topic.ring.parameters()) {
        std::memcpy(ring_.bytes().data(), other.ring_.bytes().data(), ring_.bytes().size());
        std::memcpy(readers_.bytes().data(), other.readers_.bytes().data(),
                    readers_.bytes().size());
    }
    TestRing& operator=(const TestRing&) = delete;
    ~TestRing() = default;

    [[nodiscard]] std::span<std::byte> ring_bytes() const noexcept { return ring_.bytes(); }
    [[nodiscard]] std::span<std::byte> readers_bytes() const noexcept { return readers_.bytes(); }
    [[nodiscard]] Sequence tail() const noexcept { return topic.ring.header().tail.load_acquire(); }
    [[nodiscard]] Stamp stamp(Sequence s) const noexcept {
        return Stamp(topic.ring.slot(s).stamp.load_acquire());
    }
    [[nodiscard]] bool is(Sequence s, SlotState state, std::uint32_t owner = 0) const noexcept {
        return stamp(s) == Stamp::slot(s, state, owner);
    }
    void set(Sequence s, SlotState state, std::uint32_t owner = 0) const noexcept {
        topic.ring.slot(s).stamp.store_release(Stamp::slot(s, state, owner).word());
    }
    [[nodiscard]] Stamp chunk(std::uint32_t c) const noexcept {
        return Stamp(topic.ring.chunk_word(c).load_acquire());
    }

  private:
    Memory ring_;
    Memory readers_;

  public:
    ring::Topic topic;
};

struct Published {
    PublishOutcome outcome;
    Sequence sequence;
    bool operator==(const Published&) const = default;
};
inline std::ostream& operator<<(std::ostream& out, const Published& p) {
    return out << "outcome " << static_cast<int>(p.outcome) << " sequence " << p.sequence;
}
inline Published published(Sequence s) { return {PublishOutcome::published, s}; }

struct What {
    std::string_view text;
    std::string_view key = {};
    std::uint32_t type = 0;
    std::uint64_t time_ns = 0;
};

enum class Kind : std::uint8_t { shared, exclusive };

/// A publisher with a leased entry.
class Pub {
  public:
    Pub(const TestRing& ring, std::uint32_t owner, Kind kind = Kind::shared)
        : Pub(ring.topic, owner, kind) {}
    Pub(const ring::Topic& topic, std::uint32_t owner, Kind kind = Kind::shared)
        : id(owner + 1), writer_(make(topic, owner, kind)), writer(*writer_) {}

    Published publish(const What& what, Deadline deadline = Deadline::now()) {
        std::vector<std::byte> extension(layout::max_extension_bytes);
        const auto header = header_of(what, extension.data());
        return send({header, extension.data(), as_bytes(what.text).data()}, deadline);
    }
    Published publish(std::string_view text, Deadline deadline = Deadline::now()) {
        return publish(What{text}, deadline);
    }

    /// A chunk with this in it, or no_chunk.
    std::uint32_t fill_chunk(const What& what) {
        std::uint32_t chunk = layout::no_chunk;
        if (writer.take_chunk(layout::max_extension_bytes + what.text.size(), Deadline::now(),
                              chunk) != PublishOutcome::published)
            return layout::no_chunk;
        std::vector<std::byte> extension(layout::max_extension_bytes);
        const auto header = header_of(what, extension.data());
        auto bytes = writer.ring().chunk(chunk);
        std::memcpy(bytes.data(), extension.data(), header.extension);
        const std::size_t offset = (header.extension + 63U) / 64 * 64;
        std::memcpy(bytes.data() + offset, what.text.data(), what.text.size());
        return chunk;
    }
    Published publish_filled(std::uint32_t chunk, const What& what,
                             Deadline deadline = Deadline::now()) {
        std::vector<std::byte> extension(layout::max_extension_bytes);
        auto header = header_of(what, extension.data());
        header.chunk = chunk;
        return send({header}, deadline);
    }
    Published publish_in_chunk(const What& what) {
        const auto chunk = fill_chunk(what);
        if (chunk == layout::no_chunk) return {PublishOutcome::pool_full, 0};
        const auto result = publish_filled(chunk, what);
        if (result.outcome != PublishOutcome::published &&
            result.outcome != PublishOutcome::revoked)
            writer.give_back(chunk);
        return result;
    }
    Published publish_in_chunk(std::string_view text) { return publish_in_chunk(What{text}); }
    /// Inline events, together.
    PublishOutcome publish_batch(const std::vector<std::string>& texts, ring::Run& run,
                                 Deadline deadline = Deadline::now()) {
        std::vector<ring::Draft> drafts;
        for (const auto& text : texts)
            drafts.push_back({header_of({text}, nullptr), nullptr, as_bytes(text).data()});
        return writer.publish(drafts, deadline, run);
    }
    PublishOutcome publish_batch(const std::vector<std::string>& texts) {
        ring::Run run;
        return publish_batch(texts, run);
    }
    void publish_many(Sequence count) {
        for (Sequence i = 0; i < count; ++i) (void)publish("filler");
    }

    [[nodiscard]] layout::EventHeader header_of(const What& what, std::byte* extension) const {
        layout::EventHeader header{};
        header.length = static_cast<std::uint32_t>(what.text.size());
        header.chunk = layout::no_chunk;
        header.type = what.type;
        header.time_ns = what.time_ns;
        header.publisher = id;
        if (!what.key.empty()) {
            layout::ExtensionWriter fields(extension);
            fields.key(what.key);
            header.extension = fields.size();
            header.flags = layout::flag_key;
            header.key_hash = base::key_hash(what.key);
        }
        return header;
    }
    Published send(const ring::Draft& draft, Deadline deadline) {
        ring::Run run;
        const auto outcome = writer.publish({&draft, 1}, deadline, run);
        return {outcome, run.last};
    }

    std::uint32_t id = 0;

  private:
    static std::unique_ptr<ring::Writer> make(const ring::Topic& topic, std::uint32_t owner,
                                              Kind kind) {
        ring::lease_publisher(topic, owner, owner + 1, 1000 + owner);
        if (kind == Kind::exclusive) return std::make_unique<ring::ExclusiveWriter>(topic, owner);
        return std::make_unique<ring::SharedWriter>(topic, owner);
    }
    std::unique_ptr<ring::Writer> writer_;

  public:
    ring::Writer& writer;
};

} // namespace shmbus::test
