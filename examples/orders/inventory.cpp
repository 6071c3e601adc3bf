// Lays aside what was ordered, at the same time as it is paid: build/examples/inventory TOPIC
#include "shop.hpp"

int main(int argc, char** argv) {
    return shop::serve(argc, argv, {shop::order_placed},
                       [](const shmbus::Event& order, shmbus::Publisher& publisher) {
                           const std::string goods(order.text());
                           std::cout << "laid aside " << goods << std::endl;
                           shop::say(publisher, order, shop::stock_reserved, goods);
                       });
}
