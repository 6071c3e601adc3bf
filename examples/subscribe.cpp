// Prints the events of a topic as they come: build/examples/subscribe TOPIC
//
// The other half is publish.cpp.
#include <shmbus/shmbus.hpp>

#include <iostream>

using namespace std::chrono_literals;

int main(int argc, char** argv) {
    if (argc != 2) {
        std::cerr << "usage: subscribe TOPIC\n";
        return 2;
    }
    try {
        shmbus::Bus bus; // $SHMBUS_SOCKET, or the user's or the system's bus
        bus.create_topic_if_missing(argv[1]);
        auto subscription = bus.subscribe(argv[1], {.start = shmbus::Start::all()});

        while (true) {
            const auto received = subscription.receive(10s);
            if (const auto* event = std::get_if<shmbus::Event>(&received)) {
                std::cout << event->sequence() << ' ' << event->key() << ": " << event->text()
                          << std::endl;
            } else if (const auto* gap = std::get_if<shmbus::Gap>(&received)) {
                std::cout << "no events " << gap->first << " to " << gap->last << ": "
                          << shmbus::name_of(gap->reason) << std::endl;
            } else { // nothing came for ten seconds, or the topic was closed
                std::cerr << shmbus::name_of(std::get<shmbus::Nothing>(received)) << '\n';
                return 0;
            }
        }
    } catch (const shmbus::Error& error) { // no daemon, no permission
        std::cerr << error.what() << '\n';
        return 1;
    }
}
