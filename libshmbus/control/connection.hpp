// One connection to the daemon, and the link that makes a new one when it breaks.
//
// Both live on the event thread: nothing here may be touched from another. A kj promise cannot
// carry a shmbus::Error; Trouble does beside it.
#pragma once

#include "base/fd.hpp"
#include "base/robust.hpp"
#include "control/protocol.hpp"
#include "layout/ring.hpp"

#include <capnp/rpc-twoparty.h>
#include <exception>
#include <kj/async-io.h>
#include <map>
#include <memory>
#include <optional>

namespace shmbus::control {

/// The Error that made a promise fail.
class Trouble {
  public:
    /// `work`, with a note of the Error that it throws.
    template <class Work> auto noting(Work work) {
        return [this, work = kj::mv(work)](auto&&... arguments) mutable {
            try {
                return work(kj::fwd<decltype(arguments)>(arguments)...);
            } catch (const Error&) {
                what_ = std::current_exception();
                throw;
            }
        };
    }
    void note(const Error& error) { what_ = std::make_exception_ptr(error); }
    void note(std::exception_ptr error) { what_ = kj::mv(error); }
    [[nodiscard]] const std::exception_ptr& what() const noexcept { return what_; }

  private:
    std::exception_ptr what_;
};

/// What a lease named, kept to be handed back to a daemon that lost it.
struct Mapped {
    std::string topic;
    layout::Uuid uuid{};
    bool publishes = false;
    bool exclusive = false;
    std::uint32_t entry = 0;
    std::uint64_t mark = 0; // the publisher's id, or the subscriber's token
    std::string name = {};  // of the publisher, or the durable subscription
    base::Fd ring = {};
    base::Fd readers = {};
    base::Fd cursor = {};
};

/// A connected socket and what speaks on it.
class Connection {
  public:
    /// Calls `broke` when the daemon hangs up after hello.
    Connection(kj::Own<kj::AsyncCapabilityStream> stream, kj::Function<void()> broke);
    [[nodiscard]] protocol::Bus::Client bus();
    /// Whether the other side hung up, or what it sent made no sense.
    [[nodiscard]] bool broken() const noexcept { return broken_; }

    std::optional<protocol::Session::Client> session; // after hello
    std::optional<base::RobustHold> thread;           // while this one is there

  private:
    kj::Own<kj::AsyncCapabilityStream> stream_;
    capnp::TwoPartyVatNetwork network_;
    capnp::RpcSystem<capnp::rpc::twoparty::VatId> rpc_;
    bool broken_ = false;
    kj::Function<void()> broke_;
    kj::Promise<void> watch_;
};

/// The connection at hand; when it breaks while there are leases, the next one. The daemon knows the
/// session again by its ticket, so what a lease names goes on unless that daemon's books are lost.
class Link final : private kj::TaskSet::ErrorHandler {
  public:
    Link(kj::AsyncIoContext& io, std::string socket, kj::Duration timeout);

    /// Null when there is a session, after connecting if there was none; else why there is none.
    [[nodiscard]] kj::Promise<std::exception_ptr> ready();
    /// @pre ready() has just said that there is one
    [[nodiscard]] protocol::Session::Client session();

    /// A lease that the daemon gave is ours until it is released, whatever becomes of the connection.
    /// @returns its number here: one that another daemon gives may have the same there
    std::uint64_t keep(std::uint64_t lease);
    /// What it named, to be handed back when it has to be.
    void keep(std::uint64_t number, Mapped mapped);
    /// Its number there. @throws Error(disconnected) when the daemon at hand does not know it
    [[nodiscard]] std::uint64_t lease(std::uint64_t number) const;
    /// Tells the daemon, now or when it is there again, that a lease is over.
    [[nodiscard]] kj::Promise<void> release(std::uint64_t number);

    /// Goes on although nobody waits for it any more, nor cares what becomes of it.
    void in_background(kj::Promise<void> work) { background_.add(kj::mv(work)); }
    [[nodiscard]] kj::Timer& timer() noexcept { return io_.provider->getTimer(); }
    [[nodiscard]] const std::string& socket() const noexcept { return socket_; }

  private:
    [[nodiscard]] kj::Promise<std::exception_ptr> attempt();
    [[nodiscard]] kj::Promise<void> greet(kj::TimePoint try_until);
    [[nodiscard]] kj::Promise<void> connect(base::Fd socket);
    [[nodiscard]] kj::Promise<void> say_hello();
    [[nodiscard]] kj::Promise<void> hold_thread(kj::Promise<kj::Maybe<int>> memory);
    [[nodiscard]] kj::Promise<void> resume();
    [[nodiscard]] kj::Promise<void> restore(std::uint64_t behind);
    void broke();
    [[nodiscard]] kj::Promise<void> reconnect();
    void taskFailed(kj::Exception&&) override {} // the late answer of a connection that broke

    kj::AsyncIoContext& io_;
    const std::string socket_;
    const kj::Duration timeout_;
    kj::Own<Connection> connection_;
    Trouble trouble_; // of the attempt under way
    bool attempting_ = false;
    kj::ForkedPromise<std::exception_ptr> attempt_ = nullptr;
    std::uint64_t ticket_ = 0; // of the session
    std::uint64_t last_number_ = 0;
    struct Held {
        std::uint64_t lease;  // its number there,
        std::uint64_t ticket; // in the session of this ticket
        std::shared_ptr<const Mapped> mapped;
    };
    std::map<std::uint64_t, Held> leases_; // by their numbers here
    kj::TaskSet background_;
    unsigned releasing_ = 0; // told to the daemon, and not yet answered
    kj::Duration pause_;     // before the next attempt
    kj::Promise<void> reconnecting_ = nullptr;
};

/// What a kj exception while `doing` something means to a user of the daemon at `socket`.
[[nodiscard]] Error to_error(const kj::Exception& e, const std::string& socket,
                             const std::string& doing);
/// @throws Error as the refusal says
[[noreturn]] void throw_refusal(protocol::Refusal::Reader refusal);

} // namespace shmbus::control
