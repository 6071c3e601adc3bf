// Prints the events with one key, or of some types: build/examples/filters TOPIC KEY [TYPE…]
//
// What a filter leaves out is not copied and is no gap; an empty KEY means any.
#include <shmbus/shmbus.hpp>

#include <iostream>
#include <string>

int main(int argc, char** argv) {
    if (argc < 3) {
        std::cerr << "usage: filters TOPIC KEY [TYPE…]\n";
        return 2;
    }
    try {
        shmbus::SubscribeOptions options{.start = shmbus::Start::all()};
        if (*argv[2] != '\0') options.key = argv[2];
        for (int i = 3; i < argc; ++i)
            options.types.push_back(static_cast<std::uint32_t>(std::stoul(argv[i])));

        shmbus::Bus bus;
        auto subscription = bus.subscribe(argv[1], options);
        while (true) {
            const auto received = subscription.receive(shmbus::Deadline::never());
            if (const auto* event = std::get_if<shmbus::Event>(&received))
                std::cout << event->sequence() << ' ' << event->key() << ' ' << event->type() << ' '
                          << event->text() << std::endl;
            else if (std::get_if<shmbus::Nothing>(&received) != nullptr)
                return 0; // the topic was removed
        }
    } catch (const std::exception& error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
}
