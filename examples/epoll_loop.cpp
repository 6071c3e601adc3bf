// Events in a loop of one's own, beside other descriptors: build/examples/epoll_loop TOPIC…
//
// Prints the events of all topics until its input ends.
#include <shmbus/shmbus.hpp>

#include <iostream>
#include <sys/epoll.h>
#include <unistd.h>

static void print(const shmbus::Subscription& from, const shmbus::Received& received) {
    if (const auto* event = std::get_if<shmbus::Event>(&received))
        std::cout << from.topic() << ": " << event->text() << std::endl;
}

int main(int argc, char** argv) {
    try {
        shmbus::Bus bus;
        std::vector<shmbus::Subscription> subscriptions;
        for (int i = 1; i < argc; ++i) {
            bus.create_topic_if_missing(argv[i]);
            subscriptions.push_back(bus.subscribe(argv[i], {.start = shmbus::Start::all()}));
        }
        shmbus::WaitSet set;
        for (auto& subscription : subscriptions) set.add(subscription);

        const int loop = ::epoll_create1(EPOLL_CLOEXEC);
        for (const int fd : {STDIN_FILENO, set.descriptor()}) {
            epoll_event interest{};
            interest.events = EPOLLIN;
            interest.data.fd = fd;
            if (::epoll_ctl(loop, EPOLL_CTL_ADD, fd, &interest) != 0) {
                std::cerr << "epoll_ctl failed; a file cannot be waited for\n";
                return 1;
            }
        }
        for (char input[256];;) {
            epoll_event event{};
            if (::epoll_wait(loop, &event, 1, -1) != 1) continue;
            if (event.data.fd == STDIN_FILENO) {
                if (::read(STDIN_FILENO, input, sizeof input) <= 0) return 0;
                continue;
            }
            // Until it finds nothing: only that makes the descriptor unreadable.
            while (const auto ready = set.wait(shmbus::Deadline::now()))
                print(*ready.subscription, ready.subscription->receive(shmbus::Deadline::now()));
        }
    } catch (const shmbus::Error& error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
}
