// A client that sends what it likes: bytes, or messages of Cap'n Proto's RPC, without its library.
#pragma once

#include "base/fd.hpp"
#include "shmbus/types.hpp"

#include <capnp/message.h>
#include <capnp/rpc.capnp.h>
#include <kj/array.h>
#include <optional>
#include <string>
#include <vector>

namespace shmbus::test {

class RawClient {
  public:
    explicit RawClient(const std::string& socket);

    /// As much as the daemon takes, without waiting for more than 50 ms without progress; how much.
    std::size_t send(Bytes bytes);
    std::size_t send(capnp::MessageBuilder& message);
    /// The first message not yet read. Nothing when the daemon hung up.
    /// @throws std::runtime_error when neither happens
    std::optional<kj::Array<capnp::word>> receive();
    /// Reads what comes, until nothing has for 5 ms.
    void read_until_quiet();
    /// Reads until the daemon hangs up. @throws std::runtime_error when it does not
    void expect_hang_up();
    [[nodiscard]] int fd() const noexcept { return socket_.get(); }

    // The messages that a client begins with: question 0 is the bus, question 1 says hello to it;
    // the session is what question 1 answers.
    void bootstrap();
    void hello();
    /// A call of a method of the session, without parameters.
    static std::vector<std::byte> call_of(std::uint32_t question, std::uint16_t method);
    static std::vector<std::byte> finish_of(std::uint32_t question);

  private:
    base::Fd socket_;
};

/// The bytes of a message as they are sent.
std::vector<std::byte> bytes_of(capnp::MessageBuilder& message);

} // namespace shmbus::test
