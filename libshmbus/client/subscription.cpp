#include "shmbus/subscription.hpp"

#include "client/receiver.hpp"

#include <utility>

namespace shmbus {

// ---- Event -------------------------------------------------------------------------------------

Event::Event(Event&& other) noexcept : held_(std::exchange(other.held_, nullptr)) {}

Event& Event::operator=(Event&& other) noexcept {
    if (this != &other) {
        release();
        held_ = std::exchange(other.held_, nullptr);
    }
    return *this;
}

Event::~Event() { release(); }

Released Event::release() noexcept {
    if (held_ == nullptr) return Released::intact;
    auto* held = std::exchange(held_, nullptr);
    return held->receiver->release(held);
}

Sequence Event::sequence() const noexcept { return held_->place.sequence; }

std::chrono::sys_time<std::chrono::nanoseconds> Event::time() const noexcept {
    return std::chrono::sys_time<std::chrono::nanoseconds>(
        std::chrono::nanoseconds(held_->place.header.time_ns));
}

Bytes Event::payload() const noexcept { return held_->place.payload; }
std::uint32_t Event::type() const noexcept { return held_->place.header.type; }
std::uint64_t Event::id() const noexcept { return held_->place.header.event_id; }
std::uint32_t Event::publisher() const noexcept { return held_->place.header.publisher; }

std::string_view Event::key() const noexcept {
    if ((held_->place.header.flags & layout::flag_key) == 0) return {};
    return layout::ExtensionReader(held_->place.extension).key();
}

CorrelationId Event::correlation() const noexcept {
    return CorrelationId{held_->place.header.correlation};
}

std::optional<Cause> Event::cause() const noexcept {
    const auto cause = layout::ExtensionReader(held_->place.extension).cause();
    if (!cause) return {};
    return Cause{cause->topic, cause->sequence};
}

std::array<std::uint8_t, 8> Event::parent_id() const noexcept {
    const auto parent = layout::ExtensionReader(held_->place.extension).parent();
    return parent ? parent->id : std::array<std::uint8_t, 8>{};
}

std::uint8_t Event::trace_flags() const noexcept {
    const auto parent = layout::ExtensionReader(held_->place.extension).parent();
    return parent ? parent->flags : std::uint8_t{0};
}

std::optional<Header> Event::header(std::size_t i) const noexcept {
    const auto field = layout::ExtensionReader(held_->place.extension).header(i);
    if (!field) return {};
    return Header{field->name, field->value};
}

bool Event::in_place() const noexcept { return held_->place.header.chunk != layout::no_chunk; }

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
void Subscription::acknowledge(Sequence sequence) noexcept { receiver_->acknowledge(sequence); }
void Subscription::interrupt() noexcept { receiver_->interrupt(); }
const std::string& Subscription::topic() const noexcept { return receiver_->topic(); }
Sequence Subscription::position() const noexcept { return receiver_->position(); }
Sequence Subscription::head() const noexcept { return receiver_->reader().head(); }
Sequence Subscription::cursor() const noexcept { return receiver_->reader().cursor(); }

const char* name_of(Nothing nothing) noexcept {
    switch (nothing) {
    case Nothing::timed_out: return "timed_out";
    case Nothing::closed: return "closed";
    case Nothing::interrupted: return "interrupted";
    case Nothing::too_many_held: return "too_many_held";
    }
    return "unknown";
}

} // namespace shmbus
