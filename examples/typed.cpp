// Publishes a Cap'n Proto message and reads it back, without a copy on either side.
//
//     typed TOPIC ITEM
#include "order.capnp.h"

#include <iostream>
#include <shmbus/capnp.hpp>
#include <shmbus/shmbus.hpp>

using namespace std::chrono_literals;

int main(int argc, char** argv) try {
    if (argc != 3) {
        std::cerr << "usage: typed TOPIC ITEM\n";
        return 2;
    }
    shmbus::Bus bus;
    bus.create_topic_if_missing(argv[1]);
    auto subscription = bus.subscribe(argv[1]);

    auto publisher = bus.publisher(argv[1]);
    const auto result = publisher.publish<shop::Order>([&](shop::Order::Builder order) {
        order.setTable(7);
        order.setItem(argv[2]);
    });
    if (!result) {
        std::cerr << "not published: " << name_of(result.outcome) << '\n';
        return 1;
    }

    const auto received = subscription.receive(1s);
    const auto& event = std::get<shmbus::Event>(received);
    const auto order = event.as<shop::Order>();
    std::cout << "table " << order->getTable() << " orders " << order->getItem().cStr() << '\n';
    return 0;
} catch (const std::exception& e) {
    std::cerr << e.what() << '\n';
    return 1;
}
