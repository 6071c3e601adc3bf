// Camera frames that nobody copies: build/examples/frames camera|screen TOPIC COUNT
//
// The camera fills each frame where it will be read; any number of screens read it there.
#include <shmbus/shmbus.hpp>

#include <algorithm>
#include <iostream>
#include <string>

constexpr std::size_t frame_bytes = std::size_t{3840} * 2160; // one byte a pixel

static void camera(shmbus::Bus& bus, const std::string& topic, std::uint64_t count) {
    auto publisher = bus.publisher(topic, {.exclusive = true});
    for (std::uint64_t n = 0; n < count; ++n) {
        auto frame = publisher.loan(frame_bytes);
        if (!frame) throw std::runtime_error(shmbus::name_of(frame.outcome()));
        std::ranges::fill(frame.payload(), static_cast<std::byte>(n));
        if (const auto result = publisher.publish(frame); !result)
            throw std::runtime_error(shmbus::name_of(result.outcome));
    }
}

static void screen(shmbus::Bus& bus, const std::string& topic, std::uint64_t count) {
    auto subscription = bus.subscribe(topic, {.start = shmbus::Start::all()});
    while (count-- > 0) {
        auto received = subscription.receive(shmbus::Deadline::never());
        auto* frame = std::get_if<shmbus::Event>(&received);
        if (frame == nullptr)
            throw std::runtime_error("frames are missing, or the topic is closed");
        const auto pixels = frame->payload();
        const bool whole = std::ranges::all_of(pixels, [&](auto p) { return p == pixels[0]; });
        std::cout << "frame " << frame->sequence() << ": " << pixels.size() << " pixels of "
                  << static_cast<int>(pixels[0]) << (frame->in_place() ? ", in place" : "")
                  << (whole ? "" : ", torn") << std::endl;
        // Only now is it certain that nobody wrote over what was read.
        if (frame->release() != shmbus::Released::intact) throw std::runtime_error("too slow");
    }
}

int main(int argc, char** argv) {
    const std::string role = argc == 4 ? argv[1] : "";
    if (role != "camera" && role != "screen") {
        std::cerr << "usage: frames camera|screen TOPIC COUNT\n";
        return 2;
    }
    try {
        shmbus::Bus bus;
        bus.create_topic_if_missing(argv[2], {.capacity = 16,
                                              .max_event = frame_bytes,
                                              .pool_bytes = 16 * frame_bytes,
                                              .retention = shmbus::Retention::memory});
        (role == "camera" ? camera : screen)(bus, argv[2], std::stoull(argv[3]));
    } catch (const std::exception& error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
}
