// A subscriber for tests: tells what it sees as text, such as "3 hello" or "4-6 aborted".
#pragma once

#include "support/ring_fixture.hpp"

#include <array>
#include <gtest/gtest.h>

namespace shmbus::test {

struct Wish {
    Start start = Start::all();
    bool lossy = false;
    std::vector<std::uint32_t> types = {};
    std::optional<std::string> key = {};
    std::uint64_t token = 1000;
    bool acknowledges = true; // each event once it is seen
};

class Sub {
  public:
    Sub(const TestRing& ring, std::uint32_t index, const Wish& wish = {})
        : Sub(ring.topic, index, wish) {}
    Sub(const ring::Topic& topic, std::uint32_t index, const Wish& wish = {})
        : reader((ring::lease_reader(topic, index, wish.token, 2000 + index), topic), index,
                 wish.token, wish.lossy, filter_of(wish)),
          acknowledges_(wish.acknowledges) {
        for (std::uint32_t i = 0; i < places_.size(); ++i) {
            buffers_[i].resize(reader.ring().inline_capacity());
            places_[i].cell = i;
            places_[i].buffer = buffers_[i].data();
        }
        reader.join(wish.start);
    }

    /// One look; an event is kept in place `i` until release(i).
    Look look(std::uint32_t i = 0) { return reader.look(places_[i]); }
    [[nodiscard]] const ring::Place& place(std::uint32_t i = 0) const { return places_[i]; }
    [[nodiscard]] std::string text(std::uint32_t i = 0) const {
        return std::string(as_text(places_[i].payload));
    }
    Released release(std::uint32_t i = 0) { return reader.release(places_[i]); }

    /// One look as text: empty when there is nothing.
    std::string next() {
        switch (look()) {
        case Look::event: {
            const auto& place = places_[0];
            auto seen = std::to_string(place.sequence) + ' ' + text();
            if (release() == Released::revoked) seen += " revoked";
            if (acknowledges_) reader.acknowledge(place.sequence);
            return seen;
        }
        case Look::gap: {
            const auto& gap = reader.gap();
            if (acknowledges_) reader.acknowledge(gap.last);
            return std::to_string(gap.first) + '-' + std::to_string(gap.last) + ' ' +
                   name(gap.reason);
        }
        case Look::closed: return "closed";
        case Look::skipped: return "skipped";
        case Look::nothing: break;
        }
        return {};
    }

    /// Everything there is.
    Strings drain() {
        Strings seen;
        for (int looks = 0; looks < 1'000'000; ++looks) {
            auto one = next();
            if (one.empty()) return seen;
            const bool closed = one == "closed";
            if (one != "skipped") seen.push_back(std::move(one));
            if (closed) return seen;
        }
        ADD_FAILURE() << "no end of what there is to see";
        return seen;
    }

    static const char* name(GapReason reason) {
        static constexpr std::array names{"none", "aborted", "overrun", "evicted",
                                          "lost", "expired", "corrupt"};
        return names.at(static_cast<std::size_t>(reason));
    }

    ring::Reader reader;

  private:
    static ring::Filter filter_of(const Wish& wish) {
        return {wish.types, wish.key, wish.key ? base::key_hash(*wish.key) : 0};
    }
    bool acknowledges_;
    std::array<ring::Place, layout::hold_cells> places_{};
    std::array<std::vector<std::byte>, layout::hold_cells> buffers_;
};

} // namespace shmbus::test
