#include "fuzz/control/witness.hpp"

#include "base/clock.hpp"
#include "base/memfd.hpp"
#include "daemon/raw_client.hpp"
#include "support/descriptors.hpp"

namespace shmbus::test {

namespace {

constexpr const char* own_subscription = "mine";         // of two topics
constexpr const char* new_topic = "made-by-the-witness"; // longer than names that others make up
constexpr std::size_t most_topics = 100;                 // there are less
constexpr std::uint32_t most_subscriptions = 20;

} // namespace

Witness::Witness(Daemon& daemon) : daemon_(daemon), client_(daemon) {
    auto options = small_options();
    client_.create(private_topic, options);
    options.full = FullPolicy::drop_oldest;
    client_.create(shared_topic, options);
    options = small_options();
    options.retention = Retention::disk;
    client_.create(disk_topic, options);
    publisher_ = client_.publish_to(private_topic);
    subscriber_ = client_.subscribe_to(private_topic, own_subscription);
    reader_.emplace(subscriber_->view, subscriber_->entry, subscriber_->mark, false,
                    ring::Filter{});
    reader_->join(Start::all());
    shared_publisher_ = client_.publish_to(shared_topic);
    shared_subscriber_ = client_.subscribe_to(shared_topic, own_subscription);
    disk_subscriber_ = client_.subscribe_to(disk_topic);
    group_ = client_.join(shared_topic, own_group);
    const auto memory = group_->page_memory.bytes();
    member_ =
        std::make_unique<group::Member>(group::Table(memory), group_->entry,
                                        group::check(memory, group_->view.ring.header().topic), 1);
    publish_on_disk();
    check();
    check_new_topic();
    daemon_.turn(); // for what it released
    files_ = daemon_.context.files;
}

void Witness::publish_on_disk() {
    const auto publisher = client_.publish_to(disk_topic);
    const auto last = publisher.publish();
    expect(publisher.writer().wait_durable(last, std::chrono::seconds(60)) == Durability::durable);
    client_.release(publisher);
}

std::vector<std::uint64_t> Witness::secrets() const {
    std::vector<std::uint64_t> secrets{client_.ticket()};
    for (const auto& lease : {&publisher_, &subscriber_, &shared_publisher_, &shared_subscriber_,
                              &disk_subscriber_, &group_})
        secrets.push_back((*lease)->number);
    return secrets;
}

bool Witness::is_shared_ring(const base::Fd& memory) const {
    for (const char* topic : {shared_topic, disk_topic})
        if (base::is_same_memory(daemon_.topics.awake(topic)->shared().ring().writable, memory))
            return true;
    return false;
}

void Witness::check() {
    const auto last = exchange(*publisher_, *reader_);
    check_private(last);
    check_subscription(private_topic, *subscriber_, last);
    check_subscription(shared_topic, *shared_subscriber_, shared_publisher_->publish());
    check_group();
}

/// One event, from its publisher to its subscriber.
Sequence Witness::exchange(const Lease& publisher, ring::Reader& reader) {
    const auto last = publisher.publish();
    std::vector<std::byte> buffer(reader.ring().inline_capacity());
    ring::Place place;
    place.buffer = buffer.data();
    expect(reader.look(place) == ring::Reader::Look::event);
    expect(place.sequence == last && place.header.publisher == publisher.mark);
    (void)reader.release(place);
    reader.acknowledge(last);
    return last;
}

void Witness::check_private(Sequence head) {
    auto describe = client_.calls().describeTopicRequest();
    describe.setName(private_topic);
    const auto described = client_.ask(describe.send());
    const auto topic = described.getTopic();
    const auto pid = static_cast<std::uint32_t>(client_.pid());
    expect(topic.getPublisherCount() == 1 && topic.getPublishers()[0].getPid() == pid);
    expect(topic.getSubscriberCount() == 1 && topic.getSubscribers()[0].getPid() == pid);
    expect(topic.getHead() == head && !topic.getDraining());
}

/// Its own durable one comes to where it says.
void Witness::check_subscription(const char* topic, const Lease& holder, Sequence acknowledged) {
    holder.page().cursor.store_release(acknowledged);
    auto list = client_.calls().listSubscriptionsRequest();
    list.setTopic(topic);
    list.setLimit(most_subscriptions);
    const auto listed = client_.ask(list.send());
    bool found = false;
    for (const auto one : listed.getSubscriptions()) {
        if (one.getName() != own_subscription) continue;
        found = true;
        expect(one.getHolder().getPid() == static_cast<std::uint32_t>(client_.pid()));
        expect(one.getCursor() == acknowledged && !one.getPaused());
    }
    expect(found);
    expect(holder.page().state.load_acquire() ==
           static_cast<std::uint32_t>(layout::HoldState::live));
}

/// The only member of its group has all slots, takes all that there is, and the group comes to where it says.
void Witness::check_group() {
    auto& member = *member_;
    (void)member.look_around();
    member.beat();
    const Sequence head = group_->view.ring.header().tail.load_acquire() - 1;
    while (member.front() <= head) {
        const Sequence s = member.front();
        const auto slot = layout::key_slot_of(Order::per_key, false, 0, s);
        expect(member.front_wants(slot, s));
        const auto taken = member.take(slot, s, base::monotonic_ns(), false);
        expect(taken && taken->attempt == 1 && member.acknowledge(slot));
        member.pass(s + 1);
    }
    member.settle();
    expect(!member.is_over() && member.state() == layout::HoldState::live);
    expect(member.table().done_up_to(head) == head);
    auto list = client_.calls().listSubscriptionsRequest();
    list.setTopic(shared_topic);
    list.setLimit(most_subscriptions);
    const auto listed = client_.ask(list.send());
    bool found = false;
    for (const auto one : listed.getSubscriptions()) {
        if (one.getName() != own_group) continue;
        found = true;
        expect(one.getCursor() == head && !one.getPaused());
        const auto members = one.getGroup().getMembers();
        expect(members.size() == 1 && members[0].getSlots() == key_slots);
        expect(members[0].getPeer().getPid() == static_cast<std::uint32_t>(client_.pid()));
    }
    expect(found);
}

void Witness::check_new_topic() {
    client_.create(new_topic, small_options());
    {
        const auto publisher = client_.publish_to(new_topic);
        const auto subscriber = client_.subscribe_to(new_topic);
        auto reader = subscriber.reader();
        reader.join(Start::all());
        expect(exchange(publisher, reader) == 1);
        client_.release(subscriber);
        client_.release(publisher);
    }
    client_.remove(new_topic);
}

void Witness::check_new_connection() {
    RawClient client(daemon_.socket());
    client.bootstrap();
    client.hello();
    client.send(RawClient::call_of(2, 1));
    daemon_.turn();
    for (int answers = 0; answers < 3; ++answers) expect(client.receive().has_value());
}

void Witness::check_alone(std::size_t descriptors) {
    expect(daemon_.sessions.count() == 1);
    expect(daemon_.context.files == files_ && daemon_.context.files_of_user.size() == 1);
    for (const auto& entry : daemon_.topics.list("", most_topics).topics)
        if (entry.awake) check_topic(entry.name, *entry.awake);
    remove_what_others_made();
    auto& real = daemon_.io.provider->getTimer();
    const Deadline late = std::chrono::seconds(8); // a fuzzer has no more for an input
    while (test::descriptors() != descriptors) {
        expect(!late.passed());
        real.afterDelay(1 * kj::MILLISECONDS).wait(daemon_.io.waitScope);
    }
}

/// Held by the witness alone, or by nobody.
void Witness::check_topic(const std::string& name, const registry::Topic& topic) {
    const bool has_publisher = name == private_topic || name == shared_topic;
    const bool is_own = has_publisher || name == disk_topic;
    expect(topic.publisher_count() == (has_publisher ? 1 : 0));
    expect(topic.subscriber_count() == (name == shared_topic ? 2 : is_own ? 1 : 0));
    if (is_own) expect(topic.state() == layout::RingState::open);
    if (name == disk_topic) expect(topic.disk()->kept().trouble.empty());
}

void Witness::remove_what_others_made() {
    for (const auto& entry : daemon_.topics.list("", most_topics).topics) {
        const auto& name = entry.name;
        if (name == private_topic) continue;
        const auto topic = daemon_.topics.find(name);
        if (name != shared_topic && name != disk_topic) {
            daemon_.topics.remove(topic, true);
            continue;
        }
        for (const auto& subscription : topic->subscriptions().list())
            if (name != shared_topic ||
                (subscription.name != own_subscription && subscription.name != own_group))
                topic->subscriptions().remove(subscription.name, false, {});
    }
}

} // namespace shmbus::test
