#include "shmbus/subscription.hpp"

#include "client/receiver.hpp"

#include <utility>

namespace shmbus {

// ---- Event -------------------------------------------------------------------------------------

Event::Event(client::HeldEvent* held) noexcept : held_(held), sequence_(held->place.sequence) {}

Released Event::release() noexcept {
    if (held_ == nullptr) return Released::intact;
    auto* held = std::exchange(held_, nullptr);
    return held->receiver->release(held);
}

const layout::EventHeader& Event::head() const noexcept {
    static constexpr layout::EventHeader none{.time_ns = 0,
                                              .length = 0,
                                              .chunk = layout::no_chunk,
                                              .type = 0,
                                              .publisher = 0,
                                              .key_hash = 0,
                                              .flags = 0,
                                              .extension = 0,
                                              .correlation = {},
                                              .event_id = 0};
    return held_ == nullptr ? none : held_->place.header;
}

Bytes Event::extension() const noexcept {
    return held_ == nullptr ? Bytes() : held_->place.extension;
}

std::chrono::sys_time<std::chrono::nanoseconds> Event::time() const noexcept {
    return std::chrono::sys_time<std::chrono::nanoseconds>(
        std::chrono::nanoseconds(head().time_ns));
}

Bytes Event::payload() const noexcept { return held_ == nullptr ? Bytes() : held_->place.payload; }
std::uint32_t Event::type() const noexcept { return head().type; }
std::uint64_t Event::id() const noexcept { return head().event_id; }
std::uint32_t Event::publisher() const noexcept { return head().publisher; }

std::string_view Event::key() const noexcept {
    if ((head().flags & layout::flag_key) == 0) return {};
    return layout::ExtensionReader(extension()).key();
}

CorrelationId Event::correlation() const noexcept { return CorrelationId{head().correlation}; }

std::optional<Cause> Event::cause() const noexcept {
    const auto cause = layout::ExtensionReader(extension()).cause();
    if (!cause) return {};
    return Cause{cause->topic, cause->sequence};
}

std::array<std::uint8_t, 8> Event::parent_id() const noexcept {
    const auto parent = layout::ExtensionReader(extension()).parent();
    return parent ? parent->id : std::array<std::uint8_t, 8>{};
}

std::uint8_t Event::trace_flags() const noexcept {
    const auto parent = layout::ExtensionReader(extension()).parent();
    return parent ? parent->flags : std::uint8_t{0};
}

std::optional<Header> Event::header(std::size_t i) const noexcept {
    const auto field = layout::ExtensionReader(extension()).header(i);
    if (!field) return {};
    return Header{field->name, field->value};
}

bool Event::stale() const noexcept {
    const auto max_age = held_ == nullptr ? std::nullopt : held_->receiver->max_age();
    return max_age && std::chrono::system_clock::now() - time() > *max_age;
}

std::uint32_t Event::slot() const noexcept { return held_ == nullptr ? 0 : held_->slot; }
std::uint32_t Event::attempt() const noexcept { return held_ == nullptr ? 1 : held_->attempt; }
bool Event::in_place() const noexcept { return head().chunk != layout::no_chunk; }
bool Event::trusted() const noexcept { return !in_place() || held_->receiver->trusts_publishers(); }

// ---- Subscription ------------------------------------------------------------------------------

Subscription::Subscription(Subscription&& other) noexcept
    : receiver_(std::exchange(other.receiver_, nullptr)) {}

Subscription& Subscription::operator=(Subscription&& other) noexcept {
    std::swap(receiver_, other.receiver_);
    return *this;
}

Subscription::~Subscription() {
    if (receiver_ != nullptr) receiver_->orphan();
}

Received Subscription::receive(Deadline deadline) noexcept { return receiver_->receive(deadline); }
ReceivedBatch Subscription::receive(std::span<Event> events, Deadline deadline) noexcept {
    return receiver_->receive(events, deadline);
}
Acknowledged Subscription::acknowledge(Sequence sequence) noexcept {
    return receiver_->acknowledge(sequence);
}
Acknowledged Subscription::acknowledge_through(Sequence sequence) noexcept {
    auto* member = receiver_->member();
    return member == nullptr ? receiver_->acknowledge(sequence)
                             : member->acknowledge_through(sequence);
}
Acknowledged Subscription::nack(Sequence sequence,
                                std::optional<std::chrono::nanoseconds> delay) noexcept {
    auto* member = receiver_->member();
    return member == nullptr ? Acknowledged::not_held : member->nack(sequence, delay);
}
Acknowledged Subscription::touch(Sequence sequence) noexcept {
    auto* member = receiver_->member();
    return member == nullptr ? Acknowledged::not_held : member->touch(sequence);
}
Acknowledged Subscription::reject(const Event& event, std::string_view reason) noexcept {
    return receiver_->reject(event, reason);
}
void Subscription::persist(Deadline deadline) { receiver_->persist(deadline); }
void Subscription::interrupt() noexcept { receiver_->interrupt(); }
const std::string& Subscription::topic() const noexcept { return receiver_->topic(); }
Sequence Subscription::position() const noexcept { return receiver_->position(); }
Sequence Subscription::head() const noexcept { return receiver_->reader().head(); }
std::optional<std::chrono::sys_time<std::chrono::nanoseconds>>
Subscription::as_of() const noexcept {
    const std::uint64_t ns = receiver_->as_of_ns();
    if (ns == 0) return {};
    return std::chrono::sys_time<std::chrono::nanoseconds>(std::chrono::nanoseconds(ns));
}
Sequence Subscription::cursor() const noexcept { return receiver_->reader().cursor(); }

const char* name_of(Nothing nothing) noexcept {
    switch (nothing) {
    case Nothing::timed_out: return "timed_out";
    case Nothing::closed: return "closed";
    case Nothing::interrupted: return "interrupted";
    case Nothing::too_many_held: return "too_many_held";
    case Nothing::stolen: return "stolen";
    }
    return "unknown";
}

} // namespace shmbus
