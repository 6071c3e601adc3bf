#include "support/recorder.hpp"

#include <algorithm>
#include <gtest/gtest.h>

namespace shmbus::test {

namespace {

const std::function<void(const Access&)>* watching = nullptr;

const char* name_of(base::AtomicOp op) {
    using base::AtomicOp;
    switch (op) {
    case AtomicOp::load: return "load";
    case AtomicOp::store: return "store";
    case AtomicOp::exchange: return "exchange";
    case AtomicOp::cas: return "cas";
    case AtomicOp::fetch_add: return "fetch_add";
    case AtomicOp::fetch_or: return "fetch_or";
    case AtomicOp::fetch_and: return "fetch_and";
    case AtomicOp::fence: break;
    }
    return "fence";
}

const char* name_of(std::memory_order order) {
    switch (order) {
    case std::memory_order_relaxed: return "relaxed";
    case std::memory_order_consume:
    case std::memory_order_acquire: return "acquire";
    case std::memory_order_release: return "release";
    case std::memory_order_acq_rel: return "acq_rel";
    case std::memory_order_seq_cst: break;
    }
    return "seq_cst";
}

bool is_within(const void* word, const void* first, std::size_t bytes) {
    return word >= first && word < static_cast<const std::byte*>(first) + bytes;
}

const char* name_in_ring(const ring::RingView& ring, const void* word) {
    const auto& header = ring.header();
    if (word == &header.tail) return "tail";
    if (word == &header.wake) return "wake";
    if (word == &header.rung) return "rung";
    if (word == &header.space_armed) return "space_armed";
    if (word == &header.state) return "state";
    if (word == &header.publisher_limit) return "publisher_limit";
    if (is_within(word, &header, sizeof header)) return "hint";
    for (std::uint32_t i = 0; i < ring.capacity(); ++i) {
        const auto& slot = ring.slot(i);
        if (word == &slot.stamp) return "stamp";
        if (is_within(word, &slot, ring.parameters().slot_bytes)) return "content";
    }
    if (is_within(word, &ring.watch(0),
                  ring.parameters().max_readers * sizeof(layout::ReaderWatch)))
        return "lossy";
    for (std::uint32_t p = 0; p < ring.parameters().max_publishers; ++p)
        if (word == &ring.publisher(p).gate) return "gate";
    if (is_within(word, &ring.publisher(0), ring.parameters().max_publishers * 64U))
        return "publisher";
    if (ring.chunk_count() != 0 && is_within(word, &ring.chunk_word(0), ring.chunk_count() * 8U))
        return "chunk";
    return nullptr;
}

const char* name_in_readers(const ring::Topic& topic, const void* word) {
    const auto& readers = topic.readers;
    const auto& header = readers.header();
    if (word == &header.armed) return "armed";
    if (word == &header.space) return "space";
    if (word == &header.space_rung) return "space_rung";
    if (word == &header.reader_limit) return "reader_limit";
    for (std::uint32_t r = 0; r < readers.max_readers(); ++r) {
        if (word == &readers.entry(r).cursor) return "cursor";
        if (word == &readers.entry(r).attach) return "attach";
    }
    if (is_within(word, readers.cells(0), readers.max_readers() * layout::hold_cells * 8U))
        return "cell";
    if (is_within(word, readers.bits(0), topic.ring.chunk_count() * readers.words_per_chunk() * 8U))
        return "bits";
    return "private word";
}

} // namespace

void watch(const std::function<void()>& body, const std::function<void(const Access&)>& handler) {
    watching = &handler;
    body();
    watching = nullptr;
}

std::size_t count_accesses(const std::function<void()>& body) {
    std::size_t count = 0;
    watch(body, [&](const Access&) { ++count; });
    return count;
}

void interrupt_at(std::size_t n, const std::function<void()>& body,
                  const std::function<void()>& act) {
    std::size_t count = 0;
    watch(body, [&](const Access&) {
        if (count++ == n) act();
    });
}

Log::Log(const ring::Topic& topic, const std::function<void()>& body) {
    watch(body, [&](const Access& access) {
        std::string name = name_of(access.op);
        if (access.word != nullptr) {
            const char* in_ring = name_in_ring(topic.ring, access.word);
            name += std::string(" ") +
                    (in_ring != nullptr ? in_ring : name_in_readers(topic, access.word));
        }
        entries_.push_back({name, access.order});
    });
}

std::size_t Log::next(const std::string& name, std::size_t after) const {
    for (std::size_t i = after + 1; i < entries_.size(); ++i)
        if (entries_[i].name == name) return i;
    ADD_FAILURE() << "no '" << name << "' after " << after << " in\n" << text();
    return none;
}

std::size_t Log::last(const std::string& name) const {
    for (std::size_t i = entries_.size(); i-- > 0;)
        if (entries_[i].name == name) return i;
    ADD_FAILURE() << "no '" << name << "' in\n" << text();
    return none;
}

std::size_t Log::count(const std::string& name) const {
    return static_cast<std::size_t>(std::count_if(
        entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.name == name; }));
}

std::size_t Log::fence(std::memory_order order, std::size_t after) const {
    for (std::size_t i = after + 1; i < entries_.size(); ++i)
        if (entries_[i].name == "fence" && has(i, order)) return i;
    ADD_FAILURE() << "no such fence after " << after << " in\n" << text();
    return none;
}

bool Log::has(std::size_t i, std::memory_order order) const {
    if (i >= entries_.size()) return false;
    const auto actual = entries_[i].order;
    return actual == order || actual == std::memory_order_seq_cst ||
           (actual == std::memory_order_acq_rel && order != std::memory_order_seq_cst);
}

std::string Log::text() const {
    std::string all;
    for (std::size_t i = 0; i < entries_.size(); ++i)
        all += std::to_string(i) + ' ' + entries_[i].name + ' ' + name_of(entries_[i].order) + '\n';
    return all;
}

} // namespace shmbus::test

namespace shmbus::base {

void about_to(AtomicOp op, const void* word, std::memory_order order) noexcept {
    if (test::watching == nullptr) return;
    const auto* handler = std::exchange(test::watching, nullptr);
    (*handler)({op, word, order});
    test::watching = handler;
}

} // namespace shmbus::base
