#include "control/event_thread.hpp"

#include "base/log.hpp"
#include "base/system_error.hpp"
#include "base/thread.hpp"

#include <csignal>
#include <future>
#include <kj/exception.h>
#include <optional>
#include <system_error>
#include <unistd.h>

namespace shmbus::control {

namespace {

/// What kj would write to stderr.
class LogCallback final : public kj::ExceptionCallback {
  public:
    void logMessage(kj::LogSeverity severity, const char*, int, int, kj::String&& text) override {
        const auto level = severity >= kj::LogSeverity::ERROR ? LogLevel::error : LogLevel::warning;
        base::log(level, {text.cStr(), text.size()});
    }
};

/// kj ignores SIGPIPE for the whole process. That is not a library's to decide, and not needed:
/// this thread blocks the signal.
kj::AsyncIoContext set_up_io() {
    struct sigaction before {};
    ::sigaction(SIGPIPE, nullptr, &before);
    auto io = kj::setupAsyncIo();
    ::sigaction(SIGPIPE, &before, nullptr);
    return io;
}

} // namespace

struct EventThread::Start {
    std::promise<void> done;
};

EventThread::EventThread() : process_(::getpid()) {
    Start start;
    auto started = start.done.get_future();
    try {
        const base::BlockedSignals blocked;
        thread_ = std::thread([this, &start] { main(start); });
    } catch (const std::system_error& e) {
        base::throw_system("starting the library's thread", e.code().value());
    }
    try {
        started.get();
    } catch (...) {
        thread_.join();
        throw;
    }
}

EventThread::~EventThread() {
    if (!is_mine()) { // nobody to stop, nobody to wait for
        thread_.detach();
        return;
    }
    executor_->executeSync([this] { stop_->fulfill(); });
    thread_.join();
}

void EventThread::main(Start& start) {
    base::name_this_thread();
    const LogCallback callback;
    std::optional<kj::AsyncIoContext> io;
    try {
        io.emplace(set_up_io());
    } catch (const kj::Exception& e) {
        start.done.set_exception(std::make_exception_ptr(
            Error(e.getType() == kj::Exception::Type::OVERLOADED ? Errc::limit : Errc::system,
                  std::string("starting the library's event loop: ") + e.getDescription().cStr())));
        return;
    }
    auto stop = kj::newPromiseAndFulfiller<void>();
    stop_ = kj::mv(stop.fulfiller);
    io_ = &*io;
    executor_ = kj::getCurrentThreadExecutor().addRef();
    start.done.set_value();
    stop.promise.wait(io->waitScope);
    stop_ = nullptr;
}

void EventThread::run(Work work) {
    try {
        executor_->executeSync([&]() -> kj::Promise<void> { return work(*io_); });
    } catch (const kj::Exception& e) {
        throw Error(Errc::system,
                    std::string("in the library's thread: ") + e.getDescription().cStr());
    }
}

bool EventThread::is_mine() const noexcept { return ::getpid() == process_; }

} // namespace shmbus::control
