// Looks whether a client that behaves well is served, and keeps what it has, whatever others do; and whether
// anything is left of these when they are gone.
#pragma once

#include "fuzz/control/client.hpp"
#include "group/member.hpp"

namespace shmbus::test {

class Witness {
  public:
    explicit Witness(Daemon& daemon);

    [[nodiscard]] registry::SessionId session() const noexcept { return client_.session(); }
    [[nodiscard]] pid_t pid() const noexcept { return client_.pid(); }
    /// Numbers that others might try: its ticket and its leases.
    [[nodiscard]] std::vector<std::uint64_t> secrets() const;

    /// What it has is its own and of use.
    void check();
    /// It gets more.
    void check_new_topic();
    /// So does who comes.
    void check_new_connection();
    /// When all others are gone: nothing is left of them. Their topics are removed; then there are as many
    /// descriptors as before they came, once those on disk are on their way out.
    void check_alone(std::size_t descriptors);
    /// What everybody may write to, but who does harms others who do the same.
    [[nodiscard]] bool is_shared_ring(const base::Fd& memory) const;

  private:
    void publish_on_disk();
    static Sequence exchange(const Lease& publisher, ring::Reader& reader);
    void check_private(Sequence head);
    void check_subscription(const char* topic, const Lease& holder, Sequence acknowledged);
    void check_group();
    static void check_topic(const std::string& name, const registry::Topic& topic);
    void remove_what_others_made();

    Daemon& daemon_;
    Client client_;
    std::optional<Lease> publisher_;
    std::optional<Lease> subscriber_;
    std::optional<ring::Reader> reader_;
    std::optional<Lease> shared_publisher_;
    std::optional<Lease> shared_subscriber_;
    std::optional<Lease> disk_subscriber_;
    std::optional<Lease> group_;
    std::unique_ptr<group::Member> member_;
    std::size_t files_ = 0; // that it has
};

} // namespace shmbus::test
