#include "client/letters.hpp"

#include "base/log.hpp"
#include "layout/extension.hpp"
#include "layout/segment.hpp"
#include "shmbus/dead_letter.hpp"
#include "shmbus/error.hpp"

#include <algorithm>
#include <utility>

namespace shmbus::client {

namespace {

/// As much of the reason as fits, without a part of a UTF-8 character at its end.
std::string_view cut(std::string_view reason) noexcept {
    if (reason.size() <= max_reason_bytes) return reason;
    std::size_t end = max_reason_bytes;
    const auto goes_on = [&] { return (static_cast<unsigned char>(reason[end]) & 0xc0U) == 0x80U; };
    for (int i = 0; i < 3 && goes_on(); ++i) --end;
    return reason.substr(0, goes_on() ? max_reason_bytes : end);
}

std::string text_of(std::string_view topic, Sequence s) {
    return std::string(topic) + ':' + std::to_string(s);
}

std::size_t bytes_of(const Header& header) noexcept {
    return layout::header_field_bytes + header.name.size() + header.value.size();
}

std::size_t bytes_of(const std::vector<Header>& headers) noexcept {
    std::size_t sum = 0;
    for (const auto& header : headers) sum += bytes_of(header);
    return sum;
}

/// The attributes of a letter, and what their views show.
class Letter {
  public:
    Letter(const ring::Place& event, std::string_view topic, std::string_view group,
           std::string_view reason, std::uint32_t attempts)
        : event_(event), topic_(topic), group_(group), reason_(cut(reason)),
          attempts_(std::to_string(attempts)), time_(std::to_string(event.header.time_ns)),
          publisher_(std::to_string(event.header.publisher)) {
        // Publishers could change what is in a chunk between two looks: one is enough.
        const std::size_t size = std::min(event.extension.size(), block_.size());
        std::copy_n(event.extension.data(), size, block_.data());
        extension_ = layout::ExtensionReader({block_.data(), size});
        if (const auto cause = extension_.cause(); cause && is_valid_name(cause->topic))
            cause_ = text_of(cause->topic, cause->sequence);
        gather_headers();
    }
    Letter(const Letter&) = delete;
    Letter& operator=(const Letter&) = delete;

    [[nodiscard]] Attributes attributes() const noexcept {
        Attributes attributes;
        if ((event_.header.flags & layout::flag_key) != 0) attributes.key = extension_.key();
        attributes.type = event_.header.type;
        attributes.id = event_.header.event_id;
        attributes.correlation.bytes = event_.header.correlation;
        attributes.cause = Cause{topic_, event_.sequence};
        if (const auto parent = extension_.parent()) {
            attributes.parent_id = parent->id;
            attributes.trace_flags = parent->flags;
        }
        attributes.headers = headers_;
        return attributes;
    }

  private:
    [[nodiscard]] std::vector<Header> own() const {
        std::vector<Header> own{{header_reason, reason_}};
        if (!dropped_.empty()) own.push_back({header_headers_dropped, dropped_});
        if (!cause_.empty()) own.push_back({header_cause, cause_});
        own.insert(own.end(), {{header_attempts, attempts_},
                               {header_subscription, group_},
                               {header_time, time_},
                               {header_publisher, publisher_}});
        return own;
    }
    /// How much the original's may take: what there is once it is replayed, too.
    [[nodiscard]] std::size_t room() const {
        const std::string replay_of = text_of(topic_, layout::max_sequence);
        const std::size_t replayed = bytes_of(Header{header_replay_of, replay_of});
        return max_headers_bytes - std::max(bytes_of(own()), replayed);
    }
    void gather_headers();

