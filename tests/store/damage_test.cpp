// Torn and flipped bytes: what was damaged is lost, and nothing else.
#include "caller.hpp"
#include "support/form.hpp"

#include <random>

namespace shmbus::store {
namespace {

using test::Caller;
using test::FileBytes;
using test::SimulatedDisk;

constexpr std::uint64_t large = std::uint64_t{256} << 10U;

/// Where each sequence's frame is.
struct Place {
    std::string file;
    std::uint64_t begin;
    std::uint64_t end;
    Sequence last; // a tombstone may be of several
};
using Places = std::map<Sequence, Place>;

Places places_of(const Log& log, const std::map<std::string, FileBytes>& files) {
    Places places;
    const auto& segments = log.segments();
    for (std::size_t i = 0; i < segments.size(); ++i) {
        const auto name = layout::segment_name(segments[i]);
        const auto end = i + 1 < segments.size() ? segments[i + 1] : log.next();
        spill::SegmentView view(files.at(name), test::log_topic, segments[i], {.end = end});
        auto cursor = view.begin();
        for (auto found = cursor.next(); found != spill::Found::end; found = cursor.next())
            if (found == spill::Found::event || found == spill::Found::tombstone)
                places[cursor.sequence()] = {name, cursor.offset(), cursor.position(),
                                             cursor.expected() - 1};
    }
    return places;
}

// One write of more than 64 KiB, torn at each of its last bytes.
TEST(Tear, EveryWholeFrameBeforeItIsThere) {
    SimulatedDisk disk;
    Caller caller(disk, {.min_capacity = large, .max_capacity = large});
    ASSERT_EQ(caller.log().lease(10'000), Outcome::done);
    for (Sequence s = 1; s < 5; ++s) ASSERT_EQ(test::append_next(caller.log()), Outcome::done);
    ASSERT_EQ(caller.log().sync(), Outcome::done);
    const Sequence durable = caller.log().durable();
    Batch batch;
    for (Sequence s = 5; s < 140; ++s) test::add(batch, s);
    ASSERT_EQ(caller.log().append(batch), Outcome::done);
    std::size_t written = 0; // at once; then the next file may have been made
    for (std::size_t i = 0; i < disk.operations(); ++i)
        written = std::max(written, disk.written_by(i));
    ASSERT_GT(written, 65'536U);

    const auto whole = disk.files();
    const auto places = places_of(caller.log(), whole);
    const auto name = layout::segment_name(1);
    const std::uint64_t end = places.rbegin()->second.end;
    const std::uint64_t step = test::long_form() ? 1 : 509;
    std::uint64_t count = 0;
    for (std::uint64_t at = end - 65'536; at <= end; at += step) {
        auto files = whole;
        std::memset(files.at(name).data() + at, 0, files.at(name).size() - at);
        Sequence there = 0;   // surely
        Sequence at_most = 0; // a frame may end with zeros
        for (const auto& [s, place] : places) {
            if (place.end <= at) there = place.last;
            if (place.end <= at + 16) at_most = place.last;
        }
        SimulatedDisk torn(files);
        const auto directory = torn.open();
        Log log(*directory, test::log_topic, {});
        ASSERT_GE(log.next(), there + 1) << at;
        ASSERT_LE(log.next(), at_most + 1) << at;
        test::expect_kept(log, files, {.durable = durable, .leased = 10'000, .handed_out = 140});
        if (++count % 64 == 0) test::go_on(log);
        ASSERT_FALSE(HasFailure()) << at;
    }
}

/// Flips one bit anywhere, and expects that at most the event it belongs to is lost.
void expect_flips_to_be_harmless(bool closed, unsigned count) {
    SimulatedDisk disk;
    Caller caller(disk);
    caller.append_through(220);
    caller.sync();
    if (closed) caller.close();
    const auto whole = disk.files();
    const auto places = places_of(caller.log(), whole);
    std::vector<std::pair<std::string, std::size_t>> names;
    std::size_t total = 0;
    for (const auto& [name, bytes] : whole) names.emplace_back(name, total += bytes.size());

    std::mt19937_64 random(closed ? 1 : 2);
    for (unsigned i = 0; i < count; ++i) {
        auto files = whole;
        const auto where = random() % total;
        const auto file = std::find_if(names.begin(), names.end(),
                                       [&](const auto& n) { return where < n.second; });
        auto& bytes = files.at(file->first);
        const auto at = where - (file->second - bytes.size());
        bytes[at] ^= std::byte{1} << random() % 8;

        Sequence first_damaged = 1; // none
        Sequence last_damaged = 0;
        for (const auto& [s, place] : places)
            if (place.file == file->first && place.begin <= at && at < place.end) {
                first_damaged = s;
                last_damaged = place.last;
            }
        SimulatedDisk damaged(files);
        const auto directory = damaged.open();
        Log log(*directory, test::log_topic, test::small_segments());
        EXPECT_EQ(log.leased(), caller.log().leased());
        const auto expect_loss_of_it_alone = [&](const std::map<std::string, FileBytes>& now) {
            for (const auto& gap : test::losses(test::read_log(log, now))) {
                EXPECT_EQ(gap.first, first_damaged);
                EXPECT_EQ(gap.last, last_damaged);
            }
        };
        expect_loss_of_it_alone(files);
        // One at the very end may be gone as if it had never been: its sequence is leased.
        EXPECT_TRUE(log.next() == caller.log().next() || log.next() == first_damaged) << log.next();
        if (i % 16 == 0) {
            EXPECT_EQ(log.sync(), Outcome::done);
            expect_loss_of_it_alone(damaged.files());
        }
        ASSERT_FALSE(testing::Test::HasFailure())
            << file->first << " at " << at << ", the " << i << "th flip, damages " << first_damaged;
    }
}

TEST(Flip, CostsTheEventItHitAlone) {
    expect_flips_to_be_harmless(true, test::long_form() ? 10'000 : 250);
}

TEST(Flip, CostsNoMoreWhenThereWasNoOrderlyEnd) {
    expect_flips_to_be_harmless(false, test::long_form() ? 10'000 : 250);
}

} // namespace
} // namespace shmbus::store
