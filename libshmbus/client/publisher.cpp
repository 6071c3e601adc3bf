#include "shmbus/publisher.hpp"

#include "client/sender.hpp"

#include <utility>

namespace shmbus {

Loan::Loan(Loan&& other) noexcept { *this = std::move(other); }

Loan& Loan::operator=(Loan&& other) noexcept {
    if (this == &other) return *this;
    if (sender_ != nullptr) sender_->give_back(*this);
    sender_ = std::exchange(other.sender_, nullptr);
    payload_ = std::exchange(other.payload_, {});
    chunk_ = other.chunk_;
    outcome_ = other.outcome_;
    type_ = other.type_;
    key_hash_ = other.key_hash_;
    flags_ = other.flags_;
    extension_ = other.extension_;
    id_ = other.id_;
    correlation_ = other.correlation_;
    return *this;
}

Loan::~Loan() {
    if (sender_ != nullptr) sender_->give_back(*this);
}

Publisher::Publisher(std::unique_ptr<client::Sender> sender) noexcept
    : sender_(std::move(sender)) {}
Publisher::Publisher(Publisher&&) noexcept = default;
Publisher& Publisher::operator=(Publisher&&) noexcept = default;
Publisher::~Publisher() = default;

PublishResult Publisher::publish(Bytes payload, const Attributes& attributes) noexcept {
    return sender_->publish(payload, attributes, sender_->default_deadline());
}

PublishResult Publisher::publish(Bytes payload, const Attributes& attributes,
                                 Deadline deadline) noexcept {
    return sender_->publish(payload, attributes, deadline);
}

BatchResult Publisher::publish(std::span<const Outgoing> events) noexcept {
    return sender_->publish(events, sender_->default_deadline());
}

BatchResult Publisher::publish(std::span<const Outgoing> events, Deadline deadline) noexcept {
    return sender_->publish(events, deadline);
}

Durability Publisher::wait_durable(Sequence sequence, Deadline deadline) noexcept {
    return sender_->wait_durable(sequence, deadline);
}

Deadline Publisher::default_deadline() const noexcept { return sender_->default_deadline(); }

Loan Publisher::loan(std::size_t size, const Attributes& attributes) noexcept {
    return sender_->loan(size, attributes, sender_->default_deadline());
}

Loan Publisher::loan(std::size_t size, const Attributes& attributes, Deadline deadline) noexcept {
    return sender_->loan(size, attributes, deadline);
}

PublishResult Publisher::publish(Loan& loan) noexcept {
    return sender_->publish(loan, loan.payload().size(), sender_->default_deadline());
}

PublishResult Publisher::publish(Loan& loan, std::size_t size, Deadline deadline) noexcept {
    return sender_->publish(loan, size, deadline);
}

void Publisher::interrupt() noexcept { sender_->interrupt(); }
const std::string& Publisher::topic() const noexcept { return sender_->topic(); }
std::uint32_t Publisher::id() const noexcept { return sender_->id(); }
std::uint64_t Publisher::last_event_id() const noexcept { return sender_->last_event_id(); }
std::uint64_t Publisher::max_event() const noexcept { return sender_->max_event(); }

} // namespace shmbus
