// Records that are made up, for the torture's checker.
#pragma once

#include "tools/torture/checker.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shmbus::tools::torture {

class TortureChecker : public testing::Test {
  protected:
    void SetUp() override { use({}); }
    /// Begins anew, with one topic, two who publish and two who subscribe from the first event on.
    void use(TopicOptions options, bool is_removed = false, bool is_named = false,
             bool is_durable = false) {
        checker_ = {};
        topic_ = checker_.add_topic({"topic", options, is_removed});
        out_ = checker_.add_publisher(topic_, "out", is_named);
        other_ = checker_.add_publisher(topic_, "other");
        in_ = checker_.add_subscriber(topic_, "in", is_durable);
        second_ = checker_.add_subscriber(topic_, "second");
        open(out_);
        open(other_);
        subscribe(in_);
        subscribe(second_);
    }
    void open(Party publisher, std::uint64_t last_id = 0) {
        checker_.take(publisher,
                      {.sequence = last_id, .number = bus_id(publisher), .said = Said::opened});
    }
    void subscribe(Party subscriber, Sequence at = 1, Sequence latest = 1) {
        checker_.take(subscriber, {.sequence = at, .number = latest, .said = Said::subscribed});
    }
    void intend(Party publisher, std::uint64_t id) {
        checker_.take(publisher, {.number = id, .digest = digest(id), .said = Said::intended});
    }
    void publish(Party publisher, std::uint64_t id, Sequence at) {
        intend(publisher, id);
        checker_.take(publisher, {.sequence = at, .number = id, .said = Said::published});
    }
    void refuse(Party publisher, std::uint64_t id, PublishOutcome outcome) {
        checker_.take(
            publisher,
            {.number = id, .said = Said::refused, .detail = static_cast<std::uint8_t>(outcome)});
    }
    void deliver(Party subscriber, Sequence at, Party writer, std::uint64_t id) {
        deliver(subscriber, at, writer, id, digest(id));
    }
    void deliver(Party subscriber, Sequence at, Party writer, std::uint64_t id,
                 std::uint64_t digest) {
        checker_.take(subscriber, {.sequence = at,
                                   .number = id,
                                   .digest = digest,
                                   .writer = writer,
                                   .publisher = bus_id(writer),
                                   .said = Said::delivered});
    }
    void gap(Party subscriber, Sequence first, Sequence last, GapReason reason) {
        checker_.take(subscriber, {.sequence = first,
                                   .number = last,
                                   .said = Said::gap,
                                   .detail = static_cast<std::uint8_t>(reason)});
    }
    void acknowledge(Party subscriber, Sequence sequence) {
        say(subscriber, Said::acknowledging, sequence);
        say(subscriber, Said::acknowledged, sequence);
    }
    void say(Party party, Said said, Sequence sequence, std::uint8_t detail = 0) {
        checker_.take(party, {.sequence = sequence, .number = 1, .said = said, .detail = detail});
    }
    /// Three events that both have.
    void three_for_both() {
        for (Sequence s = 1; s <= 3; ++s) publish(out_, s, s);
        for (const Party subscriber : {in_, second_})
            for (Sequence s = 1; s <= 3; ++s) deliver(subscriber, s, out_, s);
    }
    void expect_none() {
        for (const auto& violation : checker_.violations())
            ADD_FAILURE() << violation.sequence << ": " << violation.what;
    }
    void expect(Sequence at, const std::string& what) {
        ASSERT_EQ(checker_.violations().size(), 1U) << what;
        const auto& violation = checker_.violations()[0];
        EXPECT_EQ(violation.topic, "topic");
        EXPECT_EQ(violation.sequence, at);
        EXPECT_THAT(violation.what, testing::HasSubstr(what));
    }
    static TopicOptions in_memory(FullPolicy full) {
        TopicOptions options;
        options.full = full;
        options.retention = Retention::memory;
        return options;
    }
    static std::uint32_t bus_id(Party party) { return 100 + party; }
    static std::uint64_t digest(std::uint64_t id) { return 1'000 + id; }

    Checker checker_;
    std::size_t topic_ = 0;
    Party out_ = 0;
    Party other_ = 0;
    Party in_ = 0;
    Party second_ = 0;
};

} // namespace shmbus::tools::torture
