// A spiller around a ring in plain memory and a simulated disk, for as long as a daemon would live.
#pragma once

#include "daemon/spiller/spiller.hpp"

#include "store/simulated_files.hpp"
#include "support/subscriber.hpp"

namespace shmbus::test {

using namespace std::chrono_literals;
using spiller::DiskPolicy;
using spiller::DiskTopic;
using spiller::Spiller;

constexpr auto patience = 30s;
constexpr std::uint32_t spillers_entry = 63;

inline layout::RingParameters on_disk(Sequence first, Sync sync = Sync::group) {
    auto p = parameters();
    p.capacity = 64;
    p.first_sequence = first;
    p.gate = static_cast<std::uint8_t>(sync == Sync::none ? layout::GateKind::written
                                                          : layout::GateKind::durable);
    return p;
}

/// A daemon, as far as one topic is concerned; killed when it is destroyed.
struct Running {
    explicit Running(SimulatedDisk& disk, const DiskPolicy& policy = {},
                     const store::LogOptions& options = {})
        : log(open_anew(disk, options)), ring(on_disk(log.log->next(), policy.sync)),
          topic(std::make_shared<DiskTopic>("t", ring.topic, spillers_entry, std::move(log),
                                            a_topic, policy)),
          pub(ring, 0) {
        spiller.add(topic);
    }
    /// Of a topic whose ring is gone.
    static spiller::OpenLog open_anew(SimulatedDisk& disk, const store::LogOptions& options) {
        auto open = spiller::open_log(disk.open(), a_topic, options);
        spiller::give_up_promises(open);
        return open;
    }
    /// In order, as a daemon does it.
    bool stop() {
        ring::set_state(ring.topic, layout::RingState::closed);
        return spiller.finish(topic, patience);
    }
    spiller::OpenLog log;
    TestRing ring;
    std::shared_ptr<DiskTopic> topic;
    Spiller spiller;
    Pub pub;
};

/// Everything on a disk, as "1 text" or "2-5 reason".
inline Strings contents_of(SimulatedDisk& disk) {
    Strings all;
    const auto directory = disk.open();
    const store::Log log(*directory, a_topic, {});
    const auto& segments = log.segments();
    for (std::size_t i = 0; i < segments.size(); ++i) {
        const Sequence end = i + 1 < segments.size() ? segments[i + 1] : log.next();
        const auto file =
            directory->open(layout::segment_name(segments[i]), store::Directory::Access::read);
        const auto bytes = store::read_all(*file);
        const spill::SegmentView view(bytes, a_topic, segments[i], {.end = end});
        auto cursor = view.begin();
        const auto gap = [&](const Gap& lost) {
            all.push_back(std::to_string(lost.first) + '-' + std::to_string(lost.last) + ' ' +
                          Sub::name(lost.reason));
        };
        for (auto found = cursor.next(); found != spill::Found::end; found = cursor.next()) {
            const Sequence s = cursor.sequence();
            if (found == spill::Found::event && cursor.verify())
                all.push_back(std::to_string(s) + ' ' + std::string(as_text(cursor.payload())));
            else if (found == spill::Found::event)
                gap({s, s, cursor.reason_for(s)});
            else if (found == spill::Found::tombstone || found == spill::Found::damaged)
                gap(cursor.gap());
        }
    }
    return all;
}

} // namespace shmbus::test
