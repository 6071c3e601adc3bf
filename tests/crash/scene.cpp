#include "crash/scene.hpp"

#include "process/worker.hpp"
#include "support/leaks.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace shmbus::test {

namespace {

using client::Role;

base::Fd copy_of(const base::Fd& fd) {
    base::Fd copy(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
    if (!copy) throw std::system_error(errno, std::generic_category(), "F_DUPFD_CLOEXEC");
    return copy;
}

SubscribeOptions by_hand() {
    return {.auto_acknowledge = false, .spin = std::chrono::nanoseconds::zero()};
}

} // namespace

TopicOptions small_topic(FullPolicy full) {
    return {.full = full,
            .capacity = 8,
            .slot_bytes = 128,
            .max_event = 4096,
            .pool_bytes = 4 * 12'288,
            .evict_after_ms = 60'000,
            .hold_timeout_ms = 60'000,
            .retention = Retention::memory};
}

// ---- a witness ---------------------------------------------------------------------------------

Witness::Witness(const char* name, control::Lease lease)
    : receiver_(new client::Receiver(nullptr, std::move(lease), by_hand())), stream_(name) {
    stream_.starts_at(receiver_->position());
}

void Witness::drain() {
    for (;;) {
        auto received = receiver_->receive(Deadline::now());
        if (auto* event = std::get_if<Event>(&received)) {
            stream_.event(event->sequence(), event->payload());
            if (const auto payload = Payload::of(event->payload()))
                events_.emplace(event->sequence(), *payload);
            EXPECT_EQ(event->release(), Released::intact);
        } else if (const auto* gap = std::get_if<Gap>(&received)) {
            stream_.gap(*gap);
        } else {
            return;
        }
        receiver_->acknowledge(receiver_->position() - 1);
    }
}

std::map<Sequence, std::uint64_t> Witness::events_of(std::uint32_t publisher) const {
    std::map<Sequence, std::uint64_t> events;
    for (const auto& [s, payload] : events_)
        if (payload.publisher == publisher) events.emplace(s, payload.number);
    return events;
}

// ---- seats -------------------------------------------------------------------------------------

Scene::Scene(registry::Topic& topic, bool exclusive)
    : topic_(topic),
      exclusive_(exclusive), seats_{take_seat(Role::subscriber), take_seat(Role::subscriber)},
      early_("early", lease_of(seats_[0])), late_("late", lease_of(seats_[1])) {}

Scene::~Scene() {
    if (!seats_.empty()) (void)end();
}

Seat Scene::take_seat(Role role) {
    const registry::Holder holder{.session = 1,
                                  .pid = static_cast<std::uint32_t>(::getpid()),
                                  .uid = ::getuid(),
                                  .command = "crash"};
    if (role == Role::publisher) {
        const auto leased = topic_.lease_publisher(holder, 0, exclusive_);
        return {role, leased.value().entry, leased->id};
    }
    const auto leased = topic_.lease_subscriber(holder);
    return {role, leased.value().entry, 0, leased->token};
}

control::Lease Scene::lease_of(const Seat& seat) const {
    const bool publishes = seat.role == Role::publisher;
    const auto& ring = topic_.shared().ring();
    const auto& readers = topic_.shared().readers();
    control::Lease lease{};
    lease.topic = topic_.name();
    lease.uuid = topic_.uuid();
    lease.parameters = topic_.parameters();
    lease.ring = copy_of(publishes ? ring.writable : ring.read_only);
    lease.readers = copy_of(publishes ? readers.read_only : readers.writable);
    lease.entry = seat.entry;
    lease.publisher = seat.id;
    lease.token = seat.token;
    lease.trusted = true;
    lease.release = [] {}; // bury() does it
    return lease;
}

void Scene::bury(const Seat& seat) {
    if (seat.role == Role::publisher)
        topic_.abandon_publisher(seat.entry);
    else
        topic_.abandon_subscriber(seat.entry);
    (void)topic_.reap();
}

void Scene::give_up(const Seat& seat) { (void)topic_.quarantine(ring::Entries().set(seat.entry)); }

void Scene::sweep() {
    (void)topic_.quarantine_stalled();
    (void)topic_.quarantine_stalled();
}

// ---- the living --------------------------------------------------------------------------------

client::Sender& Scene::publisher() {
    if (!publisher_) {
        publisher_seat_ = take_seat(Role::publisher);
        publisher_ = std::make_unique<client::Sender>(nullptr, lease_of(*publisher_seat_),
                                                      PublisherOptions{.exclusive = exclusive_});
    }
    return *publisher_;
}

void Scene::dismiss_publisher() {
    publisher_.reset();
    if (publisher_seat_) bury(*publisher_seat_);
    publisher_seat_.reset();
}

void Scene::publish(std::size_t size) {
    const Payload payload{survivor_id, ++published_};
    const auto result = publisher().publish(payload.bytes(size), {}, Deadline::now());
    EXPECT_EQ(result.outcome, PublishOutcome::published);
    EXPECT_EQ(result.sequence, head());
    if (result) checker_.published(result.sequence, payload);
    drain();
}

void Scene::publish_patiently(std::size_t size) {
    const Payload payload{survivor_id, ++published_};
    const auto bytes = payload.bytes(size);
    for (const Deadline deadline = patience;;) {
        const auto result = publisher().publish(bytes, {}, std::chrono::milliseconds(2));
        if (result) {
            checker_.published(result.sequence, payload);
            return drain();
        }
        drain();
        if (deadline.passed()) throw std::runtime_error("there is no room, for ever");
    }
}

void Scene::fill_up() {
    idler_seat_ = take_seat(Role::subscriber);
    idler_.reset(new client::Receiver(nullptr, lease_of(*idler_seat_), by_hand()));
    for (unsigned i = 0; i < topic_.parameters().capacity; ++i) publish();
}

void Scene::make_room() {
    idler_.reset();
    if (idler_seat_) bury(*idler_seat_);
    idler_seat_.reset();
}

void Scene::drain() {
    early_.drain();
    late_.drain();
}

// ---- what must hold ----------------------------------------------------------------------------

void Scene::expect_to_go_on() {
    const auto capacity = topic_.parameters().capacity;
    for (unsigned i = 0; i < 2 * capacity; ++i) publish(i % 3 == 0 ? chunk_size : inline_size);
    std::vector<Loan> pool;
    while (auto loan = publisher().loan(chunk_size, {}, Deadline::now()))
        pool.push_back(std::move(loan));
    EXPECT_EQ(pool.size(), view().ring.chunk_count()) << "not all of the pool can be had";
}

std::vector<std::string> Scene::end(bool all) {
    checker_.add(early_.stream(), all);
    checker_.add(late_.stream(), all);
    auto wrong = checker_.problems();
    make_room();
    dismiss_publisher();
    early_.leave();
    late_.leave();
    for (const auto& seat : seats_) bury(seat);
    seats_.clear();
    if (early_.stream().next() != late_.stream().next())
        wrong.emplace_back("the subscribers have not come equally far");
    if (topic_.publisher_count() != 0) wrong.emplace_back("there is a publisher in the books");
    if (topic_.subscriber_count() != 0) wrong.emplace_back("there is a subscriber in the books");
    for (const auto& leak : leaks(view())) wrong.push_back("left over: " + leak);
    return wrong;
}

} // namespace shmbus::test
