// What `pub` does, once it knows what it was asked for.
#pragma once

#include "tools/command.hpp"
#include "tools/input.hpp"
#include "tools/units.hpp"

#include <optional>
#include <string>
#include <vector>

#include <shmbus/shmbus.hpp>

namespace shmbus::tools {

struct PubArguments {
    std::string topic;
    std::optional<std::string> data;
    Input::Split split = Input::Split::whole;
    std::string key;
    std::uint32_t type = 0;
    CorrelationId correlation;
    std::optional<std::pair<std::string, Sequence>> cause;
    std::vector<std::pair<std::string, std::string>> headers;
    std::optional<Nanoseconds> timeout;
    std::optional<double> rate;
    bool wait_durable = false;
    std::string as;                  // the publisher's name
    std::optional<std::uint64_t> id; // the first event's, of that publisher
};

/// What has been published.
struct Tally {
    Sequence first = 0;
    Sequence last = 0;
    std::uint64_t count = 0;
    std::uint64_t duplicates = 0; // of a named publisher, which had published them before
};

/// One run of pub: a connection, a publisher, and the attributes that all its events share.
class Publishing {
  public:
    Publishing(const Context& context, const PubArguments& arguments);
    /// @throws Failure, Error, Interrupted; the tally is right in any case
    void run(Tally& tally);

  private:
    [[nodiscard]] Attributes attributes() const;
    /// @throws Failure when there is none left for the next event
    void require_id() const;
    void publish(std::string_view payload);
    PublishResult wait_for_room(std::string_view payload);
    [[nodiscard]] bool topic_blocks();
    [[nodiscard]] bool daemon_is_away();
    PublishResult publish_until(std::string_view payload, Deadline deadline);
    [[nodiscard]] std::string who_holds_it_up();
    void wait_until_durable(Sequence last);
    [[noreturn]] void explain(PublishOutcome outcome, std::string_view payload);
    [[noreturn]] void explain_closed();
    [[noreturn]] void explain_too_large(const TooLarge& event) const;

    const Context& context_;
    const PubArguments& arguments_;
    std::vector<Header> headers_;
    std::optional<FullPolicy> policy_;
    Bus bus_;
    Publisher publisher_;
    std::uint64_t next_id_; // a named publisher's; 0: the one behind its last
};

} // namespace shmbus::tools
