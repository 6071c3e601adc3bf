// A bus with one topic.
#pragma once

#include "support/daemon_process.hpp"

#include <gmock/gmock.h>

#include <shmbus/shmbus.hpp>

namespace shmbus::test {

class ClientTest : public testing::Test {
  protected:
    explicit ClientTest(const TopicOptions& options = {
                            .capacity = 64, .max_event = 65'536, .retention = Retention::memory}) {
        bus.create_topic("orders", options);
    }
    Subscription subscribe() { return bus.subscribe("orders", {.start = Start::all()}); }
    /// "3 text", "4-6 aborted", or what else there was.
    static std::string text_of(const Received& received) {
        if (const auto* event = std::get_if<Event>(&received)) return text_of(*event);
        if (const auto* gap = std::get_if<Gap>(&received))
            return std::to_string(gap->first) + '-' + std::to_string(gap->last) + ' ' +
                   name_of(gap->reason);
        return name_of(std::get<Nothing>(received));
    }
    static std::string text_of(const Event& event) {
        return std::to_string(event.sequence()) + ' ' + std::string(event.text());
    }
    DaemonProcess daemon;
    Bus bus{BusOptions{.socket = daemon.socket()}};
};

} // namespace shmbus::test
