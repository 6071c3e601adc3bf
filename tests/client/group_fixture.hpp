// Members of a group, as a program has them, with a real daemon.
#pragma once

#include "support/daemon_process.hpp"

#include <gmock/gmock.h>

#include <shmbus/shmbus.hpp>

namespace shmbus::test {

using namespace std::chrono_literals;

template <class Work> Errc refusal(Work work) {
    try {
        work();
    } catch (const Error& e) {
        return e.code();
    }
    return {};
}

class GroupTest : public testing::TestWithParam<Retention> {
  protected:
    static constexpr auto patience = 30s;

    GroupTest() {
        TopicOptions options{.capacity = 64, .slot_bytes = 128, .max_event = 64, .pool_bytes = 0};
        options.retention = GetParam();
        bus.create_topic("orders", options);
    }
    /// Events with their own numbers for text, from where the last call ended; `key` of all.
    void publish(Sequence count, std::string_view key = {}) {
        auto publisher = bus.publisher("orders");
        for (Sequence i = 0; i < count; ++i)
            ASSERT_TRUE(publisher.publish(std::to_string(++published), {.key = key}, patience));
    }
    Subscription join(const GroupOptions& options = {}) {
        return bus.subscribe("orders", {.start = Start::all(),
                                        .name = "workers",
                                        .group = options,
                                        .auto_acknowledge = false});
    }
    /// Nothing when nothing comes in time.
    static std::optional<Event> next(Subscription& member, Deadline deadline = patience) {
        auto received = member.receive(deadline);
        if (auto* event = std::get_if<Event>(&received)) return std::move(*event);
        return std::nullopt;
    }
    static std::string text(Subscription& member, Deadline deadline = patience) {
        auto received = member.receive(deadline);
        if (const auto* event = std::get_if<Event>(&received)) return std::string(event->text());
        if (const auto* nothing = std::get_if<Nothing>(&received)) return name_of(*nothing);
        return "gap";
    }
    /// Everything there is just now, acknowledged.
    static std::vector<Sequence> drain(Subscription& member) {
        std::vector<Sequence> all;
        while (const auto event = next(member, Deadline::now())) {
            all.push_back(event->sequence());
            EXPECT_EQ(member.acknowledge(*event), Acknowledged::done);
        }
        return all;
    }
    SubscriptionInfo info() { return bus.subscriptions("orders").at(0); }
    GroupInfo group() { return info().group.value(); }

    TemporaryDirectory state;
    DaemonProcess daemon{{"--state-dir", state.path().string()}};
    Bus bus{BusOptions{.socket = daemon.socket()}};
    Sequence published = 0;
};

} // namespace shmbus::test
