// Daemons that are killed with nobody there who keeps anything, and what clients hand back to the next one.
#pragma once

#include "daemon/daemon_life.hpp"
#include "daemon/registry/hand_back.hpp"

namespace shmbus::registry {

class HandBackFixture : public StorageFixture {
  protected:
    HandBackFixture() { begin(); }
    /// The next one, after the one before was killed. This process is there with a session.
    void begin() {
        hand_back.reset();
        life.reset();
        life = std::make_unique<Life>(path());
        life->begin();
        hand_back.emplace(life->topics(), life->sessions, life->watching());
        session = life->open_session();
    }
    [[nodiscard]] Registry& topics() const { return life->topics(); }
    [[nodiscard]] Sessions& sessions() const { return life->sessions; }
    std::shared_ptr<Topic> make(const std::string& name, const TopicOptions& options) const {
        topics().create(name, options, false, user);
        return topics().find(name);
    }

    static HandedBack publisher_of(const Client& client, const Topic::PublisherEntry& entry,
                                   const std::string& topic = "a") {
        return {.topic = topic,
                .uuid = client.uuid,
                .publishes = true,
                .entry = entry.entry,
                .mark = entry.id,
                .name = {},
                .ring = Client::copy_of(client.ring),
                .readers = Client::copy_of(client.readers),
                .cursor = {}};
    }
    static HandedBack subscriber_of(const Client& client, const Topic::SubscriberEntry& entry) {
        return {.topic = "a",
                .uuid = client.uuid,
                .entry = entry.entry,
                .mark = entry.token,
                .name = {},
                .ring = Client::copy_of(client.ring),
                .readers = Client::copy_of(client.readers),
                .cursor = {}};
    }
    Sessions::LeaseId take(const HandedBack& what) {
        return hand_back->take(session, what, {user, true}); // whenever it is
    }
    Errc refused(const HandedBack& what) {
        return refusal([&] { (void)take(what); }).code();
    }
    /// As Reader::join() does.
    static void attach(const Client& client, const Topic::SubscriberEntry& entry) {
        client.view.readers.entry(entry.entry)
            .attach.store_release(layout::attach_word(entry.token, layout::ReaderMode::gate));
    }
    static bool is_same(const base::Fd& one, const base::Fd& other) {
        struct stat a {};
        struct stat b {};
        return ::fstat(one.get(), &a) == 0 && ::fstat(other.get(), &b) == 0 && a.st_ino == b.st_ino;
    }

    std::unique_ptr<Life> life;
    std::optional<HandBack> hand_back;
    SessionId session = 0;
};

/// For both kinds of topics.
class TopicHandBackFixture : public HandBackFixture, public testing::WithParamInterface<Retention> {
  protected:
    TopicHandBackFixture() : topic(make("a", options())), client(*topic) {
        publisher = sessions().lease_publisher(session, topic).entry;
        for (Sequence s = 1; s <= 10; ++s) EXPECT_EQ(client.publish(publisher), s);
    }
    /// What is published now is in the ring alone.
    void kill_daemon() {
        topic.reset();
        begin();
        for (Sequence s = 11; s <= 20; ++s) EXPECT_EQ(client.publish(publisher), s);
    }
    [[nodiscard]] static TopicOptions options() {
        return GetParam() == Retention::disk ? on_disk() : in_memory();
    }
    std::shared_ptr<Topic> topic;
    Client client;
    Topic::PublisherEntry publisher{};
};

} // namespace shmbus::registry
