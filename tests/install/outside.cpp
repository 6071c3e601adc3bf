// A program that knows nothing of this tree but what was installed: headers, library, pkg-config
// files, daemon. It does what a first program does with a bus: pub/sub, a loan, a typed event, epoll.
#include "order.capnp.h"

#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <sys/epoll.h>
#include <unistd.h>

#include <shmbus/capnp.hpp>
#include <shmbus/shmbus.hpp>

using namespace std::chrono_literals;

namespace {

void require(bool what, const char* message) {
    if (!what) throw std::runtime_error(message);
}

shmbus::Event next(shmbus::Subscription& subscription) {
    auto received = subscription.receive(30s);
    auto* event = std::get_if<shmbus::Event>(&received);
    require(event != nullptr, "no event");
    return std::move(*event);
}

void no_bus() {
    try {
        const shmbus::Bus bus({.socket = "/nonexistent/shmbus.sock"});
    } catch (const shmbus::Error& error) {
        require(error.code() == shmbus::Errc::no_daemon, "another error than no_daemon");
        return;
    }
    require(false, "a bus where there is none");
}

void publish_and_receive(shmbus::Publisher& publisher, shmbus::Subscription& subscription) {
    require(bool(publisher.publish("one espresso", {.key = "table 7", .type = 1})), "publish");
    const auto event = next(subscription);
    require(event.text() == "one espresso" && event.key() == "table 7", "another event");
}

void lend(shmbus::Publisher& publisher, shmbus::Subscription& subscription) {
    auto loan = publisher.loan(100'000);
    std::memset(loan.payload().data(), 'x', loan.payload().size());
    require(bool(publisher.publish(loan)), "publish a loan");
    const auto event = next(subscription);
    require(event.in_place() && event.text() == std::string(100'000, 'x'), "another loan");
}

void typed(shmbus::Publisher& publisher, shmbus::Subscription& subscription) {
    require(bool(publisher.publish<Order>([](Order::Builder order) {
                order.setTable(7);
                order.setItem("espresso");
            })),
            "publish a message");
    const auto event = next(subscription);
    const auto order = event.as<Order>();
    require(order->getTable() == 7 && order->getItem() == "espresso", "another order");
}

void poll(shmbus::Publisher& publisher, shmbus::Subscription& subscription) {
    shmbus::WaitSet set;
    set.add(subscription);
    const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
    epoll_event wanted{};
    wanted.events = EPOLLIN;
    require(::epoll_ctl(epoll, EPOLL_CTL_ADD, set.descriptor(), &wanted) == 0, "epoll_ctl");
    while (set.wait(shmbus::Deadline::now())) require(false, "an event too many");
    require(bool(publisher.publish("wake up")), "publish");
    epoll_event happened{};
    require(::epoll_wait(epoll, &happened, 1, 30'000) == 1, "epoll_wait");
    require(next(subscription).text() == "wake up", "another event");
    ::close(epoll);
}

} // namespace

int main() try {
    no_bus();
    shmbus::Bus bus;
    bus.create_topic_if_missing("orders");
    auto publisher = bus.publisher("orders");
    auto subscription = bus.subscribe("orders");
    publish_and_receive(publisher, subscription);
    lend(publisher, subscription);
    typed(publisher, subscription);
    poll(publisher, subscription);
    return 0;
} catch (const std::exception& e) {
    std::printf("%s\n", e.what());
    return 1;
}
