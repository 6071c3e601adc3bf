#include "shmbus/dead_letter.hpp"

#include "client/receiver.hpp"
#include "layout/segment.hpp"

#include <charconv>

namespace shmbus {

namespace {

/// All of a text as a number that fits; nothing if it is anything else.
template <class Number> std::optional<Number> number_in(std::string_view text) noexcept {
    Number number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) return {};
    return number;
}

bool is_sequence(Sequence s) noexcept { return s >= 1 && s <= layout::max_sequence; }

/// "orders:17". Publishers could change it in a chunk meanwhile, so it is copied before it is looked at.
std::optional<Identity> identity_in(std::string_view text) {
    std::string copy(text);
    const auto colon = copy.rfind(':');
    if (colon == std::string::npos) return {};
    const auto sequence = number_in<Sequence>(std::string_view(copy).substr(colon + 1));
    copy.resize(colon);
    if (!sequence || !is_sequence(*sequence) || !is_valid_name(copy)) return {};
    return Identity{std::move(copy), *sequence};
}

/// What an event says made it happen.
std::optional<Identity> cause_of(const Event& event) {
    const auto cause = event.cause();
    if (!cause || !is_sequence(cause->sequence)) return {};
    std::string topic(cause->topic);
    if (!is_valid_name(topic)) return {};
    return Identity{std::move(topic), cause->sequence};
}

/// The bus's own headers of a letter, one after the other.
class OwnHeaders {
  public:
    explicit OwnHeaders(const Event& event) noexcept : event_(event) {}
    /// The value of the next one, if that is its name.
    [[nodiscard]] std::optional<std::string> next(std::string_view name) {
        const auto header = event_.header(next_);
        if (!header || header->name != name) return {};
        ++next_;
        return std::string(header->value);
    }
    /// Its value as a number; nothing if it is another header, or no such number.
    template <class Number> std::optional<Number> next_number(std::string_view name) {
        const auto value = next(name);
        return value ? number_in<Number>(*value) : std::nullopt;
    }
    [[nodiscard]] std::size_t passed() const noexcept { return next_; }

  private:
    const Event& event_;
    std::size_t next_ = 0;
};

} // namespace

std::optional<DeadLetter> read_dead_letter(const Event& event) {
    DeadLetter letter;
    auto original = cause_of(event);
    if (!original) return {};
    letter.original = std::move(*original);
    OwnHeaders own(event);
    auto reason = own.next(header_reason);
    if (!reason || reason->size() > max_reason_bytes) return {};
    letter.reason = std::move(*reason);
    if (const auto dropped = own.next(header_headers_dropped))
        letter.headers_dropped = number_in<std::size_t>(*dropped).value_or(0);
    if (const auto cause = own.next(header_cause)) letter.cause = identity_in(*cause);
    const auto attempts = own.next_number<std::uint32_t>(header_attempts);
    auto subscription = own.next(header_subscription);
    const auto time = own.next_number<std::uint64_t>(header_time);
    const auto publisher = own.next_number<std::uint32_t>(header_publisher);
    if (!attempts || !subscription || !is_valid_name(*subscription) || !time || !publisher)
        return {};
    letter.attempts = *attempts;
    letter.subscription = std::move(*subscription);
    letter.time = DeadLetter::Time(std::chrono::nanoseconds(*time));
    letter.publisher = *publisher;
    letter.first_header = own.passed();
    return letter;
}

std::optional<SettledLetter> read_settled_letter(const Event& event) {
    constexpr std::string_view replayed = "replayed:";
    auto letter = cause_of(event);
    const auto what = OwnHeaders(event).next(header_settled);
    if (!letter || !what) return {};
    if (*what == "discarded") return SettledLetter{std::move(*letter), {}};
    if (!what->starts_with(replayed)) return {};
    const auto as = number_in<Sequence>(std::string_view(*what).substr(replayed.size()));
    if (!as || !is_sequence(*as)) return {};
    return SettledLetter{std::move(*letter), as};
}

Identity identity_of(const Event& event) {
    const auto* receiver = event.held_ == nullptr ? nullptr : event.held_->receiver;
    Identity own{receiver == nullptr ? std::string() : receiver->topic(), event.sequence()};
    for (std::size_t i = 0; const auto header = event.header(i); ++i) {
        if (header->name != header_replay_of) continue;
        auto original = identity_in(header->value);
        // Who hands headers on from one topic to another hands on this one, too.
        if (original && (own.topic.empty() || original->topic == own.topic)) return *original;
    }
    return own;
}

} // namespace shmbus
