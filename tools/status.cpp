// shmbus without a verb: the bus on one screen, the busiest trouble first.
#include "tools/command.hpp"
#include "tools/output.hpp"
#include "tools/peers.hpp"
#include "tools/text.hpp"
#include "tools/units.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/ioctl.h>
#include <unistd.h>

namespace shmbus::tools {

namespace {

// How many topics fit on the screen, with five lines for what is around them.
std::size_t rows_that_fit() {
    winsize window{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_row == 0) return 20;
    return std::max<std::size_t>(window.ws_row, 10) - 5;
}

// Which topics somebody should look at first: those in use, then the others; by name within.
void put_busy_first(std::vector<TopicInfo>& topics) {
    std::stable_sort(topics.begin(), topics.end(), [](const TopicInfo& a, const TopicInfo& b) {
        return a.publisher_count + a.subscriber_count > 0 &&
               b.publisher_count + b.subscriber_count == 0;
    });
}

// nullptr where nobody subscribes.
const PeerInfo* slowest_of(const TopicInfo& topic) {
    const auto slowest = std::max_element(
        topic.subscribers.begin(), topic.subscribers.end(),
        [&](const auto& a, const auto& b) { return lag_of(topic, a) < lag_of(topic, b); });
    return slowest == topic.subscribers.end() ? nullptr : &*slowest;
}

// With the peers, unless the topic has been removed meanwhile.
TopicInfo in_detail(Bus& bus, const TopicInfo& topic) {
    try {
        return bus.topic(topic.name);
    } catch (const Error& error) {
        if (error.code() == Errc::no_such_topic) return topic;
        throw;
    }
}

std::string screen(Bus& bus, std::vector<TopicInfo> topics, const Context& context) {
    using enum Table::Align;
    Table table({{"TOPIC"},
                 {"HEAD", right},
                 {"EVENTS", right},
                 {"PUBS", right},
                 {"SUBS", right},
                 {"LAG", right},
                 {"SLOWEST"},
                 {"STATE"}});
    put_busy_first(topics);
    const std::size_t shown = std::min(topics.size(), rows_that_fit());
    for (std::size_t i = 0; i < shown; ++i) {
        const TopicInfo topic = in_detail(bus, topics[i]);
        const PeerInfo* const slowest = slowest_of(topic);
        table.add({topic.name, fmt::to_string(topic.head), fmt::to_string(events_kept(topic)),
                   fmt::to_string(topic.publisher_count), fmt::to_string(topic.subscriber_count),
                   slowest == nullptr ? "-" : lag_shown(topic, *slowest),
                   slowest == nullptr ? "" : describe(*slowest),
                   topic.draining ? "draining" : "open"});
    }
    std::string text = table.text(colour_wanted(STDOUT_FILENO));
    if (shown < topics.size())
        text += fmt::format("and {} more: {} topic ls\n", topics.size() - shown, context.self());
    return text;
}

} // namespace

ExitCode show_status(const Context& context) {
    Bus bus = connect(context.bus);
    const std::vector<TopicInfo> topics = bus.topics();
    if (context.json) {
        Json json{{"socket", bus.socket()}, {"topics", Json::array()}};
        for (const TopicInfo& topic : topics)
            json["topics"].push_back(json_of(in_detail(bus, topic), true));
        write_out(to_line(json));
        return ExitCode::done;
    }
    std::uint64_t memory = 0;
    for (const TopicInfo& topic : topics) memory += topic.memory_bytes;
    std::string text = fmt::format("bus {}: {}, {} of memory (pools are sparse)\n", bus.socket(),
                                   counted(topics.size(), "topic"), format_size(memory));
    if (topics.empty())
        text += fmt::format("to create a topic: {} topic create NAME\n", context.self());
    else
        text += '\n' + screen(bus, topics, context);
    write_out(text);
    return ExitCode::done;
}

} // namespace shmbus::tools
