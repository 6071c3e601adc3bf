// From one topic to another, each event exactly once: build/examples/transform FROM TO NAME
//
// What it publishes carries the sequence of what it was made of, as the id of a named publisher. So one write is
// both the result and the note of how far it came: whenever it is killed, it asks the bus what the last one was,
// goes on behind it, and what was published before is not published again.
#include <shmbus/shmbus.hpp>

#include <algorithm>
#include <iostream>

int main(int argc, char** argv) {
    if (argc != 4) {
        std::cerr << "usage: transform FROM TO NAME\n";
        return 2;
    }
    try {
        shmbus::Bus bus;
        auto publisher = bus.publisher(argv[2], {.name = argv[3]});
        auto subscription = bus.subscribe(
            argv[1], {.start = shmbus::Start::sequence(publisher.last_event_id() + 1)});
        while (true) {
            const auto received = subscription.receive(shmbus::Deadline::never());
            if (std::get_if<shmbus::Nothing>(&received) != nullptr) return 0; // FROM was removed
            const auto* event = std::get_if<shmbus::Event>(&received);
            if (event == nullptr) continue; // a gap
            std::string text(event->text());
            std::reverse(text.begin(), text.end());
            const auto result =
                publisher.publish(text, {.key = event->key(),
                                         .id = event->sequence(),
                                         .correlation = event->correlation(),
                                         .cause = shmbus::Cause{argv[1], event->sequence()}});
            if (!result && result.outcome != shmbus::PublishOutcome::duplicate) {
                std::cerr << "not published: " << shmbus::name_of(result.outcome) << '\n';
                return 1;
            }
        }
    } catch (const std::exception& error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
}
