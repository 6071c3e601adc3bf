// A daemon that lies: it speaks the control protocol and hands out whatever it was told to.
//
// One fake daemon knows all lies by the name of the topic that is asked for. What it hands out is
// made honestly first; the lie then spoils one thing of it.
#pragma once

#include "base/fd.hpp"
#include "layout/readers.hpp"
#include "shmbus/error.hpp"

#include <functional>
#include <string>
#include <vector>

namespace shmbus::test {

/// What one open is answered with. Everything is true of everything else, at first.
struct Offer {
    bool publishes = false; // who asked
    base::Fd ring;          // none: no descriptor is sent
    base::Fd readers;
    layout::RingParameters parameters{};
    layout::Uuid uuid{};
    std::size_t parameters_bytes = sizeof(layout::RingParameters); // how much of them is sent
    std::size_t uuid_bytes = sizeof(layout::Uuid);
    std::uint32_t entry = 0;
    std::uint32_t publisher = 1;
    std::uint64_t token = 1U << 20U;

    /// The bytes of one object, to write lies into: a mapping that is never taken down.
    [[nodiscard]] std::byte* ring_bytes() const;
    [[nodiscard]] std::byte* readers_bytes() const;
};

struct Lie {
    const char* topic;
    std::vector<Errc> answers; // what the library may say; empty: nothing is wrong
    std::function<void(Offer&)> spoil;
};

/// Every lie there is; the first is none.
[[nodiscard]] const std::vector<Lie>& lies();

[[nodiscard]] Offer honest_offer(bool publishes);

/// Serves `socket` for ever; says "ready" when it can be connected to.
[[noreturn]] void run_fake_daemon(const std::string& socket);

} // namespace shmbus::test
