// main() of every test with workers: the tests themselves, or with --worker NAME ARGS… one of them.
#include "process/worker.hpp"

#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <sys/prctl.h>
#include <unistd.h>

namespace shmbus::test {

namespace {

std::map<std::string, Worker>& workers() {
    static std::map<std::string, Worker> all;
    return all;
}

bool is_long = false;
std::uint64_t run_seed = 0;

int run_worker(int argc, char** argv) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const auto found = workers().find(argv[2]);
    if (found == workers().end()) {
        std::fprintf(stderr, "no worker named %s\n", argv[2]);
        return 2;
    }
    try {
        return found->second(Args(std::vector<std::string>(argv + 3, argv + argc)));
    } catch (const std::exception& e) {
        std::fprintf(stderr, "worker %s: %s\n", argv[2], e.what());
        return 1;
    }
}

} // namespace

bool add_worker(const char* name, Worker worker) { return workers().emplace(name, worker).second; }

void say(std::string_view line) {
    const std::string text = std::string(line) + '\n';
    if (::write(STDOUT_FILENO, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        std::_Exit(3); // the test is gone
}

std::string hear() {
    std::string line;
    for (char c = 0; ::read(STDIN_FILENO, &c, 1) == 1;) {
        if (c == '\n') return line;
        line += c;
    }
    std::_Exit(3); // the test is gone
}

bool long_form() { return is_long; }
std::uint64_t seed() { return run_seed; }

} // namespace shmbus::test

int main(int argc, char** argv) {
    using namespace shmbus::test;
    ::signal(SIGPIPE, SIG_IGN);
    if (argc >= 3 && std::strcmp(argv[1], "--worker") == 0) return run_worker(argc, argv);
    ::testing::InitGoogleTest(&argc, argv);
    std::random_device random;
    const char* given = std::getenv("SHMBUS_TEST_SEED");
    run_seed = given != nullptr ? std::strtoull(given, nullptr, 10) : random();
    for (int i = 1; i < argc; ++i) {
        const std::string_view arg = argv[i];
        if (arg == "--long") {
            is_long = true;
        } else if (arg.starts_with("--seed=")) {
            std::from_chars(arg.data() + 7, arg.data() + arg.size(), run_seed);
        } else {
            std::fprintf(stderr, "usage: %s [--long] [--seed=N] [--gtest_…]\n", argv[0]);
            return 2;
        }
    }
    std::printf("--seed=%llu%s\n", static_cast<unsigned long long>(run_seed),
                is_long ? " --long" : "");
    std::fflush(stdout);
    return RUN_ALL_TESTS();
}
