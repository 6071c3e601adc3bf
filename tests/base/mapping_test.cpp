// Mappings of a descriptor: what they share, what they are kept out of.
#include "base/mapping.hpp"

#include "base/memfd.hpp"
#include "shmbus/error.hpp"

#include <fstream>
#include <gtest/gtest.h>
#include <string>
#include <sys/mman.h>
#include <sys/wait.h>

namespace shmbus::base {
namespace {

constexpr std::uint64_t size = 3 * 4096;

/// The flags that /proc/self/smaps has of the mapping at `address`.
std::string flags_of(const void* address) {
    std::ifstream smaps("/proc/self/smaps");
    bool here = false;
    for (std::string line; std::getline(smaps, line);) {
        unsigned long first = 0;
        unsigned long last = 0;
        if (std::sscanf(line.c_str(), "%lx-%lx ", &first, &last) == 2)
            here = first <= reinterpret_cast<std::uintptr_t>(address) &&
                   reinterpret_cast<std::uintptr_t>(address) < last;
        if (here && line.rfind("VmFlags:", 0) == 0) return line;
    }
    return {};
}

TEST(Mapping, TwoOfOneDescriptorShowTheSameBytes) {
    const auto fd = make_memfd("test", size, 0);
    const Mapping writer(fd, Access::read_write, size);
    const Mapping reader(read_only_twin(fd), Access::read_only, size);
    ASSERT_EQ(writer.bytes().size(), size);
    ASSERT_EQ(reader.bytes().size(), size);
    EXPECT_NE(writer.bytes().data(), reader.bytes().data());
    writer.bytes()[size - 1] = std::byte{42};
    EXPECT_EQ(reader.bytes()[size - 1], std::byte{42});
    EXPECT_EQ(reader.bytes()[0], std::byte{0});
}

TEST(Mapping, OutlivesItsDescriptorAndMoves) {
    auto fd = make_memfd("test", size, 0);
    Mapping mapping(fd, Access::read_write, size);
    fd = Fd();
    Mapping moved = std::move(mapping);
    moved.bytes()[7] = std::byte{1};
    EXPECT_EQ(moved.bytes()[7], std::byte{1});
    EXPECT_EQ(Mapping().bytes().size(), 0U);
}

TEST(Mapping, StaysOutOfCoreDumpsAndChildren) {
    const auto fd = make_memfd("test", size, 0);
    const Mapping mapping(fd, Access::read_write, size);
    const auto flags = flags_of(mapping.bytes().data());
    EXPECT_NE(flags.find(" dd"), std::string::npos) << flags;
    EXPECT_NE(flags.find(" dc"), std::string::npos) << flags;
}

TEST(Mapping, OfAReadOnlyDescriptorCannotBeWritable) {
    const auto fd = read_only_twin(make_memfd("test", size, 0));
    try {
        const Mapping mapping(fd, Access::read_write, size);
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.code(), Errc::permission) << e.what();
    }
}

TEST(Mapping, OfNoDescriptorIsAnError) {
    EXPECT_THROW(Mapping(Fd(), Access::read_only, size), Error);
}

TEST(Mapping, PopulatesWhatItWasAskedTo) {
    const auto fd = make_memfd("test", size, size);
    const Mapping mapping(fd, Access::read_only, size, 2 * 4096);
    std::array<unsigned char, 3> resident{};
    ASSERT_EQ(::mincore(mapping.bytes().data(), size, resident.data()), 0);
    EXPECT_TRUE(resident[0] & 1U);
    EXPECT_TRUE(resident[1] & 1U);
}

} // namespace
} // namespace shmbus::base
