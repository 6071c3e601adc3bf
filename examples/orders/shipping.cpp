// Ships what is both paid and laid aside, in whichever order: build/examples/shipping TOPIC
#include "shop.hpp"

#include <map>

int main(int argc, char** argv) {
    std::map<std::string, std::uint32_t>
        done; // by correlation id: the type of the first of the two
    return shop::serve(argc, argv, {shop::payment_taken, shop::stock_reserved},
                       [&](const shmbus::Event& event, shmbus::Publisher& publisher) {
                           const auto id = event.correlation().to_string();
                           const auto [first, is_first] = done.emplace(id, event.type());
                           if (is_first || first->second == event.type()) return;
                           done.erase(first);
                           const std::string goods(event.text());
                           std::cout << "shipped " << goods << std::endl;
                           shop::say(publisher, event, shop::parcel_shipped, goods);
                       });
}
