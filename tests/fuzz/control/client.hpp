// A client that behaves well. It shares the daemon's event loop; to the daemon it is another process, of root's.
#pragma once

#include "control/protocol.hpp"
#include "fuzz/control/daemon.hpp"
#include "fuzz/input.hpp"
#include "layout/cursor.hpp"
#include "ring/reader.hpp"
#include "ring/shared_writer.hpp"

#include <capnp/rpc-twoparty.h>

namespace shmbus::test {

/// A publisher or subscriber, with what it maps.
struct Lease {
    std::uint64_t number;
    std::uint32_t entry;
    std::uint64_t mark; // id or token
    base::Mapping ring;
    base::Mapping readers;
    ring::Topic view;
    base::Mapping page_memory; // of a durable subscription, or its group

    [[nodiscard]] layout::CursorPage& page() const {
        return *reinterpret_cast<layout::CursorPage*>(page_memory.bytes().data());
    }
    [[nodiscard]] ring::SharedWriter writer() const { return {view, entry}; }
    [[nodiscard]] ring::Reader reader() const { return {view, entry, mark, false, {}}; }
    /// One event.
    [[nodiscard]] Sequence publish() const;
};

class Client {
  public:
    explicit Client(Daemon& daemon);

    [[nodiscard]] registry::SessionId session() const noexcept { return session_; }
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    [[nodiscard]] std::uint64_t ticket() const noexcept { return ticket_; }
    [[nodiscard]] protocol::Session::Client& calls() { return *calls_; }

    /// What does not wait for a disk is answered as soon as it was asked.
    template <class Results> capnp::Response<Results> ask(capnp::RemotePromise<Results> promise) {
        expect(promise.poll(daemon_.io.waitScope));
        return promise.wait(daemon_.io.waitScope);
    }
    void create(const char* topic, const TopicOptions& options);
    void remove(const char* topic);
    [[nodiscard]] Lease publish_to(const char* topic);
    [[nodiscard]] Lease subscribe_to(const char* topic, const char* name = "");
    /// A group that begins with the first event, or goes on.
    [[nodiscard]] Lease join(const char* topic, const char* group);
    void release(const Lease& lease);

  private:
    template <class Results> Lease lease_of(const capnp::Response<Results>& given, bool publishes);
    Daemon& daemon_;
    pid_t pid_ = 0;
    registry::SessionId session_ = 0;
    std::uint64_t ticket_ = 0;
    kj::Own<kj::AsyncCapabilityStream> stream_;
    std::optional<capnp::TwoPartyClient> rpc_;
    std::optional<protocol::Session::Client> calls_;
    std::optional<protocol::Memory::Client> thread_;
};

} // namespace shmbus::test
