#include "tools/doctor_topics_fixture.hpp"

namespace shmbus::tools::doctor {
namespace {

Findings findings_after(std::vector<Incident> incidents) {
    return findings_of({.now = memory_topic(), .incidents = std::move(incidents)}, self);
}

TEST(DoctorIncidents, WhoComesAndGoesIsNothingToTell) {
    using enum IncidentKind;
    std::vector<Incident> incidents;
    for (const auto kind : {publisher_opened, publisher_closed, subscriber_opened,
                            subscriber_closed, publisher_died, subscriber_died, stolen, sought,
                            paused, resumed, removed, recovered, adopted, handed_back})
        incidents.push_back({.kind = kind});
    expect_none(findings_after(incidents));
}

TEST(DoctorIncidents, WhatEventsMayBeMissedForIs) {
    const std::string remedy = "shmbus --socket s topic incidents t";
    const auto expect = [&](const std::vector<Incident>& incidents, const std::string& what) {
        expect_one(findings_after(incidents), Severity::note, "topic 't' in the last hour: " + what,
                   remedy);
    };
    expect({{.kind = IncidentKind::lost, .first = 5, .last = 9}}, "5 events went with the memory");
    expect({{.kind = IncidentKind::stalled, .first = 3, .last = 3}},
           "1 sequence in vain, as publishers were stopped in the middle");
    expect({{.kind = IncidentKind::aborted, .first = 3, .last = 4}},
           "2 sequences in vain, as publishers died in the middle");
    expect({{.kind = IncidentKind::evicted, .last = 4}, {.kind = IncidentKind::evicted}},
           "2 subscribers too far behind to be waited for");
    expect({{.kind = IncidentKind::degraded}, {.kind = IncidentKind::lost, .first = 1, .last = 1}},
           "1 event went with the memory; the disk took no events, 1 time");
}

} // namespace
} // namespace shmbus::tools::doctor
