// Sets events of a topic aside for a group: letters in `<topic>.dlq`, which shmbus/dead_letter.hpp tells of.
//
// The topic of letters is looked for, and made if there is none, with the first letter. What keeps a letter from
// being written is logged, once for each cause until one is written again; the event is then still its topic's, and
// comes again.
#pragma once

#include "client/sender.hpp"
#include "ring/reader.hpp"

#include <memory>
#include <string>

namespace shmbus::client {

/// One thread at a time.
class Letters {
  public:
    /// However long the deadline is, no call takes longer than this; and it may take so long as `at_least`, however
    /// near it is: who never waits would set nothing aside otherwise.
    static constexpr std::chrono::milliseconds longest = std::chrono::seconds(1);
    static constexpr auto at_least = std::chrono::milliseconds(100);

    Letters(std::shared_ptr<control::Session> session, std::string topic, std::string group);

    /// Writes a letter of `event`; true: it is in the ring of `<topic>.dlq`. Whoever holds a chunk for longer than
    /// hold_timeout has to see to it that it is still the event's.
    bool write(const ring::Place& event, std::string_view reason, std::uint32_t attempts,
               Deadline deadline) noexcept;

  private:
    PublishOutcome publish(Bytes payload, const Attributes& attributes, Deadline deadline);
    [[nodiscard]] std::unique_ptr<Sender> open(Deadline deadline);
    [[nodiscard]] std::unique_ptr<Sender> open_existing(Deadline deadline);
    void make_topic(Deadline deadline);
    /// Logs it, unless it did so before. @param cause a bit
    void complain(unsigned cause, const ring::Place& event, std::string_view why) noexcept;

    std::shared_ptr<control::Session> session_;
    std::string topic_;
    std::string group_;
    std::string name_; // of the topic of letters
    std::unique_ptr<Sender> sender_;
    std::uint64_t complained_ = 0; // a bit for each cause
};

/// What a topic of letters is made with, beside a topic of these options.
[[nodiscard]] TopicOptions options_of_letters(const TopicOptions& topic) noexcept;

} // namespace shmbus::client
