// Places an order for each line of its input, "CUSTOMER GOODS": build/examples/cart TOPIC
#include "shop.hpp"

int main(int argc, char** argv) {
    if (argc != 2) {
        std::cerr << "usage: cart TOPIC\n";
        return 2;
    }
    try {
        shmbus::Bus bus;
        bus.create_topic_if_missing(argv[1]);
        auto publisher = bus.publisher(argv[1]);
        for (std::string line; std::getline(std::cin, line);) {
            const auto space = line.find(' ');
            const auto result = publisher.publish(line.substr(space + 1),
                                                  {.key = line.substr(0, space),
                                                   .type = shop::order_placed,
                                                   .correlation = shmbus::CorrelationId::random()});
            if (!result) throw std::runtime_error(shmbus::name_of(result.outcome));
        }
    } catch (const std::exception& error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
}
