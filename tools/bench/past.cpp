// Cases of a topic's past: reading it, and finding it again after the daemon was killed.
#include "tools/bench/bare.hpp"
#include "tools/bench/bare_file.hpp"
#include "tools/bench/ticks.hpp"
#include "tools/own_bus.hpp"

#include <fcntl.h>
#include <stdexcept>
#include <thread>
#include <unistd.h>
#include <vector>

#include <shmbus/shmbus.hpp>

namespace shmbus::tools::bench {

namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr auto patience = 30s;
constexpr auto name = "past";

/// A topic whose past is all on disk: how far that goes, and in which directory.
struct Past {
    Sequence last = 0;
    fs::path directory;
};

Past make_past(shmbus::Bus& bus, const Setup& setup, std::uint64_t events) {
    auto options = topic_on_disk(setup);
    options.keep_bytes = 0;
    options.capacity = 256; // nearly nothing of it is in the ring
    bus.create_topic(name, options);
    auto out = bus.publisher(name, {.timeout = patience});
    std::vector<std::byte> payload(setup.bytes);
    Past past;
    for (std::uint64_t i = 0; i < events; ++i) {
        fill(payload, i);
        const auto result = out.publish(payload);
        if (!result) throw std::runtime_error("publish failed");
        past.last = result.sequence;
    }
    while (bus.topic(name).written < past.last) std::this_thread::sleep_for(1ms);
    past.directory = bus.topic(name).directory;
    return past;
}

// ---- catching up -------------------------------------------------------------------------------

/// A new subscriber reads everything there is.
class CatchUp final : public Player {
  public:
    explicit CatchUp(const Setup& setup)
        : setup_(setup), daemon_(setup.daemon, setup.directory),
          bus_(shmbus::BusOptions{.socket = daemon_.socket()}),
          past_(make_past(bus_, setup, setup.events)), files_(segments_in(past_.directory)),
          incoming_(32) {}

    double raw() override {
        const std::uint64_t start = now_ns();
        copy_out_of(files_, setup_.bytes, setup_.events);
        return each(start);
    }

    double bus(Histogram&) override {
        const std::uint64_t start = now_ns();
        auto in = bus_.subscribe(name, {.start = shmbus::Start::all()});
        for (std::uint64_t i = 0; i < setup_.events;) i += receive(in);
        for (auto& event : incoming_) event.release();
        return each(start);
    }

  private:
    std::uint64_t receive(shmbus::Subscription& in) {
        const auto received = in.receive(incoming_, patience);
        const auto* count = std::get_if<std::size_t>(&received);
        if (count == nullptr) throw std::runtime_error("receive failed");
        for (const auto& event : std::span(incoming_).first(*count))
            sum_ = sum_ + sum_of(event.payload());
        return *count;
    }
    [[nodiscard]] double each(std::uint64_t start) const noexcept {
        return static_cast<double>(now_ns() - start) / static_cast<double>(setup_.events);
    }

    Setup setup_;
    OwnBus daemon_;
    shmbus::Bus bus_;
    Past past_;
    std::vector<fs::path> files_;
    std::vector<shmbus::Event> incoming_;
    volatile std::uint64_t sum_ = 0; // so that reading is not optimised away
};

// ---- recovery ----------------------------------------------------------------------------------

void sync_file(const fs::path& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0 || ::fsync(fd) != 0) throw std::runtime_error("syncing " + path.string());
    ::close(fd);
}

/// All of `from`, on disk. Nobody writes to a segment that another one follows: those are linked.
void restore(const fs::path& from, const fs::path& to) {
    fs::create_directory(to);
    const auto segments = segments_in(from);
    for (const auto& entry : fs::directory_iterator(from)) {
        const fs::path copy = to / entry.path().filename();
        const bool is_finished =
            entry.path().extension() == ".seg" && entry.path() != segments.back();
        if (entry.is_directory()) {
            restore(entry.path(), copy);
        } else if (is_finished) {
            fs::create_hard_link(entry.path(), copy);
        } else if (entry.is_regular_file()) {
            fs::copy_file(entry.path(), copy);
            sync_file(copy);
        }
    }
}

/// From the start of a daemon, whose predecessor was killed, until somebody has the oldest event.
class Recovery final : public Player {
  public:
    explicit Recovery(const Setup& setup) : daemon_(setup.daemon, setup.directory) {
        Setup small = setup;
        small.bytes = 256;
        constexpr std::size_t frame_bytes = 344; // of such an event
        {
            shmbus::Bus bus(shmbus::BusOptions{.socket = daemon_.socket()});
            past_ = make_past(bus, small, setup.bytes / frame_bytes);
        }
        daemon_.kill();
        as_it_was_.replace_filename("killed");
        fs::rename(daemon_.state(), as_it_was_);
        past_.directory = as_it_was_ / past_.directory.lexically_relative(daemon_.state());
    }

    double raw() override {
        const std::uint64_t start = now_ns();
        for (const auto& file : segments_in(past_.directory)) read_file(file);
        return static_cast<double>(now_ns() - start);
    }

    double bus(Histogram& single) override {
        fs::remove_all(daemon_.state());
        restore(as_it_was_, daemon_.state());
        const std::uint64_t start = now_ns();
        daemon_.start();
        {
            shmbus::Bus bus(shmbus::BusOptions{.socket = daemon_.socket()});
            auto in = bus.subscribe(name, {.start = shmbus::Start::all()});
            const auto received = in.receive(patience);
            if (!std::holds_alternative<shmbus::Event>(received))
                throw std::runtime_error("receive failed");
        }
        single.add(now_ns() - start);
        daemon_.kill();
        return static_cast<double>(single.percentile(1));
    }

  private:
    OwnBus daemon_;
    fs::path as_it_was_ = daemon_.state();
    Past past_;
};

} // namespace

std::unique_ptr<Player> catch_up(Pair&, const Setup& setup) {
    return std::make_unique<CatchUp>(setup);
}

std::unique_ptr<Player> recovery(Pair&, const Setup& setup) {
    return std::make_unique<Recovery>(setup);
}

} // namespace shmbus::tools::bench
