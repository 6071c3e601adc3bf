#include "tools/settling.hpp"

#include "tools/interrupt.hpp"
#include "tools/output.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace shmbus::tools {

using namespace std::chrono_literals;

namespace {

/// No bus has another use for it.
constexpr auto name_of_turn = "shmbus.dlq";

/// "orders:17" is one of topic orders.
bool is_event_of(std::string_view topic, std::string_view text) {
    if (!text.starts_with(topic)) return false;
    text.remove_prefix(topic.size());
    const auto digits = text.substr(std::min<std::size_t>(text.size(), 1));
    return text.starts_with(':') && !digits.empty() && digits.size() < 20 &&
           digits.front() != '0' &&
           digits.find_first_not_of("0123456789") == std::string_view::npos;
}

} // namespace

// ---- Turn --------------------------------------------------------------------------------------

Turn::Turn(const Context& context, Bus& bus, const Letters& letters)
    : bus_(bus), topic_(letters.name()) {
    try {
        hold_.emplace(bus.subscribe(
            topic_, {.name = name_of_turn, .lossy = true, .auto_acknowledge = false}));
    } catch (const Error& error) {
        if (error.code() == Errc::busy)
            throw Failure(
                ExitCode::refused,
                fmt::format("letters of topic '{}' are being settled by somebody else: {}",
                            letters.topic(), error.what()));
        if (error.code() == Errc::permission)
            throw Failure(
                ExitCode::refused,
                fmt::format("{}; if another user's dlq was killed: {} subscription rm {} {}",
                            error.what(), context.self(), topic_, name_of_turn));
        throw;
    }
}

Turn::~Turn() {
    hold_.reset();
    try {
        bus_.remove_subscription(topic_, name_of_turn);
    } catch (const Error&) { // NOLINT(bugprone-empty-catch): the next one has it, or will take it
    }
}

void Turn::check() {
    const auto received = hold_->receive(Deadline::now());
    const auto* const nothing = std::get_if<Nothing>(&received);
    if (nothing == nullptr || *nothing != Nothing::stolen) return;
    throw Failure(ExitCode::refused,
                  fmt::format("somebody took subscription '{}' of topic '{}' over, and with it the "
                              "turn to settle letters",
                              name_of_turn, topic_));
}

// ---- Outlet ------------------------------------------------------------------------------------

Outlet::Outlet(const Context& context, Bus& bus, const std::string& topic,
               const std::optional<Nanoseconds>& timeout)
    : topic_(topic), timeout_(timeout),
      publisher_(on_topic_there(context, topic, [&] { return bus.publisher(topic); })) {}

Deadline Outlet::deadline() const { return timeout_ ? Deadline(*timeout_) : Deadline::never(); }

Sequence Outlet::publish(Bytes payload, const Attributes& attributes) {
    const OnInterrupt guard(publisher_);
    const Deadline soon(1s);
    // What was begun before a signal came is finished if that takes no longer than a moment.
    const Deadline end =
        interrupted() ? std::min(deadline().when(), soon.when()) : deadline().when();
    Deadline until = std::min(end.when(), soon.when());
    for (;;) {
        const auto result = publisher_.publish(payload, attributes, until);
        if (result) return result.sequence;
        if (result.outcome == PublishOutcome::interrupted) {
            if (interrupted()) throw Interrupted();
            continue;
        }
        if (result.outcome != PublishOutcome::timed_out || end.passed())
            throw Failure(exit_code_of(result.outcome),
                          fmt::format("topic '{}' takes no event of {}: {}", topic_,
                                      counted(payload.size(), "byte"), name_of(result.outcome)));
        note(fmt::format("topic '{}': waiting for room", topic_));
        until = end;
    }
}

void Outlet::wait_durable(Sequence sequence) {
    const OnInterrupt guard(publisher_);
    const Deadline end = deadline();
    Deadline until = std::min(end.when(), Deadline(1s).when());
    for (;;) {
        switch (publisher_.wait_durable(sequence, until)) {
        case Durability::durable:
        case Durability::not_durable: return;
        case Durability::closed:
            throw Failure(ExitCode::refused,
                          fmt::format("topic '{}' was removed, or has begun anew", topic_));
        case Durability::interrupted:
            if (interrupted()) return; // it survives all but a power loss
            break;
        case Durability::timed_out:
            if (end.passed())
                throw Failure(ExitCode::timed_out,
                              fmt::format("topic '{}': event {} is not on disk within {}", topic_,
                                          sequence, format_duration(timeout_.value_or(0ns))));
            note(fmt::format("topic '{}': waiting for the disk", topic_));
            until = end;
        }
    }
}

