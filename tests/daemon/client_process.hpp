// A client process of the daemon under test; see test_client.cpp for what it understands.
#pragma once

#include "base/fd.hpp"

#include <string>
#include <sys/types.h>
#include <vector>

namespace shmbus::test {

class ClientProcess {
  public:
    struct User {
        uid_t uid;
        std::vector<gid_t> groups;
    };
    /// Connected when the constructor returns, or greeting() says why not.
    explicit ClientProcess(const std::string& socket, const User* user = nullptr);
    /// Kills it.
    ~ClientProcess();
    ClientProcess(const ClientProcess&) = delete;
    ClientProcess& operator=(const ClientProcess&) = delete;

    [[nodiscard]] const std::string& greeting() const noexcept { return greeting_; }
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    /// Says a line, hears the answer. @throws std::runtime_error when it does not answer
    std::string ask(const std::string& line);
    /// Kills it and waits until it is no more than a number.
    void kill();

  private:
    std::string hear();
    pid_t pid_ = -1;
    base::Fd in_;
    base::Fd out_;
    std::string heard_;
    std::string greeting_;
};

} // namespace shmbus::test
