// Bytes of a readers object that any subscriber may have written.
#include "shmbus/error.hpp"
#include "topic.hpp"

using namespace shmbus;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    test::Input input(data, size);
    const test::TestRing ring(test::fuzz_parameters(input));
    const auto bytes = ring.readers_bytes();
    test::begin(ring);
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
        return 0;
    }
    return 0;
}
