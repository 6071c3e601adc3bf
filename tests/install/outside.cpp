// A program that knows nothing of this tree but what was installed: header, library, pkg-config
// file. Without a daemon all it can prove is that it compiles, links, and fails as documented.
#include <shmbus/shmbus.hpp>

#include <cstdio>

int main() {
    try {
        shmbus::Bus bus({.socket = "/nonexistent/shmbus.sock"});
        auto publisher = bus.publisher("orders");
        publisher.publish("one espresso", {.key = "table 7"});
        auto subscription = bus.subscribe("orders", {.start = shmbus::Start::all()});
        auto received = subscription.receive(std::chrono::seconds(1));
        if (const auto* event = std::get_if<shmbus::Event>(&received))
            std::printf("%.*s\n", static_cast<int>(event->text().size()), event->text().data());
    } catch (const shmbus::Error& error) {
        std::printf("%s: %s\n", shmbus::name_of(error.code()), error.what());
        return error.code() == shmbus::Errc::no_daemon ? 0 : 1;
    }
    return 1; // there cannot be a bus at that socket
}
