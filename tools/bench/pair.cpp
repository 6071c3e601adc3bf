#include "tools/bench/pair.hpp"

#include <csignal>
#include <cstdlib>
#include <new>
#include <sched.h>
#include <stdexcept>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace shmbus::tools::bench {

namespace {

std::vector<std::size_t> allowed_cores() {
    cpu_set_t set;
    CPU_ZERO(&set);
    ::sched_getaffinity(0, sizeof set, &set);
    std::vector<std::size_t> cores;
    for (std::size_t core = 0; core < CPU_SETSIZE; ++core)
        if (CPU_ISSET(core, &set)) cores.push_back(core);
    return cores;
}

void pin(std::size_t core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    if (::sched_setaffinity(0, sizeof set, &set) != 0)
        throw std::runtime_error("cannot pin to a core");
}

} // namespace

std::byte* shared_memory(std::size_t bytes) {
    void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    return static_cast<std::byte*>(memory);
}

Pair::Pair(Sides sides)
    : is_alone_(sides == Sides::one), arrivals_(reinterpret_cast<LonelyWord*>(shared_memory(4096))),
      verdict_(arrivals_ + 2), parent_(::getpid()) {
    const auto cores = allowed_cores();
    if (cores.size() < 2) throw std::runtime_error("a measurement needs two cores");
    if (is_alone_) return;
    child_ = ::fork();
    if (child_ < 0) throw std::runtime_error("fork failed");
    if (child_ == 0) ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin(cores[is_first() ? 0 : 1]);
}

Pair::~Pair() {
    if (child_ != 0) ::waitpid(child_, nullptr, 0);
}

void Pair::meet() {
    if (is_alone_) return;
    ++meetings_;
    arrivals_[is_first() ? 0 : 1].value.store(meetings_, std::memory_order_release);
    const auto& other = arrivals_[is_first() ? 1 : 0].value;
    for (std::uint64_t spins = 1; other.load(std::memory_order_acquire) < meetings_; ++spins) {
        if (spins % (1U << 24U) != 0) continue;
        const bool gone =
            is_first() ? ::waitpid(child_, nullptr, WNOHANG) != 0 : ::getppid() != parent_;
        if (gone) std::_Exit(1);
    }
}

bool Pair::agree(bool first_says) {
    if (is_first()) verdict_->value.store(first_says ? 1 : 0, std::memory_order_relaxed);
    meet();
    return verdict_->value.load(std::memory_order_relaxed) != 0;
}

} // namespace shmbus::tools::bench
