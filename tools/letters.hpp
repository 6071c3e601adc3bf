// The letters of a topic, as they lie in `<topic>.dlq`; see shmbus/dead_letter.hpp.
#pragma once

#include "tools/command.hpp"
#include "tools/record.hpp"

#include <shmbus/shmbus.hpp>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace shmbus::tools {

/// One letter, apart from the event it was read from.
struct Letter {
    Sequence number = 0; ///< its sequence in the topic of letters
    std::chrono::sys_time<std::chrono::nanoseconds> set_aside;
    DeadLetter about;
    std::string key;
    std::uint32_t type = 0;
    std::uint64_t id = 0;
    CorrelationId correlation;
    std::array<std::uint8_t, 8> parent_id{};
    std::uint8_t trace_flags = 0;
    std::size_t bytes = 0; ///< of payload
    // The original's, if they were asked for:
    std::vector<std::pair<std::string, std::string>> headers;
    std::string payload;
    std::optional<SettledLetter> settled;

    /// The original as it was; views of this letter.
    [[nodiscard]] Record original() const;
};

/// The letters of one topic.
class Letters {
  public:
    Letters(const Context& context, Bus& bus, const std::string& topic);

    [[nodiscard]] const std::string& topic() const noexcept { return topic_; }
    /// The topic that they are in.
    [[nodiscard]] const std::string& name() const noexcept { return name_; }

    /// Whether their topic is there. @throws Failure(not_found) if not even that of the originals is
    [[nodiscard]] bool exist() { return subscribe(Start::latest()).has_value(); }
    /// All that are there, without payloads and headers, and what became of them. What is there beside letters, and
    /// what is missing, is told on stderr.
    [[nodiscard]] std::map<Sequence, Letter> list();
    /// One of them, whole. @throws Failure(not_found)
    [[nodiscard]] Letter whole(Sequence number);
    /// All of these, whole, in their order; what is gone meanwhile is left out. What `take` throws ends it.
    void read(const std::vector<Sequence>& numbers, const std::function<void(const Letter&)>& take);
    [[nodiscard]] Failure no_letter(Sequence number) const;

  private:
    /// Everything from there to what is the newest event at the beginning; false: enough.
    void walk(const Start& start, const std::function<bool(Event&)>& on_event,
              const std::function<void(const Gap&)>& on_gap);
    /// Nothing if it is no letter of this topic, or its memory was reused meanwhile; the event is released then.
    [[nodiscard]] std::optional<Letter> take(Event& event, bool whole) const;
    [[nodiscard]] std::optional<Subscription> subscribe(const Start& start);

    const Context& context_;
    Bus& bus_;
    std::string topic_;
    std::string name_;
};

/// "orders:17".
[[nodiscard]] std::string text_of(const Identity& identity);

} // namespace shmbus::tools
