#include "fuzz/control/forgeries.hpp"

#include "base/memfd.hpp"
#include "fuzz/control/daemon.hpp"
#include "fuzz/topic.hpp"
#include "group/table.hpp"
#include "layout/cursor.hpp"

#include <array>
#include <fcntl.h>
#include <sys/mman.h>

namespace shmbus::test {

namespace {

constexpr std::size_t most_topics = 4;
constexpr std::uint64_t token = 5 * layout::tokens_per_lease;

std::span<std::byte> bytes_from(void* begin, std::uint64_t size) {
    return {static_cast<std::byte*>(begin), size};
}

} // namespace

void Forgeries::make_topic(std::span<const pid_t> processes) {
    if (topics_.size() == most_topics) return;
    layout::Uuid id{static_cast<std::uint8_t>(topics_.size() + 1)};
    const auto what = input_.pick(256);
    const bool has_group = what / 2 % 2 != 0;
    auto parameters = registry::Topic::parameters_of(small_options(), what % 2 * 1'000 + 1);
    topics_.push_back({arguments_.name(), id, registry::TopicMemory::make("forged", id, parameters),
                       has_group ? make_group(id) : make_page(), has_group});
    const auto view = topics_.back().memory.view();
    const auto entries = static_cast<std::uint32_t>(input_.pick(4));
    for (std::uint32_t e = 0; e < entries; ++e) {
        const auto pid = static_cast<std::uint32_t>(processes[input_.pick(processes.size())]);
        ring::lease_publisher(view, e, e + 1, pid);
        ring::lease_reader(view, e, token, pid);
        view.readers.entry(e).attach.store_release(
            layout::attach_word(token, layout::ReaderMode::gate));
    }
    const auto& geometry = view.ring.geometry();
    scribble(bytes_from(&view.ring.header(), geometry.slots_end), 0, geometry.publishers + 1024,
             input_);
    const auto readers = layout::readers_geometry_of(parameters);
    scribble(bytes_from(&view.readers.header(), readers.total_bytes), 0, readers.entries + 1024,
             input_);
    arguments_.learn(id);
    arguments_.learn(token);
}

base::Fd Forgeries::make_page() {
    auto fd = base::make_memfd("forged", layout::cursor_page_bytes, 0);
    const base::Mapping mapping(fd, base::Access::read_write, layout::cursor_page_bytes);
    auto& page = *reinterpret_cast<layout::CursorPage*>(mapping.bytes().data());
    page.magic = layout::cursor_magic;
    page.cursor.store_relaxed(arguments_.number());
    page.state.store_relaxed(input_.take<std::uint8_t>());
    return fd;
}

/// As if reader entries 0 to 3 were its members, who had come somewhere; nearly right.
base::Fd Forgeries::make_group(const layout::Uuid& topic) {
    auto fd = base::make_memfd("forged", layout::group_bytes, 0);
    const base::Mapping mapping(fd, base::Access::read_write, layout::group_bytes);
    group::format(mapping.bytes(), topic, {}, arguments_.number());
    const group::Table table(mapping.bytes());
    const auto phase = static_cast<layout::SlotPhase>(input_.pick(3));
    for (std::uint32_t k = 0; k < key_slots; ++k) {
        auto& slot = table.slot(k);
        const auto seq = slot.word.load_relaxed();
        slot.word.store_relaxed(layout::SlotWord(0, phase, seq).word());
        slot.owner.store_relaxed(layout::OwnerWord::make(0, k % 4, false));
    }
    scribble(mapping.bytes(), 0, sizeof(layout::GroupHeader), input_);
    scribble(mapping.bytes(), layout::group_members_at, 1024, input_);
    scribble(mapping.bytes(), layout::group_slots_at, 1024, input_);
    return fd;
}

bool Forgeries::hand_back(protocol::Mapped::Builder mapped) {
    if (topics_.empty()) return false;
    const auto& topic = topics_.back();
    mapped.setTopic(control::to_kj(topic.name));
    mapped.setUuid(kj::arrayPtr(topic.id.data(), topic.id.size()));
    mapped.setPublishes(input_.pick(2) != 0);
    mapped.setEntry(static_cast<std::uint32_t>(input_.pick(4)));
    mapped.setMark(mapped.getPublishes() ? mapped.getEntry() + 1 : token);
    if (topic.has_group) mapped.setName("a");
    arguments_.alter(mapped);
    return true;
}

int Forgeries::descriptor(unsigned place, std::span<const base::Fd> given) {
    const auto which = input_.take<std::uint8_t>();
    if (which < 64 && !topics_.empty()) {
        const auto& topic = topics_.back();
        const std::array fds{topic.memory.ring().writable.get(),
                             topic.memory.readers().writable.get(), topic.page.get()};
        return fds.at(which < 48 ? place % 3 : which % 3);
    }
    if (which < 192 && !given.empty()) return given[which % given.size()].get();
    return odd_one(which);
}

int Forgeries::odd_one(std::size_t which) {
    if (others_.size() > 16) return -1;
    base::Fd fd;
    switch (which % 8) {
    case 0: return -1;
    case 1: fd = base::Fd(::open("/dev/null", O_RDWR | O_CLOEXEC)); break;
    case 2: fd = base::Fd(::open("/", O_PATH | O_CLOEXEC)); break;
    case 3: {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) return -1;
        others_.emplace_back(ends[0]);
        fd = base::Fd(ends[1]);
        break;
    }
    case 4: fd = base::Fd(::memfd_create("unsealed", MFD_CLOEXEC)); break;
    case 5: fd = make_page(); break;
    case 6:
        fd = make_page(); // another user's
        if (::fchown(fd.get(), admitted_user, 0) != 0) return -1;
        break;
    default: {
        const auto size = 4096 * (1 + input_.pick(64));
        fd = base::make_memfd("garbage", size, 0);
        const base::Mapping mapping(fd, base::Access::read_write, size);
        std::memcpy(mapping.bytes().data(), &layout::ring_magic, sizeof layout::ring_magic);
        scribble(mapping.bytes(), 0, sizeof(layout::RingHeader), input_);
    }
    }
    others_.push_back(std::move(fd));
    return others_.back().get();
}

} // namespace shmbus::test
