// A client that behaves well, beside whoever does not: it is served all the time, and keeps what it has.
//
// To the daemon it is another process, of root's.
#pragma once

#include "control/protocol.hpp"
#include "fuzz/control/daemon.hpp"
#include "layout/cursor.hpp"
#include "ring/reader.hpp"
#include "ring/shared_writer.hpp"

#include <capnp/rpc-twoparty.h>

namespace shmbus::test {

class Witness {
  public:
    explicit Witness(Daemon& daemon);

    [[nodiscard]] registry::SessionId session() const noexcept { return session_; }
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    /// Numbers that others might try: its ticket and its leases.
    [[nodiscard]] const std::vector<std::uint64_t>& secrets() const noexcept { return secrets_; }

    // Whatever others do meanwhile:
    /// What it has is its own and of use.
    void check();
    /// It gets more.
    void check_new_topic();
    void check_new_connection();
    /// When all others are gone: nothing is left of them. Their topics are removed; then there are as many
    /// descriptors as before they came, once those on disk are on their way out.
    void check_alone(std::size_t descriptors);
    /// What everybody may write to, but who does harms others who do the same.
    [[nodiscard]] bool is_shared_ring(const base::Fd& memory) const;

  private:
    /// A publisher or subscriber, with what it maps.
    struct Lease {
        std::uint64_t number;
        std::uint32_t entry;
        std::uint64_t mark; // id or token
        base::Mapping ring;
        base::Mapping readers;
        ring::Topic view;
        base::Mapping page; // of a durable subscription
    };
    template <class Results> capnp::Response<Results> ask(capnp::RemotePromise<Results> promise);
    template <class Results> Lease lease_of(const capnp::Response<Results>& given, bool publishes);
    void create(const char* topic, const TopicOptions& options);
    void remove(const char* topic);
    Lease publish_to(const char* topic);
    Lease subscribe_to(const char* topic, const char* name = "");
    void release(const Lease& lease);

    void greet();
    void make_topics();
    static Sequence publish(const Lease& publisher);
    static Sequence exchange(const Lease& publisher, ring::Reader& reader);
    void check_private(Sequence acknowledged);
    static void check_topic(const std::string& name, const registry::Topic& topic);
    void remove_what_others_made();

    Daemon& daemon_;
    pid_t pid_ = 0;
    kj::Own<kj::AsyncCapabilityStream> stream_;
    std::optional<capnp::TwoPartyClient> rpc_;
    std::optional<protocol::Session::Client> calls_;
    std::optional<protocol::Memory::Client> thread_;
    registry::SessionId session_ = 0;
    std::vector<std::uint64_t> secrets_;
    std::optional<Lease> publisher_;
    std::optional<Lease> subscriber_;
    std::optional<ring::Reader> reader_;
    std::optional<Lease> shared_publisher_;
    std::optional<Lease> shared_subscriber_;
    std::optional<Lease> disk_subscriber_;
    std::size_t files_ = 0; // that it has
};

} // namespace shmbus::test
