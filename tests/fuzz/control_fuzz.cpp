// Clients of the daemon that send it anything. It lives, serves the others all the time, and nothing of theirs is
// changed; and when the processes of these clients are dead, nothing is left of them.
//
// The first byte says whether the rest is bytes for one connection, or what a client does; and how closely is
// looked afterwards. Broken promises abort.
#include "fuzz/control/hostile.hpp"
#include "support/descriptors.hpp"

#include <cstdio>
#include <cstdlib>
#include <unistd.h>

using namespace shmbus;

namespace {

/// What kj would print by itself.
class Silence final : public kj::ExceptionCallback {
    void logMessage(kj::LogSeverity, const char*, int, int, kj::String&&) override {}
};

/// They serve all inputs.
struct World {
    test::Daemon daemon;
    test::Witness witness{daemon};
};

} // namespace

/// The daemon's log goes nowhere, libFuzzer's own words and a sanitizer's report do not. And an input covers so
/// much that to weigh each by how rare that is would take half of the time.
extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
    if (::geteuid() != 0) {
        std::fputs("control_fuzz: run it as root: it has to be several users\n", stderr);
        std::exit(1);
    }
    static std::string options[] = {"-close_fd_mask=2", "-entropic=0"};
    static std::vector<char*> all(*argv, *argv + *argc);
    for (auto& option : options) all.push_back(option.data());
    *argc = static_cast<int>(all.size());
    all.push_back(nullptr);
    *argv = all.data();
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const Silence silence;
    static World world;
    test::Input input(data, size);
    const auto descriptors = test::descriptors();
    {
        test::Hostile hostile(world.daemon, world.witness, input);
        const auto what = input.take<std::uint8_t>();
        if (what % 8 == 0)
            hostile.babble((what & 8U) != 0);
        else
            hostile.act();
        world.witness.check();
        if (what >= 192) world.witness.check_new_topic();
        if (what >= 128 && what < 192) world.witness.check_new_connection();
    }
    world.daemon.turn(); // who hung up
    world.daemon.topics.await_topics(false);
    for (int i = 0; i < 4; ++i) world.daemon.pass(11 * kj::MINUTES); // nothing takes longer
    world.daemon.end_all_but(world.witness.session());
    world.witness.check_alone(descriptors);
    return 0;
}
