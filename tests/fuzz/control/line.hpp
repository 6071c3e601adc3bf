// One connection of a hostile client: what it says goes out as far as there is room for it, and what comes is taken
// apart.
#pragma once

#include "daemon/raw_client.hpp"
#include "fuzz/control/arguments.hpp"

#include <map>

namespace shmbus::test {

class Line {
  public:
    explicit Line(const std::string& socket) : client_(socket) {}

    /// Asks for the bus, with question 0.
    void bootstrap() { client_.bootstrap(); }
    /// And for a session, with question 1.
    void greet();
    /// The number of a question; what the answer to it will be.
    std::uint32_t ask(capnp::StructSchema answer);
    [[nodiscard]] std::uint32_t last_question() const noexcept { return last_question_; }
    /// Capabilities that came with answers.
    [[nodiscard]] const std::vector<std::uint32_t>& exports() const noexcept { return exports_; }

    void send(Bytes bytes, const std::vector<int>& fds);
    /// Again what there was no room for.
    void flush();
    /// Reads nothing any more, or does so again.
    void turn_deaf() noexcept { is_deaf_ = !is_deaf_; }
    void shut_down(int how) const noexcept;
    /// Reads what has come by now: what is in answers, and the descriptors beside them.
    void listen(Arguments& arguments, std::vector<base::Fd>& given);

  private:
    bool receive(std::vector<base::Fd>& given);
    void read(kj::ArrayPtr<const capnp::word> message, Arguments& arguments);
    RawClient client_;
    bool is_deaf_ = false;
    std::uint32_t last_question_ = 1;
    std::map<std::uint32_t, capnp::StructSchema> asked_; // what the answers will be
    std::vector<std::uint32_t> exports_;
    std::vector<std::byte> unsent_;
    std::vector<std::byte> received_;
};

} // namespace shmbus::test
