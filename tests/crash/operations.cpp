#include "crash/operations.hpp"

#include <cstring>

namespace shmbus::test {

namespace {

using client::Role;
using Payloads = std::span<const std::vector<std::byte>>;

/// Long enough to fall asleep under a stepper, too.
constexpr auto in_vain = std::chrono::milliseconds(20);

// ---- publishers --------------------------------------------------------------------------------

void publish_one(client::Sender& sender, Payloads payloads, Told& told) {
    told.result = sender.publish(payloads[0], {}, Deadline::never());
}

void publish_attributes(client::Sender& sender, Payloads payloads, Told& told) {
    const Attributes attributes{.key = "table 7", .type = 3, .cause = Cause{"orders", 1}};
    told.result = sender.publish(payloads[0], attributes, Deadline::never());
}

void publish_in_vain(client::Sender& sender, Payloads payloads, Told& told) {
    told.result = sender.publish(payloads[0], {}, in_vain);
}

void publish_loan(client::Sender& sender, Payloads payloads, Told& told) {
    auto loan = sender.loan(payloads[0].size(), {}, Deadline::never());
    std::memcpy(loan.payload().data(), payloads[0].data(), payloads[0].size());
    told.result = sender.publish(loan, payloads[0].size(), Deadline::never());
}

void give_back(client::Sender& sender, Payloads payloads, Told& told) {
    const auto loan = sender.loan(payloads[0].size(), {}, Deadline::never());
    const auto another = sender.loan(payloads[0].size(), {}, Deadline::never());
    told.result.outcome = loan && another ? PublishOutcome::published : PublishOutcome::pool_full;
}

void publish_batch(client::Sender& sender, Payloads payloads, Told& told) {
    const std::array<Outgoing, 3> events{{{payloads[0]}, {payloads[1]}, {payloads[2]}}};
    const auto result = sender.publish(events, Deadline::never());
    told.result = {result.outcome, result.last};
}

// ---- subscribers -------------------------------------------------------------------------------

void receive_one(client::Receiver& receiver, Told& told) {
    auto received = receiver.receive(Deadline::now());
    if (const auto* gap = std::get_if<Gap>(&received)) {
        told.first = gap->first;
        receiver.acknowledge(gap->last);
    }
    auto* event = std::get_if<Event>(&received);
    if (event == nullptr) return;
    told.first = event->sequence();
    ++told.received;
    event->release();
    receiver.acknowledge(told.first);
}

void receive_batch(client::Receiver& receiver, Told& told) {
    std::array<Event, 3> events;
    const auto received = receiver.receive(events, Deadline::now());
    const auto* count = std::get_if<std::size_t>(&received);
    if (count == nullptr) return;
    told.first = events[0].sequence();
    told.received = static_cast<std::uint32_t>(*count);
    receiver.acknowledge(events[*count - 1].sequence());
}

void receive_in_vain(client::Receiver& receiver, Told& told) {
    told.received = std::holds_alternative<Nothing>(receiver.receive(in_vain)) ? 0 : 1;
}

// ---- situations --------------------------------------------------------------------------------

void fill_up(Scene& scene) { scene.fill_up(); }

/// The whole pool is in events that were acknowledged: who needs a chunk has to evict one.
void use_pool(Scene& scene) {
    for (unsigned i = 0; i < scene.view().ring.chunk_count(); ++i) scene.publish(chunk_size);
}

/// A tombstone comes first.
void leave_tombstone(Scene& scene) {
    const Sequence s = scene.head() + 1;
    const Seat dead = scene.take_seat(client::Role::publisher);
    auto& header = scene.view().ring.header();
    scene.view().ring.slot(s).stamp.store_release(
        layout::Stamp::slot(s, layout::SlotState::claimed, dead.entry).word());
    header.tail.store_release(s + 1);
    scene.bury(dead);
}

/// The next slot is one that its owner may still write.
void leave_quarantined(Scene& scene) {
    const Sequence s = scene.head() + 1;
    const Seat stopped = scene.take_seat(client::Role::publisher);
    auto& ring = scene.view().ring;
    ring.slot(s).stamp.store_release(
        layout::Stamp::slot(s, layout::SlotState::quarantined, stopped.entry).word());
    ring.header().tail.store_release(s + 1);
    for (unsigned i = 1; i < ring.capacity(); ++i) scene.publish();
    scene.bury_at_the_end(stopped);
}

/// Both kinds of publishers, in each situation that they can meet.
const Operation of_publishers[] = {
    {"publish", publish_one},
    {.name = "publish_first", .publish = publish_one, .fresh = true},
    {.name = "publish_attributes", .publish = publish_attributes, .size = Payload::min_bytes},
    {.name = "publish_chunk", .publish = publish_one, .size = chunk_size},
    {.name = "publish_chunk_first", .publish = publish_one, .size = chunk_size, .fresh = true},
    {.name = "publish_loan", .publish = publish_loan, .is_loan = true, .size = chunk_size},
    {.name = "publish_loan_evicting",
     .publish = publish_loan,
     .is_loan = true,
     .size = chunk_size,
     .arrange = use_pool},
    {.name = "publish_batch", .publish = publish_batch, .events = 3},
    {.name = "publish_wakes", .publish = publish_one, .sleeper = Role::subscriber},
    {.name = "publish_chunk_wakes",
     .publish = publish_one,
     .size = chunk_size,
     .sleeper = Role::subscriber},
    {.name = "publish_dropping", .publish = publish_one, .full = FullPolicy::drop_oldest},
    {.name = "publish_rejected",
     .publish = publish_one,
     .outcome = PublishOutcome::full,
     .full = FullPolicy::reject,
     .arrange = fill_up},
    {.name = "publish_in_vain",
     .publish = publish_in_vain,
     .outcome = PublishOutcome::timed_out,
     .arrange = fill_up},
    {.name = "give_back", .publish = give_back, .size = chunk_size, .events = 0},
};

const Operation of_shared_publishers[] = {
    {.name = "publish_quarantined",
     .publish = publish_one,
     .steps_over = 1,
     .arrange = leave_quarantined},
};

const Operation of_subscribers[] = {
    {.name = "receive", .receive = receive_one},
    {.name = "receive_chunk", .receive = receive_one, .size = chunk_size},
    {.name = "receive_batch", .receive = receive_batch, .events = 3, .batch = true},
    {.name = "receive_gap", .receive = receive_one, .events = 0, .arrange = leave_tombstone},
    {.name = "receive_in_vain", .receive = receive_in_vain, .events = 0},
    {.name = "receive_dropping",
     .receive = receive_one,
     .size = chunk_size,
     .full = FullPolicy::drop_oldest},
    {.name = "receive_makes_room", .receive = receive_one, .events = 8, .sleeper = Role::publisher},
};

std::vector<Operation> make_operations() {
    std::vector<Operation> all(std::begin(of_publishers), std::end(of_publishers));
    for (Operation what : of_publishers) {
        what.name = "exclusive_" + what.name;
        what.exclusive = true;
        all.push_back(what);
    }
    all.insert(all.end(), std::begin(of_shared_publishers), std::end(of_shared_publishers));
    all.insert(all.end(), std::begin(of_subscribers), std::end(of_subscribers));
    return all;
}

} // namespace

std::vector<std::vector<std::byte>> Operation::payloads(std::uint64_t number) const {
    std::vector<std::vector<std::byte>> all;
    for (std::size_t i = 0; i < std::max<std::size_t>(events, 1); ++i)
        all.push_back(Payload{victim_id, number + i}.bytes(size));
    return all;
}

void Operation::live(control::Lease lease, std::uint64_t number, Told& told) const {
    if (publish != nullptr) {
        const auto to_send = payloads(number);
        client::Sender sender(nullptr, std::move(lease), {.exclusive = exclusive});
        told.enter();
        publish(sender, to_send, told);
        told.leave();
    } else {
        const ReceiverPtr receiver(new client::Receiver(
            nullptr, std::move(lease),
            {.auto_acknowledge = false, .spin = std::chrono::nanoseconds::zero()}));
        told.enter();
        receive(*receiver, told);
        told.leave();
    }
}

std::ostream& operator<<(std::ostream& out, const Operation& operation) {
    return out << operation.name;
}

const std::vector<Operation>& operations() {
    static const auto all = make_operations();
    return all;
}

} // namespace shmbus::test
