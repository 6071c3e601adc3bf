// A group's memory, and what the daemon and members do over it, in any order. Where all keep to the rules, nothing
// is missed, nothing is acknowledged twice, and nothing counts as done too early. Where anybody may have written
// anything, before each step, nobody looks elsewhere or goes round in circles.
#include "fuzz/group_play.hpp"
#include "shmbus/error.hpp"

using namespace shmbus;
using test::expect;

namespace {

constexpr std::size_t most_steps = 300;

/// Arbitrary bytes are refused or, if they are a group's, have options that can be.
void check(test::Input& input) {
    const test::Memory memory(layout::group_bytes);
    const layout::Uuid topic{1};
    group::format(memory.bytes(), topic, test::take_options(input), 1);
    const auto at = input.take<std::uint8_t>() % 128U;
    const auto cut = input.take<std::uint8_t>() % 3U;
    const auto damage = input.take_bytes(128);
    for (std::size_t i = 0; i < damage.size() && at + i < 256; ++i)
        memory.bytes()[at + i] ^= static_cast<std::byte>(damage[i]);
    try {
        const auto options = group::check(memory.bytes().first(layout::group_bytes - cut), topic);
        expect(cut == 0 && group::problem_with(options).empty());
        for (std::uint32_t failures = 0; failures < 12; ++failures)
            expect(group::back_off_ns(options, failures) <= 7 * 24 * 3'600'000'000'000U);
    } catch (const Error& e) {
        expect(e.code() == Errc::damaged || e.code() == Errc::incompatible);
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    test::Input input(data, size);
    const auto what = input.take<std::uint8_t>() % 16U;
    if (what == 0) {
        check(input);
        return 0;
    }
    test::GroupPlay play(input, what % 2 == 0);
    for (std::size_t steps = 0; steps < most_steps && !input.empty(); ++steps) play.step();
    play.end();
    return 0;
}
