#include "client/sender.hpp"

#include "base/hash.hpp"
#include "client/open.hpp"
#include "ring/exclusive_writer.hpp"
#include "ring/shared_writer.hpp"

#include <bit>
#include <cstring>

namespace shmbus::client {

namespace {

constexpr std::size_t round_up(std::size_t bytes, std::size_t to) noexcept {
    return (bytes + to - 1) / to * to;
}

bool within_limits(const Attributes& attributes) noexcept {
    if (attributes.key.size() > max_key_bytes) return false;
    if (attributes.cause && !is_valid_name(attributes.cause->topic)) return false;
    std::size_t headers = 0;
    for (const auto& header : attributes.headers) {
        if (header.name.size() > max_headers_bytes || header.value.size() > max_headers_bytes)
            return false;
        headers += layout::header_field_bytes + header.name.size() + header.value.size();
        if (headers > max_headers_bytes) return false;
    }
    return true;
}

std::unique_ptr<ring::Writer> make_writer(const Attachment& attachment, bool exclusive) {
    const auto& topic = attachment.topic();
    const std::uint32_t entry = attachment.lease().entry;
    if (exclusive) return std::make_unique<ring::ExclusiveWriter>(topic, entry);
    return std::make_unique<ring::SharedWriter>(topic, entry);
}

} // namespace

Sender::Sender(std::shared_ptr<control::Session> session, control::Lease lease,
               const PublisherOptions& options)
    : attachment_(std::move(session), std::move(lease), Role::publisher),
      writer_(make_writer(attachment_, options.exclusive)), timeout_(options.timeout),
      is_named_(!options.name.empty()), last_event_id_(attachment_.lease().last_event_id) {}

bool Sender::number(layout::EventHeader& header, std::uint64_t behind) const noexcept {
    if (!is_named_) return true;
    if (header.event_id == 0) header.event_id = behind + 1;
    return header.event_id > behind;
}

template <class Work> PublishOutcome Sender::insist(Deadline deadline, Work work) noexcept {
    for (;;) {
        const PublishOutcome outcome = work();
        if (outcome != PublishOutcome::closed) return outcome;
        const PublishOutcome open = writer_->wait_until_open(deadline);
        if (open != PublishOutcome::published) return open;
    }
}

std::uint64_t Sender::max_event() const noexcept { return writer_->ring().parameters().max_event; }

Deadline Sender::default_deadline() const noexcept {
    return timeout_ == std::chrono::nanoseconds::max() ? Deadline::never() : Deadline(timeout_);
}

bool Sender::encode(const Attributes& attributes, layout::EventHeader& header) noexcept {
    header = {};
    header.chunk = layout::no_chunk;
    header.type = attributes.type;
    header.publisher = id();
    header.event_id = attributes.id;
    header.correlation = attributes.correlation.bytes;
    if (!attributes.correlation.empty()) header.flags |= layout::flag_correlation;
    const bool traced = std::bit_cast<std::uint64_t>(attributes.parent_id) != 0;
    if (attributes.key.empty() && !attributes.cause && !traced && attributes.headers.empty())
        return true;

    if (!within_limits(attributes)) return false;
    layout::ExtensionWriter extension(extension_.data());
    if (!attributes.key.empty()) {
        header.flags |= layout::flag_key;
        header.key_hash = base::key_hash(attributes.key);
        extension.key(attributes.key);
    }
    if (attributes.cause) extension.cause({attributes.cause->sequence, attributes.cause->topic});
    if (traced) extension.parent({attributes.parent_id, attributes.trace_flags});
    for (const auto& field : attributes.headers) extension.header({field.name, field.value});
    header.extension = extension.size();
    return true;
}

std::span<std::byte> Sender::payload_of(const layout::EventHeader& header) const noexcept {
    return writer_->ring()
        .chunk(header.chunk)
        .subspan(round_up(header.extension, base::cache_line));
}

PublishOutcome Sender::take_chunk(layout::EventHeader& header, std::size_t size,
                                  Deadline deadline) noexcept {
    const std::uint64_t needed = round_up(header.extension, base::cache_line) + size;
    const auto& geometry = writer_->ring().geometry();
    if (size > max_event() || geometry.class_count == 0 ||
        needed > geometry.classes[geometry.class_count - 1].bytes)
        return PublishOutcome::too_large;
    const auto outcome =
        insist(deadline, [&] { return writer_->take_chunk(needed, deadline, header.chunk); });
    if (outcome == PublishOutcome::published)
        std::memcpy(writer_->ring().chunk(header.chunk).data(), extension_.data(),
                    header.extension);
    return outcome;
}

PublishResult Sender::send(const ring::Draft& draft, Deadline deadline) noexcept {
    ring::Run run;
    const auto outcome = insist(deadline, [&] {
        return writer_->publish({&draft, 1}, deadline, run);
    });
    if (is_named_ && outcome == PublishOutcome::published) last_event_id_ = draft.header.event_id;
    return {outcome, run.last};
}

PublishResult Sender::publish(Bytes payload, const Attributes& attributes,
                              Deadline deadline) noexcept {
    writer_->prefetch();
    ring::Draft draft;
    if (!encode(attributes, draft.header)) return {PublishOutcome::bad_attributes};
    if (!number(draft.header, last_event_id_)) return {PublishOutcome::duplicate};
    if (payload.size() > max_event()) return {PublishOutcome::too_large};
    draft.header.length = static_cast<std::uint32_t>(payload.size());
    if (!fits_slot(draft.header)) return publish_copied(draft.header, payload, deadline);
    draft.header.time_ns = clock_.now_ns();
    draft.extension = extension_.data();
    draft.payload = payload.data();
    return send(draft, deadline);
}

bool Sender::fits_slot(const layout::EventHeader& header) const noexcept {
    return round_up(header.extension, 8) + header.length <= writer_->ring().inline_capacity();
}

/// What is nothing but a payload for a slot is gathered and goes together; the rest goes by itself.
BatchResult Sender::publish(std::span<const Outgoing> events, Deadline deadline) noexcept {
    writer_->prefetch();
    BatchResult result;
    std::array<ring::Draft, 32> drafts;
    std::size_t gathered = 0;
    const std::uint64_t now = clock_.now_ns();
    for (const Outgoing& event : events) {
        auto& draft = drafts[gathered];
        const bool valid =
            encode(event.attributes, draft.header) && event.payload.size() <= max_event();
        draft.header.length = static_cast<std::uint32_t>(event.payload.size());
        draft.header.time_ns = now;
        draft.payload = event.payload.data();
        // A named publisher's go one by one: each has to know what became of the one before.
        if (valid && !is_named_ && draft.header.extension == 0 && fits_slot(draft.header)) {
            if (++gathered < drafts.size()) continue;
            if (!flush({drafts.data(), gathered}, deadline, result)) return result;
            gathered = 0;
            continue;
        }
        if (!flush({drafts.data(), gathered}, deadline, result)) return result;
        gathered = 0;
        const auto one = publish(event.payload, event.attributes, deadline);
        result.outcome = one.outcome;
        if (one.outcome == PublishOutcome::duplicate) {
            ++result.published; // before now
            continue;
        }
        if (!one) return result;
        ++result.published;
        result.last = one.sequence;
    }
    (void)flush({drafts.data(), gathered}, deadline, result);
    return result;
}

bool Sender::flush(std::span<const ring::Draft> drafts, Deadline deadline,
                   BatchResult& result) noexcept {
    ring::Run run;
    result.outcome = insist(deadline, [&] { return writer_->publish(drafts, deadline, run); });
    result.published += run.published;
    if (run.published != 0) result.last = run.last;
    return result.outcome == PublishOutcome::published;
}

/// Through a chunk. A claim that was revoked may cost the chunk; the payload is still here.
PublishResult Sender::publish_copied(layout::EventHeader header, Bytes payload,
                                     Deadline deadline) noexcept {
    for (;;) {
        if (const auto outcome = take_chunk(header, payload.size(), deadline);
            outcome != PublishOutcome::published)
            return {outcome};
        if (!payload.empty())
            std::memcpy(payload_of(header).data(), payload.data(), payload.size());
        header.time_ns = clock_.now_ns();
        const auto result = send({header}, deadline);
        if (result) return result;
        if (result.outcome == PublishOutcome::revoked) continue;
        writer_->give_back(header.chunk);
        return {result.outcome};
    }
}

Loan Sender::loan(std::size_t size, const Attributes& attributes, Deadline deadline) noexcept {
    Loan loan;
    layout::EventHeader header;
    if (!encode(attributes, header)) {
        loan.outcome_ = PublishOutcome::bad_attributes;
        return loan;
    }
    if (!number(header, last_event_id_)) {
        loan.outcome_ = PublishOutcome::duplicate;
        return loan;
    }
    loan.outcome_ = take_chunk(header, size, deadline);
    if (loan.outcome_ != PublishOutcome::published) return loan;
    loan.sender_ = this;
    loan.payload_ = payload_of(header).first(size);
    loan.chunk_ = header.chunk;
    loan.type_ = header.type;
    loan.key_hash_ = header.key_hash;
    loan.flags_ = header.flags;
    loan.extension_ = header.extension;
    loan.id_ = header.event_id;
    loan.correlation_ = attributes.correlation;
    return loan;
}

PublishResult Sender::publish(Loan& loan, std::size_t size, Deadline deadline) noexcept {
    if (loan.sender_ != this) return {PublishOutcome::bad_attributes};
    if (size > loan.payload_.size()) return {PublishOutcome::too_large};
    layout::EventHeader header{};
    header.time_ns = clock_.now_ns();
    header.length = static_cast<std::uint32_t>(size);
    header.chunk = loan.chunk_;
    header.type = loan.type_;
    header.publisher = id();
    header.key_hash = loan.key_hash_;
    header.flags = loan.flags_;
    header.extension = loan.extension_;
    header.correlation = loan.correlation_.bytes;
    header.event_id = loan.id_;
    // Others may have been published since it was taken.
    if (!number(header, last_event_id_)) return {PublishOutcome::duplicate};
    const auto result = send({header}, deadline);
    if (result || result.outcome == PublishOutcome::revoked) {
        loan.sender_ = nullptr;
        loan.payload_ = {};
    }
    return result;
}

void Sender::give_back(Loan& loan) noexcept { writer_->give_back(loan.chunk_); }

std::unique_ptr<Sender> make_sender(std::shared_ptr<control::Session> session,
                                    std::string_view topic, const PublisherOptions& options) {
    auto lease = session->open_publisher(topic, options.exclusive, options.name);
    return std::make_unique<Sender>(std::move(session), std::move(lease), options);
}

} // namespace shmbus::client
