// Tells customers what becomes of their orders: build/examples/mail TOPIC
#include "shop.hpp"

int main(int argc, char** argv) {
    return shop::serve(argc, argv, {}, [](const shmbus::Event& event, shmbus::Publisher&) {
        constexpr const char* news[] = {"thank you for ordering", "you paid for",
                                        "we have laid aside", "on its way to you:"};
        if (event.type() < shop::order_placed || event.type() > shop::parcel_shipped) return;
        std::cout << "to " << event.key() << ": " << news[event.type() - 1] << ' ' << event.text()
                  << std::endl;
    });
}
