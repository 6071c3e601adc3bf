// Goes on where it was, whatever ended it: build/examples/resume_after_crash TOPIC
//
// The subscription has a name, so the bus keeps how far it came. An event is acknowledged when its work
// is done: one that was killed in the middle does that event again, and none before it.
#include <shmbus/shmbus.hpp>

#include <iostream>

namespace {

void work_on(const shmbus::Event& event) {
    std::cout << event.sequence() << ' ' << event.text() << std::endl;
    if (event.text() == "crash") std::abort();
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::cerr << "usage: resume_after_crash TOPIC\n";
        return 2;
    }
    try {
        shmbus::Bus bus;
        auto subscription = bus.subscribe(argv[1], {.start = shmbus::Start::all(),
                                                    .name = "resume-after-crash",
                                                    .steal = true, // from one that hangs, too
                                                    .auto_acknowledge = false});
        while (true) {
            const auto received = subscription.receive(shmbus::Deadline::never());
            if (const auto* event = std::get_if<shmbus::Event>(&received)) {
                // What crashed it once is left out the next time: nobody would get past it.
                const bool again = event->text() == "crash" && std::getenv("SKIP_CRASH") != nullptr;
                if (!again) work_on(*event);
                subscription.acknowledge(*event);
            } else if (const auto* gap = std::get_if<shmbus::Gap>(&received)) {
                std::cerr << "no events " << gap->first << " to " << gap->last << ": "
                          << name_of(gap->reason) << '\n';
            } else {
                std::cerr << name_of(std::get<shmbus::Nothing>(received)) << '\n';
                return 1;
            }
        }
    } catch (const std::exception& error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
}