    const ring::Place& event_;
    std::string_view topic_;
    std::string_view group_;
    std::string_view reason_;
    std::string attempts_;
    std::string time_;
    std::string publisher_;
    std::string cause_;   // empty: none
    std::string dropped_; // empty: none
    std::array<std::byte, layout::max_extension_bytes> block_;
    layout::ExtensionReader extension_;
    std::vector<Header> headers_;
};

void Letter::gather_headers() {
    std::vector<Header> all;
    for (std::size_t i = 0; const auto field = extension_.header(i); ++i)
        all.push_back({field->name, field->value});
    if (bytes_of(all) > room()) {
        dropped_ = std::to_string(all.size()); // as long as it will be, or longer
        std::size_t left = room();
        const auto does_not_fit = [&](const Header& header) {
            if (bytes_of(header) > left) return true;
            left -= bytes_of(header);
            return false;
        };
        dropped_ = std::to_string(std::erase_if(all, does_not_fit));
    }
    headers_ = own();
    headers_.insert(headers_.end(), all.begin(), all.end());
}

std::chrono::nanoseconds rest_of(Deadline deadline) noexcept {
    if (deadline.passed()) return std::chrono::nanoseconds::zero();
    return deadline.when() - Deadline::Clock::now();
}

// Which bit tells that a cause was complained of.
constexpr unsigned outcome_bit = 0; // and behind it
constexpr unsigned error_bit = 32;  // likewise
constexpr unsigned name_bit = 62;
constexpr unsigned unknown_bit = 63;

} // namespace

TopicOptions options_of_letters(const TopicOptions& topic) noexcept {
    constexpr std::uint64_t page = layout::page;
    const std::uint64_t largest =
        (topic.max_event + layout::max_extension_bytes + page - 1) / page * page;
    TopicOptions options = topic; // on disk: kept as long
    options.capacity = 1'024;
    options.slot_bytes = 1'024; // with attributes that each letter has, and some payload
    options.evict_after_ms = TopicOptions().evict_after_ms;
    options.hold_timeout_ms = TopicOptions().hold_timeout_ms;
    // Without subscribers, letters in memory stay until the pool needs their chunks.
    options.pool_bytes = std::max({4 * largest, std::uint64_t{1} << 20U,
                                   std::min(topic.pool_bytes, std::uint64_t{64} << 20U)});
    // A member does not wait for who reads letters, but may for the disk.
    options.full = topic.retention == Retention::disk ? FullPolicy::block : FullPolicy::reject;
    return options;
}

Letters::Letters(std::shared_ptr<control::Session> session, std::string topic, std::string group)
    : session_(std::move(session)), topic_(std::move(topic)), group_(std::move(group)),
      name_(topic_ + std::string(dead_letter_suffix)) {}

bool Letters::write(const ring::Place& event, std::string_view reason, std::uint32_t attempts,
                    Deadline deadline) noexcept {
    const Deadline until =
        std::clamp(deadline.when(), Deadline(at_least).when(), Deadline(longest).when());
    try {
        if (!is_valid_name(name_)) {
            complain(name_bit, event, "the topic's name is too long for it");
            return false;
        }
        const Letter letter(event, topic_, group_, reason, attempts);
        const auto outcome = publish(event.payload, letter.attributes(), until);
        if (outcome == PublishOutcome::published) {
            complained_ = 0;
            return true;
        }
        complain(outcome_bit + static_cast<unsigned>(outcome), event, name_of(outcome));
    } catch (const Error& e) {
        complain(error_bit + static_cast<unsigned>(e.code()), event, e.what());
    } catch (const std::exception& e) {
        complain(unknown_bit, event, e.what());
    }
    return false;
}

PublishOutcome Letters::publish(Bytes payload, const Attributes& attributes, Deadline deadline) {
    for (bool again = false;; again = true) {
        if (sender_ == nullptr) sender_ = open(deadline);
        const auto outcome = sender_->publish(payload, attributes, deadline).outcome;
        if (outcome != PublishOutcome::closed && outcome != PublishOutcome::damaged) return outcome;
        sender_.reset(); // it was removed: there may be another one, or may be made
        if (again || deadline.passed()) return outcome;
    }
}

std::unique_ptr<Sender> Letters::open(Deadline deadline) {
    try {
        return open_existing(deadline);
    } catch (const Error& e) {
        if (e.code() != Errc::no_such_topic) throw;
    }
    make_topic(deadline);
    return open_existing(deadline);
}

std::unique_ptr<Sender> Letters::open_existing(Deadline deadline) {
    auto lease = session_->open_publisher(name_, false, {}, rest_of(deadline));
    return std::make_unique<Sender>(session_, std::move(lease), PublisherOptions());
}

void Letters::make_topic(Deadline deadline) {
    const auto topic = session_->describe_topic(topic_, rest_of(deadline));
    try {
        session_->create_topic(name_, options_of_letters(topic.options), true, rest_of(deadline));
    } catch (const Error& e) {
        if (e.code() != Errc::different_options) throw; // somebody made it meanwhile
    }
}

void Letters::complain(unsigned cause, const ring::Place& event, std::string_view why) noexcept {
    const auto bit = std::uint64_t{1} << cause;
    if ((std::exchange(complained_, complained_ | bit) & bit) != 0) return;
    try {
        base::log(LogLevel::warning, "topic " + topic_ + ": group " + group_ +
                                         " cannot set event " + std::to_string(event.sequence) +
                                         " aside in topic " + name_ +
                                         ", so it comes again: " + std::string(why));
    } catch (const std::exception&) { // NOLINT(bugprone-empty-catch): no memory for the line
    }
}

} // namespace shmbus::client
