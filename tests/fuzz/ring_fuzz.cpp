// Bytes of a ring that anybody with the descriptor may have written, beyond what is checked when it
// is mapped; and that check itself.
#include "shmbus/error.hpp"
#include "topic.hpp"

using namespace shmbus;

namespace {

/// Arbitrary bytes are refused or, if they are a ring, accepted; never followed.
void check(const test::TestRing& ring, test::Input input) {
    const auto bytes = ring.ring_bytes();
    const auto size = input.take<std::uint16_t>() % bytes.size();
    const auto damage = input.rest();
    const auto at = input.take<std::uint8_t>() % 128U;
    for (std::size_t i = 0; i < damage.size() && at + i < 128; ++i)
        bytes[at + i] ^= static_cast<std::byte>(damage[i]);
    for (const auto span : {bytes, bytes.first(size)}) {
        try {
            ring::check_ring(span, ring.topic.ring.parameters(), test::a_topic);
        } catch (const Error&) {
            continue;
        }
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    test::Input input(data, size);
    const test::TestRing ring(test::fuzz_parameters(input));
    if (input.take<std::uint8_t>() % 8 == 0) {
        check(ring, input);
        return 0;
    }
    test::begin(ring);
    const auto& geometry = ring.topic.ring.geometry();
    const auto near = input.take<std::uint8_t>();
    for (Sequence s = 0; s < 4; ++s)
        if (near >> s & 1U) ring.topic.ring.slot(s).stamp.store_relaxed(test::nearly(ring, input));
    for (std::uint32_t c = 0; c < 2; ++c)
        if (near >> (4 + c) & 1U)
            ring.topic.ring.chunk_word(c).store_relaxed(test::nearly(ring, input));
    // The header behind the parameters, then everything up to the chunks' contents.
    test::scribble(ring.ring_bytes(), 256, 768, input);
    test::scribble(ring.ring_bytes(), geometry.slots, 4 * 128, input);
    test::scribble(ring.ring_bytes(), geometry.watches, geometry.slots - geometry.watches, input);
    test::scribble(ring.ring_bytes(), geometry.slots_end, 64, input);
    test::use(ring, input);
    return 0;
}
