// Publishes each line of its input as an event: build/examples/publish TOPIC
//
// The other half is subscribe.cpp.
#include <shmbus/shmbus.hpp>

#include <iostream>
#include <string>

int main(int argc, char** argv) {
    if (argc != 2) {
        std::cerr << "usage: publish TOPIC\n";
        return 2;
    }
    try {
        shmbus::Bus bus; // $SHMBUS_SOCKET, or the user's or the system's bus
        bus.create_topic_if_missing(argv[1]);
        auto publisher = bus.publisher(argv[1]);

        for (std::string line; std::getline(std::cin, line);) {
            const auto result = publisher.publish(line, {.key = "stdin", .type = 1});
            if (!result) { // a full topic, one that takes no more events: outcomes, not exceptions
                std::cerr << "not published: " << shmbus::name_of(result.outcome) << '\n';
                return 1;
            }
            std::cout << "published as " << result.sequence << '\n';
        }
    } catch (const shmbus::Error& error) { // no daemon, no permission
        std::cerr << error.what() << '\n';
        return 1;
    }
    return 0;
}
