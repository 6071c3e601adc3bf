// Ten thousand topics on disk: each costs what it would by itself.
#include "daemon/spiller/storage.hpp"
#include "support/temporary_directory.hpp"

#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>

namespace shmbus::spiller {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t many = 10'000;
constexpr Sequence events = 1'500;

std::string name_of(std::size_t i) { return fmt::format("topic-{}", i); }

/// What this process has read so far: calls and bytes.
struct Reads {
    std::uint64_t calls = 0;
    std::uint64_t bytes = 0;

    static Reads so_far() {
        std::ifstream io("/proc/self/io");
        Reads reads;
        std::string word;
        for (std::uint64_t value = 0; io >> word >> value;) {
            if (word == "rchar:") reads.bytes = value;
            if (word == "syscr:") reads.calls = value;
        }
        return reads;
    }
    Reads operator-(const Reads& before) const {
        return {calls - before.calls, bytes - before.bytes};
    }
};

class ManyTopics : public testing::Test {
  protected:
    /// Several segments, closed in order.
    void make(const std::string& name) {
        Storage storage(path());
        store::TopicRecord record{{1, 2, 3}, {}, 0};
        record.options.keep_bytes = 1 << 20;
        const auto open = storage.create(name, record, 1);
        const std::string payload(200, 'x');
        while (open.log->next() <= events) {
            layout::EventFrame event;
            event.sequence = open.log->next();
            event.payload = std::as_bytes(std::span(payload));
            store::Batch batch;
            batch.add(event);
            ASSERT_EQ(open.log->append(batch), store::Outcome::done);
        }
        ASSERT_GT(open.log->segments().size(), 1U);
        ASSERT_EQ(open.log->close(), store::Outcome::done);
    }
    /// They are all the same, down to their files' content.
    void make_more(const std::string& of, std::size_t count) {
        const fs::path topics = path() + "/topics";
        for (std::size_t i = 1; i < count; ++i) {
            fs::create_directory(topics / name_of(i));
            for (const auto& file : fs::directory_iterator(topics / of))
                fs::create_hard_link(file, topics / name_of(i) / file.path().filename());
        }
    }
    static Reads cost_of_opening(Storage& storage, const std::string& name) {
        const auto before = Reads::so_far();
        const auto record = storage.find(name);
        const auto open = storage.open(name, record.value());
        EXPECT_EQ(open.log->next(), events + 1);
        return Reads::so_far() - before;
    }
    [[nodiscard]] std::string path() const { return temporary.path() / "state"; }
    test::TemporaryDirectory temporary;
};

TEST_F(ManyTopics, CostWhatEachOfThemCosts) {
    make(name_of(0));
    Reads alone;
    {
        Storage storage(path());
        (void)cost_of_opening(storage, name_of(0));
        alone = cost_of_opening(storage, name_of(0));
    }
    EXPECT_LT(alone.calls, 16U);
    EXPECT_LT(alone.bytes, 64U << 10U) << "two state files, and a segment's two ends";

    make_more(name_of(0), many);
    const auto before = Reads::so_far();
    Storage storage(path());
    ASSERT_EQ(storage.topics().size(), many);
    EXPECT_LT((Reads::so_far() - before).calls, 8U) << "their names are enough";
    for (const std::size_t i : {std::size_t{0}, many / 2, many - 1}) {
        const auto cost = cost_of_opening(storage, name_of(i));
        EXPECT_EQ(cost.calls, alone.calls) << i;
        EXPECT_NEAR(double(cost.bytes), double(alone.bytes), 64) << i << ": but for reading this";
    }
}

} // namespace
} // namespace shmbus::spiller
