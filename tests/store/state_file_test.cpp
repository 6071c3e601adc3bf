// A record in two slots: the newest or the one before it, whatever happens.
#include "daemon/store/state_file.hpp"
#include "simulated_files.hpp"
#include "support/descriptors.hpp"
#include "support/temporary_directory.hpp"

#include "base/hash.hpp"

#include <cerrno>
#include <gtest/gtest.h>
#include <random>

namespace shmbus::store {
namespace {

using test::Loss;
using test::SimulatedDisk;

constexpr layout::Uuid topic{5, 5};

struct Record {
    std::uint64_t number;
    std::array<char, 1'000> filling;
};

Record record(std::uint64_t number) {
    Record r{number, {}};
    r.filling.fill(static_cast<char>(number));
    return r;
}

std::span<const std::byte> bytes(const Record& r) { return std::as_bytes(std::span(&r, 1)); }

/// The number in the file; 0 if there is none, ~0 if the record is not whole.
std::uint64_t number_in(const std::map<std::string, test::FileBytes>& files,
                        const std::string& name = "state", const layout::Uuid& of = topic) {
    SimulatedDisk disk(files);
    const auto directory = disk.open();
    const auto read = StateFile(*directory, name, of).as<Record>();
    if (!read) return 0;
    return read->filling == record(read->number).filling ? read->number : ~std::uint64_t{0};
}

class StateFileTest : public testing::Test {
  protected:
    void write(StateFile& file, std::uint64_t number) { file.write(bytes(record(number))); }
    SimulatedDisk disk;
    std::unique_ptr<Directory> directory = disk.open();
};

TEST_F(StateFileTest, HasNothingAtFirst) {
    const StateFile file(*directory, "state", topic);
    EXPECT_FALSE(file.record());
    EXPECT_FALSE(file.as<Record>());
    EXPECT_EQ(disk.operations(), 0U);
}

TEST_F(StateFileTest, HasWhatWasWrittenLast) {
    StateFile file(*directory, "state", topic);
    for (std::uint64_t i = 1; i < 10; ++i) {
        write(file, i);
        EXPECT_EQ(file.as<Record>()->number, i);
        EXPECT_EQ(number_in(disk.files()), i);
    }
    StateFile again(*directory, "state", topic);
    write(again, 10);
    EXPECT_EQ(number_in(disk.files()), 10U);
}

TEST_F(StateFileTest, ReadsShorterAndLongerRecords) {
    StateFile file(*directory, "state", topic);
    const std::array<std::uint64_t, 2> two{1, 2};
    file.write(std::as_bytes(std::span(two)));
    EXPECT_EQ(file.as<std::uint64_t>(), 1U);
    using Three = std::array<std::uint64_t, 3>;
    EXPECT_EQ(file.as<Three>(), (Three{1, 2, 0}));
}

TEST_F(StateFileTest, BelongsToItsTopicAndName) {
    StateFile file(*directory, "state", topic);
    write(file, 1);
    EXPECT_EQ(number_in(disk.files(), "state", layout::Uuid{6}), 0U);
    directory->rename("state", "other");
    EXPECT_EQ(number_in(disk.files(), "other"), 0U);
}

TEST_F(StateFileTest, SurvivesEveryCrashInEveryWrite) {
    StateFile file(*directory, "state", topic);
    std::vector<std::size_t> done{0};
    for (std::uint64_t i = 1; i < 6; ++i) {
        if (i == 3) disk.fail_at(1, EIO); // its sync
        try {
            write(file, i);
        } catch (const FileError&) {
            write(file, i);
        }
        done.push_back(disk.operations());
    }
    std::mt19937_64 random(1);
    for (std::size_t n = 0; n <= disk.operations(); ++n) {
        std::uint64_t written = 0;
        while (written + 1 < done.size() && done[written + 1] <= n) ++written;
        for (int i = 0; i < 200; ++i) {
            test::Crash crash{.operations = n, .loss = static_cast<Loss>(i % 3), .seed = random()};
            if (n < disk.operations() && disk.written_by(n) > 0)
                crash.torn = random() % disk.written_by(n);
            const auto number = number_in(disk.after(crash));
            ASSERT_GE(number, written) << n << ' ' << i;
            ASSERT_LE(number, std::min<std::uint64_t>(written + 1, 5)) << n << ' ' << i;
        }
    }
}

TEST_F(StateFileTest, WrittenTwiceNoDamageOfASlotBringsAnOlderOneBack) {
    StateFile file(*directory, "state", topic);
    write(file, 1);
    file.write_twice(bytes(record(2)));
    const auto whole = disk.files();
    for (std::size_t at = 0; at < 2 * StateFile::slot_bytes; ++at) {
        auto files = whole;
        files.at("state").at(at) ^= std::byte{0x10};
        ASSERT_EQ(number_in(files), 2U) << at;
    }
}

TEST_F(StateFileTest, OfACutFileMakesANewOne) {
    StateFile file(*directory, "state", topic);
    write(file, 1);
    for (const std::size_t size : {0U, 100U, 4'096U, 5'000U}) {
        auto files = disk.files();
        files.at("state").resize(size);
        SimulatedDisk cut(files);
        const auto there = cut.open();
        StateFile again(*there, "state", topic);
        write(again, 2);
        write(again, 3);
        EXPECT_EQ(number_in(cut.files()), 3U) << size;
    }
}

/// Makes a file's first slot one of layout version 2, checksum and all.
void make_newer(test::FileBytes& content) {
    auto slot = std::span(content).first(StateFile::slot_bytes);
    slot[8] = std::byte{2};
    std::fill_n(slot.begin() + 40, 8, std::byte{0});
    const std::string_view name = "state";
    const auto of_head =
        base::checksum(slot.first(64), base::checksum(std::as_bytes(std::span(name))));
    const auto sum = base::checksum(slot.subspan(64), of_head);
    std::memcpy(slot.data() + 40, &sum, sizeof sum);
}

TEST_F(StateFileTest, OfANewerVersionIsRefused) {
    StateFile file(*directory, "state", topic);
    write(file, 1);
    auto files = disk.files();
    files.at("state")[8] = std::byte{2};
    EXPECT_EQ(number_in(files), 0U) << "that is a flipped bit";
    make_newer(files.at("state"));
    try {
        (void)number_in(files);
        ADD_FAILURE() << "opened";
    } catch (const Error& e) {
        EXPECT_EQ(e.code(), Errc::incompatible);
    }
}

TEST_F(StateFileTest, GoesOnAfterEveryFailure) {
    for (const int error : {EIO, ENOSPC})
        for (std::size_t n = 0; n < 14; ++n) {
            SimulatedDisk failing;
            const auto there = failing.open();
            StateFile file(*there, "state", topic);
            failing.fail_at(n, error);
            for (std::uint64_t i = 1; i < 4; ++i) {
                try {
                    write(file, i);
                } catch (const FileError&) {
                    ASSERT_LE(number_in(failing.files()), i);
                    write(file, i);
                }
                const auto left =
                    failing.after({.operations = failing.operations(), .loss = Loss::everything});
                ASSERT_EQ(number_in(left), i) << n;
            }
        }
}

/// Named publishers and durable subscriptions, of which anybody may make thousands, have one each.
TEST_F(StateFileTest, IsNotKeptOpen) {
    const test::TemporaryDirectory temporary;
    const auto real = open_directory(temporary.path());
    const auto before = test::descriptors();
    std::vector<std::unique_ptr<StateFile>> files;
    for (int i = 0; i < 20; ++i) {
        files.push_back(std::make_unique<StateFile>(*real, std::to_string(i), topic));
        write(*files.back(), 1);
        write(*files.back(), 2);
    }
    const StateFile again(*real, "0", topic);
    EXPECT_EQ(again.as<Record>()->number, 2U);
    EXPECT_EQ(test::descriptors(), before);
}

} // namespace
} // namespace shmbus::store
