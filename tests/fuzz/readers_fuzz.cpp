// Bytes that any subscriber may have written: a topic's readers object, the page that its cursor is noted in, its
// group's memory, and the page by which the daemon learns that its thread has ended.
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
        (void)all.restore("s", holder, grant.page, 0); // but now it does
        look();
    }
}

/// Members of one group, who come, go and come back, and write anything. Its cursor goes forward, and not beyond what
/// there is; and all slots together are no more than there are.
class GroupUse {
  public:
    GroupUse(const test::TestRing& ring, test::Input& input)
        : ring_(ring), input_(input), all_(test::a_topic, ring.topic) {}
    void run() {
        for (int steps = 0; steps < 48 && !input_.empty(); ++steps) {
            do_one();
            look();
        }
    }

  private:
    struct Member {
        std::uint64_t hold;
        base::Fd memory;
    };
    void do_one() {
        const auto entry = static_cast<std::uint32_t>(input_.pick(3));
        const auto member = members_.find(entry);
        const bool is_there = member != members_.end();
        switch (input_.pick(8)) {
        case 0:
            if (!is_there) join(entry);
            break;
        case 1:
            if (is_there) (void)all_.begin("g", member->second.hold, input_.take<std::uint64_t>());
            break;
        case 2:
            if (!is_there) break;
            left_ = std::move(member->second.memory);
            all_.release("g", member->second.hold);
            members_.erase(member);
            break;
        case 3:
            if (!is_there) come_back(entry);
            break;
        case 4: (void)all_.sweep(); break;
        case 5: all_.end_of_adoption(); break;
        case 6:
            if (!members_.empty()) all_.pause("g", input_.pick(2) != 0, {});
            break;
        default: write(is_there ? member->second.memory : left_);
        }
    }
    void join(std::uint32_t entry) {
        auto grant = all_.join("g", holder_, entry, {});
        expect(grant.cursor.value_or(0) == cursor_);
        members_[entry] = {grant.hold, std::move(grant.page)};
    }
    /// With memory that may be of long ago, or the group's.
    void come_back(std::uint32_t entry) {
        auto& memory =
            members_.empty() || input_.pick(2) == 0 ? left_ : members_.begin()->second.memory;
        if (!memory) return;
        try {
            const auto hold = all_.restore("g", holder_, memory, entry);
            members_[entry] = {hold, base::writable_twin(memory)};
        } catch (const Error& e) {
            expect(e.code() == Errc::damaged || e.code() == Errc::busy ||
                   e.code() == Errc::incompatible);
        }
    }
    void write(const base::Fd& memory) {
        if (!memory) return;
        const base::Mapping mapping(memory, base::Access::read_write, layout::group_bytes);
        const group::Table table(mapping.bytes());
        const auto what = input_.take<std::uint8_t>();
        for (std::uint32_t k = 0; k < key_slots && (what & 1U) != 0; ++k) {
            auto& word = table.slot(k).word;
            const auto epoch = layout::SlotWord(word.load_relaxed()).epoch();
            const auto phase = static_cast<layout::SlotPhase>(what / 2U % 4U);
            word.store_relaxed(layout::SlotWord(epoch, phase, ring_.tail() - (what >> 5U)).word());
        }
        test::scribble(mapping.bytes(), 0, 512, input_);
        test::scribble(mapping.bytes(), layout::group_members_at, 512, input_);
        test::scribble(mapping.bytes(), layout::group_slots_at, 1024, input_);
    }
    void look() {
        for (const auto& info : all_.list()) {
            const auto now = info.record.cursor; // takes it
            expect(now == cursor_ || (cursor_ < now && now < ring_.tail()));
            cursor_ = now;
            std::uint32_t slots = 0;
            for (const auto& member : info.group->members) slots += member.slots;
            expect(slots <= key_slots && info.group->in_flight <= slots);
        }
    }

    const test::TestRing& ring_;
    test::Input& input_;
    registry::Subscriptions all_;
    const registry::Holder holder_{.session = 1, .pid = 1, .uid = 1, .command = "member"};
    std::map<std::uint32_t, Member> members_; // by reader entry
    base::Fd left_;                           // what the last one had that left
    Sequence cursor_ = 0;
};

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
    } else if (which == 7) {
        GroupUse(ring, input).run();
    } else {
        use_readers(ring, input);
    }
    return 0;
}
