// Shows ThreadSanitizer the locks of kj.
//
// Debian's kj is not instrumented, and its mutex is a futex of its own: to ThreadSanitizer whatever
// crosses from a caller to the library's thread and back, which is by such a mutex, would be a race.
// The functions here stand before kj's own, call them, and say what they order. So no report has to
// be suppressed, and what is not ordered by a lock of kj is still found.
//
// Linked into a program that exports its symbols; builds with ThreadSanitizer only.
#include <dlfcn.h>
#include <kj/mutex.h>
#include <sanitizer/tsan_interface.h>

namespace kj::_ {

namespace {

template <class Function> Function next(const char* symbol) {
    return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, symbol));
}

} // namespace

bool Mutex::lock(Exclusivity exclusivity, Maybe<Duration> timeout, LockSourceLocationArg location) {
    using Lock = bool (*)(Mutex*, Exclusivity, Maybe<Duration>, LockSourceLocationArg);
    static const auto real =
        next<Lock>("_ZN2kj1_5Mutex4lockENS1_11ExclusivityENS_5MaybeINS_8QuantityIlNS0_"
                   "15NanosecondLabelEEEEENS_18NoopSourceLocationE");
    const bool locked = real(this, exclusivity, timeout, location);
    if (locked) __tsan_acquire(this);
    return locked;
}

void Mutex::unlock(Exclusivity exclusivity, Waiter* waiter_to_skip) {
    using Unlock = void (*)(Mutex*, Exclusivity, Waiter*);
    static const auto real = next<Unlock>("_ZN2kj1_5Mutex6unlockENS1_11ExclusivityEPNS1_6WaiterE");
    __tsan_release(this);
    real(this, exclusivity, waiter_to_skip);
}

void Mutex::wait(Predicate& predicate, Maybe<Duration> timeout, LockSourceLocationArg location) {
    using Wait = void (*)(Mutex*, Predicate&, Maybe<Duration>, LockSourceLocationArg);
    static const auto real =
        next<Wait>("_ZN2kj1_5Mutex4waitERNS1_9PredicateENS_5MaybeINS_8QuantityIlNS0_"
                   "15NanosecondLabelEEEEENS_18NoopSourceLocationE");
    __tsan_release(this);
    real(this, predicate, timeout, location);
    __tsan_acquire(this);
}

} // namespace kj::_
