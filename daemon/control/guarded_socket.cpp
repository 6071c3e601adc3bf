#include "daemon/control/guarded_socket.hpp"

#include "daemon/system/ancillary.hpp"

#include <array>
#include <kj/debug.h>

namespace shmbus::control {

/// One read, whose bytes may come in several messages.
struct GuardedSocket::Reading {
    Reading(void* to, std::size_t at_least, std::size_t at_most, kj::AutoCloseFd* fds_to,
            std::size_t at_most_fds, system::Closing count)
        : buffer(static_cast<kj::byte*>(to)), least(at_least), most(at_most), fds(fds_to),
          most_fds(at_most_fds), closing(std::move(count)) {}
    ~Reading() { close_received(); }
    KJ_DISALLOW_COPY(Reading);
    void close_received() {
        for (auto& each : received) system::close_elsewhere(base::Fd(each.release()), closing);
    }

    kj::byte* buffer;
    std::size_t least;
    std::size_t most;
    kj::AutoCloseFd* fds;
    std::size_t most_fds;
    system::Closing closing;
    ReadResult done{0, 0};
    std::array<kj::AutoCloseFd, system::most_descriptors> received; // with one message
};

GuardedSocket::GuardedSocket(kj::LowLevelAsyncIoProvider& io, base::Fd socket,
                             system::Closing closing)
    : socket_(std::move(socket)), closing_(std::move(closing)),
      stream_(
          io.wrapUnixSocketFd(socket_.get(), kj::LowLevelAsyncIoProvider::ALREADY_CLOEXEC |
                                                 kj::LowLevelAsyncIoProvider::ALREADY_NONBLOCK)) {}

GuardedSocket::~GuardedSocket() noexcept(false) {
    stream_ = nullptr;
    system::close_elsewhere(std::move(socket_), closing_);
}

kj::Promise<std::size_t> GuardedSocket::tryRead(void* buffer, std::size_t least, std::size_t most) {
    return tryReadWithFds(buffer, least, most, nullptr, 0).then([](ReadResult result) {
        return result.byteCount;
    });
}

kj::Promise<kj::AsyncCapabilityStream::ReadResult>
GuardedSocket::tryReadWithFds(void* buffer, std::size_t least, std::size_t most,
                              kj::AutoCloseFd* fds, std::size_t most_fds) {
    return go_on(kj::heap<Reading>(buffer, least, most, fds, most_fds, closing_));
}

kj::Promise<kj::AsyncCapabilityStream::ReadResult> GuardedSocket::go_on(kj::Own<Reading> reading) {
    auto& now = *reading;
    // Of one message at a time: what comes with the next needs all the room again.
    return stream_
        ->tryReadWithFds(now.buffer + now.done.byteCount, 1, now.most - now.done.byteCount,
                         now.received.data(), now.received.size())
        .then([this, reading = kj::mv(reading)](ReadResult got) mutable -> kj::Promise<ReadResult> {
            take_in(*reading, got.capCount);
            reading->done.byteCount += got.byteCount;
            if (got.byteCount == 0 || reading->done.byteCount >= reading->least)
                return reading->done;
            return go_on(kj::mv(reading));
        });
}

/// Descriptors beyond what was asked for are nobody's.
void GuardedSocket::take_in(Reading& reading, std::size_t count) {
    for (auto& each : kj::arrayPtr(reading.received.data(), count)) {
        if (!system::is_memory(each.get()))
            kj::throwFatalException(
                KJ_EXCEPTION(FAILED, "protocol violated", "a descriptor of what is no memory"));
        if (reading.done.capCount < reading.most_fds)
            reading.fds[reading.done.capCount++] = kj::mv(each);
    }
    reading.close_received();
}

kj::Promise<kj::AsyncCapabilityStream::ReadResult>
GuardedSocket::tryReadWithStreams(void*, std::size_t, std::size_t,
                                  kj::Own<kj::AsyncCapabilityStream>*, std::size_t) {
    KJ_UNIMPLEMENTED("nobody sends streams here");
}

} // namespace shmbus::control
