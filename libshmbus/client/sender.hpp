// The body of Publisher: attributes in, drafts out.
#pragma once

#include "base/wall_clock.hpp"
#include "client/attachment.hpp"
#include "layout/extension.hpp"
#include "ring/writer.hpp"
#include "shmbus/publisher.hpp"

namespace shmbus::client {

class Sender {
  public:
    Sender(std::shared_ptr<control::Session> session, control::Lease lease,
           const PublisherOptions& options);

    PublishResult publish(Bytes payload, const Attributes& attributes, Deadline deadline) noexcept;
    BatchResult publish(std::span<const Outgoing> events, Deadline deadline) noexcept;
    Loan loan(std::size_t size, const Attributes& attributes, Deadline deadline) noexcept;
    PublishResult publish(Loan& loan, std::size_t size, Deadline deadline) noexcept;
    void give_back(Loan& loan) noexcept;
    Durability wait_durable(Sequence s, Deadline deadline) noexcept {
        return writer_->wait_durable(s, deadline);
    }
    void interrupt() noexcept { writer_->interrupt(); }

    [[nodiscard]] const std::string& topic() const noexcept { return attachment_.lease().topic; }
    [[nodiscard]] std::uint32_t id() const noexcept { return attachment_.lease().publisher; }
    [[nodiscard]] std::uint64_t last_event_id() const noexcept { return last_event_id_; }
    [[nodiscard]] std::uint64_t max_event() const noexcept;
    [[nodiscard]] Deadline default_deadline() const noexcept;

  private:
    /// Header and extension block of an event with these attributes; false: they break a limit.
    [[nodiscard]] bool encode(const Attributes& attributes, layout::EventHeader& header) noexcept;
    /// Takes a chunk for header.extension and `size` bytes of payload, and writes the former.
    PublishOutcome take_chunk(layout::EventHeader& header, std::size_t size,
                              Deadline deadline) noexcept;
    [[nodiscard]] std::span<std::byte> payload_of(const layout::EventHeader& header) const noexcept;
    PublishResult publish_copied(layout::EventHeader header, Bytes payload,
                                 Deadline deadline) noexcept;

    [[nodiscard]] bool fits_slot(const layout::EventHeader& header) const noexcept;
    /// Does `work`, again if the daemon went away in order and another one came in time.
    template <class Work> PublishOutcome insist(Deadline deadline, Work work) noexcept;
    PublishResult send(const ring::Draft& draft, Deadline deadline) noexcept;
    /// A named publisher gives each event an id; false: it has published that, or a later one, before.
    [[nodiscard]] bool number(layout::EventHeader& header, std::uint64_t behind) const noexcept;
    /// Publishes the drafts gathered; false: not all of them.
    bool flush(std::span<const ring::Draft> drafts, Deadline deadline,
               BatchResult& result) noexcept;

    Attachment attachment_;
    std::unique_ptr<ring::Writer> writer_;
    std::chrono::nanoseconds timeout_;
    bool is_named_;
    std::uint64_t last_event_id_; // of a named one
    base::WallClock clock_;
    alignas(8) std::array<std::byte, layout::max_extension_bytes> extension_{};
};

} // namespace shmbus::client