// ---- Settling ----------------------------------------------------------------------------------

Settling::Settling(const Context& context, const SettleArguments& arguments)
    : context_(context), arguments_(arguments), bus_(connect(context.bus)),
      letters_(context, bus_, arguments.topic) {}

void Settling::run(std::vector<Settled>& settled) {
    if (!letters_.exist()) {
        if (arguments_.letters.empty()) return;
        throw letters_.no_letter(arguments_.letters.front());
    }
    Turn turn(context_, bus_, letters_);
    const auto chosen = choose();
    if (chosen.empty()) return;
    if (arguments_.replay) originals_.emplace(context_, bus_, letters_.topic(), arguments_.timeout);
    marks_.emplace(context_, bus_, letters_.name(), arguments_.timeout);
    letters_.read(chosen, [&](const Letter& letter) {
        turn.check();
        Settled done{letter.number, letter.about.original.sequence, {}};
        if (arguments_.replay) done.replayed_as = replay(letter);
        settle(done);
        settled.push_back(done);
    });
    if (const auto gone = chosen.size() - settled.size(); gone != 0)
        throw Failure(ExitCode::failed,
                      fmt::format("{} gone from topic '{}' meanwhile",
                                  gone == 1 ? "1 letter is" : counted(gone, "letter") + " are",
                                  letters_.name()));
}

/// In the order in which they were set aside, each once. @throws Failure when one of them cannot be settled
std::vector<Sequence> Settling::choose() {
    const auto letters = letters_.list();
    std::vector<Sequence> chosen = arguments_.letters;
    if (arguments_.all) {
        for (const auto& [number, letter] : letters)
            if (!letter.settled) chosen.push_back(number);
        return chosen;
    }
    std::sort(chosen.begin(), chosen.end());
    chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
    for (const Sequence number : chosen) {
        const auto found = letters.find(number);
        if (found == letters.end()) throw letters_.no_letter(number);
        if (const auto& settled = found->second.settled)
            throw Failure(ExitCode::refused,
                          fmt::format("letter {} of topic '{}' was {} before, so nothing was done",
                                      number, letters_.topic(),
                                      settled->replayed_as ? fmt::format("replayed as event {}",
                                                                         *settled->replayed_as)
                                                           : "discarded"));
    }
    return chosen;
}

Sequence Settling::replay(const Letter& letter) {
    const Record original = letter.original();
    std::vector<Header> headers = original.headers;
    const std::string replay_of = text_of(letter.about.original);
    const bool was_replayed =
        std::any_of(headers.begin(), headers.end(), [&](const Header& header) {
            return header.name == header_replay_of && is_event_of(letters_.topic(), header.value);
        });
    // One that was a replay itself goes on saying of what.
    if (!was_replayed) headers.push_back({header_replay_of, replay_of});
    if (letter.about.headers_dropped != 0)
        note(fmt::format("letter {}: {} of the original had no room in it: {}", letter.number,
                         counted(letter.about.headers_dropped, "header"), "not replayed"));
    const Sequence sequence =
        originals_->publish(as_bytes(original.payload), {.key = original.key,
                                                         .type = original.type,
                                                         .id = original.id,
                                                         .correlation = original.correlation,
                                                         .cause = original.cause,
                                                         .parent_id = original.parent_id,
                                                         .trace_flags = original.trace_flags,
                                                         .headers = headers});
    try {
        originals_->wait_durable(sequence);
    } catch (const Failure& failure) {
        throw unsettled({letter.number, letter.about.original.sequence, sequence}, failure);
    }
    return sequence;
}

void Settling::settle(const Settled& done) {
    const std::string what =
        done.replayed_as ? fmt::format("replayed:{}", *done.replayed_as) : "discarded";
    const Header header{header_settled, what};
    try {
        (void)marks_->publish(
            {}, {.cause = Cause{letters_.name(), done.letter}, .headers = {&header, 1}});
    } catch (const Failure& failure) {
        throw unsettled(done, failure);
    }
}

/// What was published, and not noted, comes twice if it is done again.
Failure Settling::unsettled(const Settled& done, const Failure& failure) const {
    if (!done.replayed_as) return failure;
    return {failure.code(),
            fmt::format("letter {} was replayed as event {} of topic '{}', which is not noted, so "
                        "another replay publishes it again: {}",
                        done.letter, *done.replayed_as, letters_.topic(), failure.what())};
}

} // namespace shmbus::tools
