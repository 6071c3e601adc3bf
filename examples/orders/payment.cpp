// Takes the money for each order: build/examples/payment TOPIC
#include "shop.hpp"

int main(int argc, char** argv) {
    return shop::serve(argc, argv, {shop::order_placed},
                       [](const shmbus::Event& order, shmbus::Publisher& publisher) {
                           const std::string goods(order.text());
                           std::cout << "took the money for " << goods << std::endl;
                           shop::say(publisher, order, shop::payment_taken, goods);
                       });
}
