#include "base/robust.hpp"

#include "base/memfd.hpp"
#include "base/system_error.hpp"
#include "shmbus/error.hpp"

#include <linux/futex.h>
#include <pthread.h>

namespace shmbus::base {

namespace {

pthread_mutex_t* mutex_in(const Mapping& mapping) noexcept {
    return reinterpret_cast<pthread_mutex_t*>(mapping.bytes().data());
}

void check(int error, const char* doing) {
    if (error != 0) throw_system(doing, error);
}

} // namespace

RobustHold::RobustHold(const Fd& memory) {
    if (sealed_size(memory, "the robust futex") != robust_bytes)
        throw Error(Errc::damaged, "the robust futex that the daemon sent has a wrong size");
    mapping_ = Mapping(memory, Access::read_write, robust_bytes);
    pthread_mutexattr_t attributes;
    check(::pthread_mutexattr_init(&attributes), "making a robust futex");
    (void)::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    (void)::pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    auto* mutex = mutex_in(mapping_);
    const int made = ::pthread_mutex_init(mutex, &attributes);
    (void)::pthread_mutexattr_destroy(&attributes);
    check(made, "making a robust futex");
    check(::pthread_mutex_lock(mutex), "locking a robust futex");
    // The kernel wakes nobody without this; who watches may not write.
    reinterpret_cast<Word32*>(mapping_.bytes().data())->fetch_or_acq_rel(FUTEX_WAITERS);
}

RobustHold::~RobustHold() {
    // Else the kernel would follow the list of what this thread holds to where it is no more.
    (void)::pthread_mutex_unlock(mutex_in(mapping_));
}

const Word64& RobustWatch::word() const noexcept {
    return *reinterpret_cast<const Word64*>(mapping_.bytes().data());
}

bool RobustWatch::has_ended(std::uint64_t word) noexcept { return (word & FUTEX_OWNER_DIED) != 0; }

} // namespace shmbus::base
