// Bytes that any subscriber may have written: a topic's readers object, the page that its cursor is noted in, and
// the one by which the daemon learns that its thread has ended.
#include "base/futex.hpp"
#include "base/memfd.hpp"
#include "base/robust.hpp"
#include "daemon/registry/subscriptions.hpp"
#include "shmbus/error.hpp"
#include "topic.hpp"

using namespace shmbus;
using test::expect;

namespace {

void use_readers(const test::TestRing& ring, test::Input& input) {
    const auto bytes = ring.readers_bytes();
    // The words that publishers look at: header, entries, cells, bits.
    test::scribble(bytes, 128, 1024 + 4 * 64 - 128, input);
    test::scribble(bytes, sizeof(layout::ReadersHeader) + 64 * sizeof(layout::ReaderEntry),
                   layout::hold_cells * 8, input);
    for (std::uint32_t c = 0; c < 2; ++c)
        ring.topic.readers.bits(c)[0].store_relaxed(input.take<std::uint64_t>());
    test::use(ring, input);

    const auto at = input.take<std::uint8_t>() % 128U;
    for (std::size_t i = 0; i < input.rest().size() && at + i < 128; ++i)
        bytes[at + i] ^= static_cast<std::byte>(input.rest()[i]);
    try {
        ring::check_readers(bytes, ring.topic.ring.parameters(), test::a_topic);
    } catch (const Error&) {
        return;
    }
}

/// Holders of one durable subscription, one after the other. Its cursor goes forward, and not beyond what there is.
void use_cursor_page(const test::TestRing& ring, test::Input& input) {
    const registry::Holder holder{.session = 1, .pid = 1, .uid = 1, .command = "holder"};
    registry::Subscriptions all(test::a_topic, ring.topic);
    Sequence cursor = 0;
    const auto look = [&] {
        const auto now = all.list().at(0).record.cursor; // takes it
        expect(now == cursor || (cursor < now && now < ring.tail()));
        cursor = now;
    };
    for (int holders = 0; holders < 16 && !input.empty(); ++holders) {
        const auto what = input.take<std::uint8_t>();
        const auto grant = all.open("s", holder, true);
        expect(grant.cursor.value_or(0) == cursor);
        const base::Mapping mapping(grant.page, base::Access::read_write,
                                    layout::cursor_page_bytes);
        auto& page = *reinterpret_cast<layout::CursorPage*>(mapping.bytes().data());
        expect(page.topic == test::a_topic && page.cursor.load_acquire() == cursor);
        if ((what & 1U) != 0) page.cursor.store_release(ring.tail() - (what >> 5U));
        test::scribble(mapping.bytes(), 0, 256, input);
        look();
        if ((what & 2U) != 0) all.pause("s", (what & 4U) != 0, {});
        if ((what & 8U) == 0) continue; // the next one takes it over
        all.release("s", grant.hold);
        test::scribble(mapping.bytes(), 0, 256, input); // which counts no more
        look();
        if ((what & 16U) == 0) continue;
        (void)all.restore("s", holder, grant.page); // but now it does
        look();
    }
}

/// As the daemon watches it.
void use_thread_page(test::Input& input) {
    const auto memory = base::make_memfd("thread", base::robust_bytes, 0);
    const base::RobustWatch watch(memory);
    const base::Mapping mapping(memory, base::Access::read_write, base::robust_bytes);
    test::scribble(mapping.bytes(), 0, 64, input);
    const auto word = watch.word().load_acquire();
    const base::Word32 poke{0};
    if (!base::RobustWatch::has_ended(word))
        (void)base::futex_wait(watch.word(), word, poke, Deadline::now());
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    test::Input input(data, size);
    const test::TestRing ring(test::fuzz_parameters(input));
    test::begin(ring);
    const auto which = input.take<std::uint8_t>() % 8U;
    if (which == 0) {
        use_thread_page(input);
        use_cursor_page(ring, input);
    } else {
        use_readers(ring, input);
    }
    return 0;
}
