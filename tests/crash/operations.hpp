// What victims do, and in which situation.
#pragma once

#include "crash/scene.hpp"
#include "crash/victim.hpp"

namespace shmbus::test {

struct Operation {
    using Publish = void (*)(client::Sender&, std::span<const std::vector<std::byte>>, Told&);
    using Receive = void (*)(client::Receiver&, Told&);

    std::string name = {};
    /// One of them.
    Publish publish = nullptr;
    Receive receive = nullptr;
    bool exclusive = false;
    bool is_loan = false;           // that is published
    std::size_t size = inline_size; // of its payloads
    std::size_t events = 1;         // that it publishes, or there are to receive
    bool batch = false;             // together
    PublishOutcome outcome = PublishOutcome::published;
    FullPolicy full = FullPolicy::block;
    /// Who sleeps meanwhile, and must be woken by the victim, or by whoever reaps it.
    std::optional<client::Role> sleeper = {};
    bool fresh = false;           // the ring has never been lapped
    std::uint64_t steps_over = 0; // quarantined slots
    /// Done by others before.
    void (*arrange)(Scene&) = nullptr;

    [[nodiscard]] client::Role role() const noexcept {
        return publish != nullptr ? client::Role::publisher : client::Role::subscriber;
    }
    /// How many events a subscriber gets.
    [[nodiscard]] std::size_t receives() const noexcept {
        return batch ? events : std::min<std::size_t>(events, 1);
    }
    /// Its payloads in the life that begins with event `number`.
    [[nodiscard]] std::vector<std::vector<std::byte>> payloads(std::uint64_t number) const;
    /// In the victim: all of its life.
    void live(control::Lease lease, std::uint64_t number, Told& told) const;
};
std::ostream& operator<<(std::ostream& out, const Operation& operation);

[[nodiscard]] const std::vector<Operation>& operations();

} // namespace shmbus::test
