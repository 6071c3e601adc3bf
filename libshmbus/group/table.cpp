#include "group/table.hpp"

#include "shmbus/error.hpp"

#include <algorithm>

namespace shmbus::group {

namespace {

using std::chrono::milliseconds;
constexpr milliseconds least_ack_wait(100);
constexpr milliseconds longest_ack_wait = std::chrono::hours(24);
constexpr milliseconds longest_back_off = std::chrono::hours(7 * 24);
constexpr std::uint32_t most_deliveries = 4'000;

} // namespace

/// A slot that is synced is as far as its owner's front. That is looked at before the slot's word: an event that is
/// taken in between is behind that front.
Sequence Table::look_at_all(Sequence head) const noexcept {
    std::array<Sequence, layout::max_members> fronts{}; // as far as they were looked at; 0: not yet
    Sequence least = head + 1;
    for (std::uint32_t k = 0; k < key_slots; ++k) {
        const auto& entry = slot(k);
        const std::uint64_t owner = entry.owner.load_acquire();
        const std::uint32_t index = OwnerWord::member_of(owner);
        Sequence front = 0;
        if (index < layout::max_members) {
            // Acquire: pairs with Member::pass; the slot's word is not looked at before.
            if (fronts[index] == 0) fronts[index] = member(index).front.load_acquire();
            front = fronts[index];
        }
        const SlotWord word(entry.word.load_acquire());
        Sequence seq = word.seq(head);
        if (word.phase() == SlotPhase::synced && word.epoch() == OwnerWord::epoch_of(owner))
            seq = std::max(seq, front);
        least = std::min(least, seq);
    }
    return least == 0 ? 0 : least - 1;
}

/// A member's entry may go to another member meanwhile, whose front is another: then it looks again.
Sequence Table::done_up_to(Sequence head) const noexcept {
    constexpr int patience = 4;
    for (int i = 0; i < patience; ++i) {
        const std::uint64_t moves = header().moves.load_acquire();
        const Sequence done = look_at_all(head);
        base::acquire_fence();
        if (header().moves.load_relaxed() == moves) return done;
    }
    return 0;
}

std::string problem_with(const GroupOptions& options) {
    if (options.ack_wait < least_ack_wait || options.ack_wait > longest_ack_wait)
        return "ack_wait is 100 ms to 24 h";
    if (options.max_deliver > most_deliveries) return "max_deliver is 1 to 4,000, or 0 for no end";
    if (options.max_in_flight == 0 || options.max_in_flight > key_slots)
        return "max_in_flight is 1 to 1,024";
    if (options.order != Order::per_key && options.order != Order::none)
        return "order is per_key or none";
    if (options.back_off.size() > GroupOptions::max_back_off)
        return "back_off has at most 8 pauses";
    for (const auto pause : options.back_off)
        if (pause < milliseconds::zero() || pause > longest_back_off)
            return "each pause of back_off is 0 to 7 days";
    return {};
}

void format(std::span<std::byte> memory, const layout::Uuid& topic, const GroupOptions& options,
            Sequence begin) noexcept {
    const Table table(memory);
    auto& header = table.header();
    header.major = layout::layout_major;
    header.minor = layout::layout_minor;
    header.total_bytes = layout::group_bytes;
    header.topic = topic;
    header.ack_wait_ms = static_cast<std::uint32_t>(options.ack_wait.count());
    header.max_deliver = options.max_deliver;
    header.max_in_flight = options.max_in_flight;
    header.order = static_cast<std::uint32_t>(options.order);
    header.back_off_count = static_cast<std::uint32_t>(options.back_off.size());
    for (std::size_t i = 0; i < options.back_off.size(); ++i)
        header.back_off_ms[i] = static_cast<std::uint32_t>(options.back_off[i].count());
    for (std::uint32_t k = 0; k < key_slots; ++k)
        table.slot(k).word.store_relaxed(SlotWord(0, SlotPhase::rest, begin).word());
    header.magic = layout::group_magic;
}

GroupOptions check(std::span<const std::byte> memory, const layout::Uuid& topic) {
    const auto refuse = [](const std::string& why) {
        throw Error(Errc::damaged, "the memory of a group " + why);
    };
    if (memory.size() != layout::group_bytes) refuse("has a wrong size");
    const auto& header = *reinterpret_cast<const layout::GroupHeader*>(memory.data());
    if (header.magic != layout::group_magic || header.total_bytes != layout::group_bytes)
        refuse("is something else");
    if (header.major != layout::layout_major)
        throw Error(Errc::incompatible, "the memory of a group is of another version: install the "
                                        "same version of library and daemon");
    if (header.topic != topic) refuse("is another topic's");
    GroupOptions options{.ack_wait = milliseconds(header.ack_wait_ms),
                         .max_deliver = header.max_deliver,
                         .max_in_flight = header.max_in_flight,
                         .order = static_cast<Order>(header.order)};
    if (header.order > 1) refuse("has an order that is none");
    const std::size_t pauses = header.back_off_count;
    if (pauses > GroupOptions::max_back_off) refuse("has too many pauses");
    for (std::size_t i = 0; i < pauses; ++i) options.back_off.emplace_back(header.back_off_ms[i]);
    if (const auto problem = problem_with(options); !problem.empty())
        refuse("says that " + problem);
    return options;
}

std::uint64_t back_off_ns(const GroupOptions& options, std::uint32_t failures) noexcept {
    if (options.back_off.empty() || failures == 0) return 0;
    const std::size_t i = std::min<std::size_t>(failures, options.back_off.size()) - 1;
    return static_cast<std::uint64_t>(std::chrono::nanoseconds(options.back_off[i]).count());
}

} // namespace shmbus::group
