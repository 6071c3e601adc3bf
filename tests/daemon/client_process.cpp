#include "daemon/client_process.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <stdexcept>
#include <sys/wait.h>

namespace shmbus::test {

namespace {

constexpr int patience_ms = 60'000;

struct Pipe {
    base::Fd read;
    base::Fd write;
};

Pipe make_pipe() {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    return {base::Fd(fds[0]), base::Fd(fds[1])};
}

} // namespace

ClientProcess::ClientProcess(const std::string& socket, const User* user) {
    std::vector<std::string> arguments{TEST_CLIENT_PATH, socket};
    if (user != nullptr) {
        arguments.push_back(std::to_string(user->uid));
        for (const auto group : user->groups) arguments.push_back(std::to_string(group));
    }
    std::vector<char*> argv;
    for (auto& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    auto in = make_pipe();
    auto out = make_pipe();
    pid_ = ::fork();
    if (pid_ < 0) throw std::runtime_error("fork");
    if (pid_ == 0) {
        if (::dup2(in.read.get(), 0) >= 0 && ::dup2(out.write.get(), 1) >= 0)
            ::execv(argv[0], argv.data());
        ::_exit(127);
    }
    in_ = std::move(in.write);
    out_ = std::move(out.read);
    out.write = {};
    greeting_ = hear();
}

ClientProcess::~ClientProcess() { kill(); }

void ClientProcess::kill() {
    if (pid_ < 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
}

std::string ClientProcess::ask(const std::string& line) {
    const std::string text = line + "\n";
    if (::write(in_.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        throw std::runtime_error("the client process is gone");
    return hear();
}

std::string ClientProcess::hear() {
    for (;;) {
        if (const auto end = heard_.find('\n'); end != std::string::npos) {
            auto line = heard_.substr(0, end);
            heard_.erase(0, end + 1);
            return line;
        }
        pollfd out{.fd = out_.get(), .events = POLLIN, .revents = 0};
        if (::poll(&out, 1, patience_ms) == 0)
            throw std::runtime_error("the client process does not answer");
        char buffer[1024];
        const ssize_t size = ::read(out_.get(), buffer, sizeof buffer);
        if (size <= 0 && errno != EINTR) throw std::runtime_error("the client process is gone");
        if (size > 0) heard_.append(buffer, static_cast<std::size_t>(size));
    }
}

} // namespace shmbus::test
