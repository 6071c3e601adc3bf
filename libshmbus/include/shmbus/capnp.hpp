// Typed events: Cap'n Proto messages, built in the memory that subscribers read, and read there.
//
//     publisher.publish<Order>([](Order::Builder order) { order.setItem("espresso"); });
//
//     const auto order = event.as<Order>();
//     std::cout << order->getItem().cStr();
//
// Not part of shmbus.hpp, as it needs Cap'n Proto: pkg-config --cflags --libs shmbus capnp.
//
// The payload is the standard serialisation of one message, as `capnp decode` reads it from
// `shmbus sub --format raw`.
#pragma once

#include "shmbus/error.hpp"
#include "shmbus/event.hpp"
#include "shmbus/publisher.hpp"

#include <algorithm>
#include <capnp/message.h>
#include <capnp/serialize.h>
#include <cstring>
#include <optional>
#include <vector>

namespace shmbus {

namespace detail {

/// A message whose first segment lies in a loan, behind the word that will be its segment table. What
/// outgrows that lies on the heap.
class LoanMessage final : public capnp::MessageBuilder {
  public:
    explicit LoanMessage(std::span<std::byte> loan)
        : loan_(reinterpret_cast<capnp::word*>(loan.data()), loan.size() / sizeof(capnp::word)) {}

    kj::ArrayPtr<capnp::word> allocateSegment(unsigned minimum) override {
        const bool fits = !in_loan_ && heap_.empty() && loan_.size() > minimum;
        auto segment = fits ? loan_.slice(1, loan_.size()) : on_heap(minimum);
        in_loan_ |= fits;
        std::memset(segment.begin(), 0, segment.size() * sizeof(capnp::word));
        return segment;
    }

    /// The size of the whole message in bytes, if all of it is in the loan; its table is then filled
    /// in.
    [[nodiscard]] std::optional<std::size_t> finish_in_loan() {
        const auto segments = getSegmentsForOutput();
        if (!in_loan_ || segments.size() != 1) return std::nullopt;
        const std::uint32_t table[2] = {0, static_cast<std::uint32_t>(segments[0].size())};
        std::memcpy(loan_.begin(), table, sizeof table);
        return (1 + segments[0].size()) * sizeof(capnp::word);
    }

  private:
    /// Each segment as large as all before it, so that there are few.
    kj::ArrayPtr<capnp::word> on_heap(std::size_t minimum) {
        const std::size_t words = std::max({minimum, loan_.size(), on_heap_, std::size_t{128}});
        on_heap_ += words;
        heap_.push_back(kj::heapArray<capnp::word>(words));
        return heap_.back();
    }

    kj::ArrayPtr<capnp::word> loan_;
    bool in_loan_ = false;
    std::vector<kj::Array<capnp::word>> heap_;
    std::size_t on_heap_ = 0; // words
};

} // namespace detail

template <class T, class Fill>
PublishResult Publisher::publish(Fill&& fill, const Attributes& attributes, std::size_t room,
                                 Deadline deadline) {
    auto place = loan(std::min<std::size_t>(room, max_event()), attributes, deadline);
    // A topic without a pool has no loans; the message may fit a slot all the same.
    if (!place && place.outcome() != PublishOutcome::too_large) return {place.outcome()};
    detail::LoanMessage message(place.payload());
    std::forward<Fill>(fill)(message.template initRoot<T>());
    if (const auto bytes = message.finish_in_loan()) return publish(place, *bytes, deadline);
    const auto whole = capnp::messageToFlatArray(message);
    place = {}; // not before: what is in it has just been copied
    return publish(std::as_bytes(std::span(whole.begin(), whole.size())), attributes, deadline);
}

template <class T, class Fill>
PublishResult Publisher::publish(Fill&& fill, const Attributes& attributes, std::size_t room) {
    return publish<T>(std::forward<Fill>(fill), attributes, room, default_deadline());
}

/// An event's payload as a message of type T: use it like a pointer to T::Reader.
///
/// Read in place where that is safe (Event::trusted()), else from a copy. Bytes that are no message
/// of this type show late: a field that points nowhere throws kj::Exception when it is read.
/// Lifetime: not longer than the Event stays unreleased. Thread safety: as its Event's.
template <class T> class Typed {
  public:
    /// @throws Error(damaged) when the payload is not even the frame of a message
    explicit Typed(const Event& event) try
        : copy_(copy_if_needed(event)),
          message_(copy_ == nullptr ? words_of(event.payload()) : copy_.asPtr(),
                   options_for(event)),
          root_(message_.template getRoot<T>()) {
    } catch (const kj::Exception& e) {
        throw Error(Errc::damaged, "event " + std::to_string(event.sequence()) +
                                       " is no Cap'n Proto message: " + e.getDescription().cStr());
    }
    Typed(const Typed&) = delete;
    Typed& operator=(const Typed&) = delete;

    [[nodiscard]] const typename T::Reader& operator*() const noexcept { return root_; }
    [[nodiscard]] const typename T::Reader* operator->() const noexcept { return &root_; }
    /// Whether it is read where the publisher wrote it, without a copy.
    [[nodiscard]] bool in_place() const noexcept { return copy_ == nullptr; }

  private:
    static kj::ArrayPtr<const capnp::word> words_of(Bytes payload) noexcept {
        // Payloads begin at a multiple of 8; a rest that is no word cannot belong to a message.
        return {reinterpret_cast<const capnp::word*>(payload.data()),
                payload.size() / sizeof(capnp::word)};
    }
    static kj::Array<capnp::word> copy_if_needed(const Event& event) {
        if (event.trusted()) return nullptr;
        const auto words = words_of(event.payload());
        auto copy = kj::heapArray<capnp::word>(words.size());
        std::memcpy(copy.begin(), words.begin(), words.size() * sizeof(capnp::word));
        return copy;
    }
    static capnp::ReaderOptions options_for(const Event& event) {
        capnp::ReaderOptions options; // whatever is large enough to be published may be read
        options.traversalLimitInWords =
            std::max<std::uint64_t>(options.traversalLimitInWords, event.payload().size());
        return options;
    }

    kj::Array<capnp::word> copy_;
    capnp::FlatArrayMessageReader message_;
    typename T::Reader root_;
};

template <class T> Typed<T> Event::as() const { return Typed<T>(*this); }

} // namespace shmbus
