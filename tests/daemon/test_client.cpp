// A client process that does what a test tells it, one line of standard input at a time, and
// answers each with one line: "ok …", or "error CODE MESSAGE". It ends with its standard input.
//
//     test_client SOCKET [UID GID…]      connects as that user with these groups
//
//     create NAME | publisher NAME | subscriber NAME | release NUMBER | remove NAME | force NAME
//     drain NAME MILLISECONDS | info NAME
//     hang-up    breaks the connection, behind the back of its session
#include "control/session.hpp"
#include "shmbus/error.hpp"

#include <csignal>
#include <filesystem>
#include <grp.h>
#include <iostream>
#include <optional>
#include <sstream>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

using namespace shmbus;
using namespace std::chrono_literals;

void become(uid_t uid, const std::vector<gid_t>& groups) {
    if (::setgroups(groups.size(), groups.data()) != 0 || ::setgid(groups.at(0)) != 0 ||
        ::setuid(uid) != 0)
        throw std::runtime_error("cannot become another user");
}

void hang_up() {
    for (const auto& file : std::filesystem::directory_iterator("/proc/self/fd"))
        ::shutdown(std::stoi(file.path().filename().string()), SHUT_RDWR); // fails for other files
}

class Client {
  public:
    explicit Client(const std::string& socket) : session_(control::Session::connect(socket, 30s)) {}

    std::string act(const std::string& line) {
        std::istringstream in(line);
        std::string verb;
        std::string name;
        long number = 0;
        in >> verb >> name >> number;
        if (verb == "create")
            return session_->create_topic(name, {.retention = Retention::memory}, false)
                       ? "ok"
                       : "ok exists";
        if (verb == "publisher") return keep(session_->open_publisher(name));
        if (verb == "subscriber") return keep(session_->open_subscriber(name));
        if (verb == "release") {
            leases_.at(std::stoul(name)).release();
            return "ok";
        }
        if (verb == "remove" || verb == "force") {
            session_->remove_topic(name, verb == "force");
            return "ok";
        }
        if (verb == "drain")
            return session_->drain_topic(name, false, std::chrono::milliseconds(number)) ? "ok yes"
                                                                                         : "ok no";
        if (verb == "info") return "ok " + session_->describe_topic(name).uuid;
        if (verb == "hang-up") {
            hang_up();
            return "ok";
        }
        return "error no such verb";
    }

  private:
    std::string keep(control::Lease lease) {
        const auto entry = lease.entry;
        leases_.push_back(std::move(lease));
        return "ok " + std::to_string(leases_.size() - 1) + " " + std::to_string(entry);
    }
    std::shared_ptr<control::Session> session_;
    std::vector<control::Lease> leases_;
};

std::string guarded(const std::function<std::string()>& work) {
    try {
        return work();
    } catch (const Error& e) {
        return std::string("error ") + name_of(e.code()) + " " + e.what();
    }
}

} // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    if (arguments.size() > 2) {
        std::vector<gid_t> groups;
        for (std::size_t i = 2; i < arguments.size(); ++i)
            groups.push_back(static_cast<gid_t>(std::stoul(arguments[i])));
        become(static_cast<uid_t>(std::stoul(arguments[1])), groups);
    }
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    std::optional<Client> client;
    std::cout << guarded([&] {
        client.emplace(arguments.at(0));
        return "ok";
    }) << std::endl;
    if (!client) return 1;
    for (std::string line; std::getline(std::cin, line);)
        std::cout << guarded([&] { return client->act(line); }) << std::endl;
    return 0;
}
