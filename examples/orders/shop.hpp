// What the services of the shop share: the types of its events, and how one of them runs.
//
// Each service is a process of its own. None knows the others: each reacts to events and says what it
// did in another, which carries the order's correlation id and names the event that caused it.
#pragma once

#include <shmbus/shmbus.hpp>

#include <iostream>

namespace shop {

enum Type : std::uint32_t { order_placed = 1, payment_taken, stock_reserved, parcel_shipped };

/// Says in an event what was done about another.
inline void say(shmbus::Publisher& publisher, const shmbus::Event& cause, Type type,
                const std::string& what) {
    const auto result =
        publisher.publish(what, {.key = cause.key(),
                                 .type = type,
                                 .correlation = cause.correlation(),
                                 .cause = shmbus::Cause{publisher.topic(), cause.sequence()}});
    if (!result) throw std::runtime_error(shmbus::name_of(result.outcome));
}

/// Runs a service until its topic is removed: react(event, publisher) for each event of these types.
template <class React>
int serve(int argc, char** argv, const std::vector<std::uint32_t>& types, React react) {
    if (argc != 2) {
        std::cerr << "usage: " << argv[0] << " TOPIC\n";
        return 2;
    }
    try {
        shmbus::Bus bus;
        bus.create_topic_if_missing(argv[1]);
        auto publisher = bus.publisher(argv[1]);
        auto subscription = bus.subscribe(argv[1], {.start = shmbus::Start::all(), .types = types});
        const auto behind = subscription.head() + 1 - subscription.position();
        if (behind > 0) std::cout << "syncing… " << behind << " events" << std::endl;
        while (true) {
            const auto received = subscription.receive(shmbus::Deadline::never());
            if (const auto* event = std::get_if<shmbus::Event>(&received))
                react(*event, publisher);
            else if (std::get_if<shmbus::Nothing>(&received) != nullptr)
                return 0;
        }
    } catch (const std::exception& error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
}

} // namespace shop
