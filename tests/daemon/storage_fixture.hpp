// Topics on disk in a registry, and daemons that come and go.
#pragma once

#include "daemon/registry/registry.hpp"
#include "shmbus/error.hpp"
#include "support/ring_fixture.hpp"
#include "support/temporary_directory.hpp"

#include <gmock/gmock.h>

namespace shmbus::registry {

inline constexpr uid_t user = 1000;
inline constexpr std::chrono::seconds patience{30};
inline const Holder holder{.session = 1, .pid = 4321, .uid = user, .command = "worker"};

inline TopicOptions on_disk() {
    return {.capacity = 64,
            .slot_bytes = 128,
            .max_event = 64,
            .pool_bytes = 0,
            .retention = Retention::disk,
            .keep_bytes = 16U << 20U,
            .keep_events = 12'345};
}

class StorageFixture : public testing::Test {
  protected:
    /// A daemon's life.
    struct Run {
        explicit Run(const std::filesystem::path& path) : storage(path), registry(1, &storage) {
            registry.bring_back();
        }
        spiller::Storage storage;
        Registry registry;
    };
    [[nodiscard]] std::filesystem::path path() const { return temporary.path() / "state"; }
    template <class Work> Error refusal(Work work) {
        try {
            work();
        } catch (const Error& e) {
            return e;
        }
        ADD_FAILURE() << "not refused";
        return {Errc::system, ""};
    }
    /// Publishes `count` events, and waits until they survive a power loss; the last one's sequence.
    static Sequence publish(Topic& topic, int count) {
        const auto entry = topic.lease_publisher(holder)->entry;
        test::Pub pub(topic.view(), entry);
        Sequence last = 0;
        for (int i = 0; i < count; ++i) {
            const auto result = pub.publish("x", patience);
            EXPECT_EQ(result.outcome, PublishOutcome::published);
            last = result.sequence;
        }
        EXPECT_EQ(pub.writer.wait_durable(last, patience), Durability::durable);
        topic.abandon_publisher(entry);
        (void)topic.reap();
        return last;
    }
    test::TemporaryDirectory temporary;
};

} // namespace shmbus::registry
