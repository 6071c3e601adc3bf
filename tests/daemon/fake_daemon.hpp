// A daemon that speaks the protocol and tells lies, to see what a client makes of them.
#pragma once

#include <memory>
#include <string>

namespace shmbus::test {

enum class Fault {
    none,
    short_uuid,
    short_parameters,
    bad_parameters,
    no_descriptors,
    entry_beyond_table,
    zero_id, // publisher id, attach token
    unknown_refusal,
    exception,
    endless_list,
};

class FakeDaemon {
  public:
    FakeDaemon(const std::string& socket, Fault fault);
    ~FakeDaemon();
    FakeDaemon(const FakeDaemon&) = delete;
    FakeDaemon& operator=(const FakeDaemon&) = delete;
    /// How many leases were released, once that many are or the deadline passed.
    [[nodiscard]] int releases();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace shmbus::test
