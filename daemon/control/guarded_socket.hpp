// The socket of one connection, whose peer may send descriptors that are slow to close.
//
// Where there is no room for a message's descriptors, or none was asked for, the kernel closes them, in this
// thread. So room for all is always made; what is no memory, which is all that a client has a reason to send, and
// the socket itself with what was not read from it, is closed elsewhere (system/closer.hpp).
#pragma once

#include "daemon/system/closer.hpp"

#include <kj/async-io.h>
#include <kj/io.h>

namespace shmbus::control {

class GuardedSocket final : public kj::AsyncCapabilityStream {
  public:
    /// What is closed counts in `closing` until it is.
    GuardedSocket(kj::LowLevelAsyncIoProvider& io, base::Fd socket, system::Closing closing);
    ~GuardedSocket() noexcept(false);
    KJ_DISALLOW_COPY(GuardedSocket);

    kj::Promise<std::size_t> tryRead(void* buffer, std::size_t least, std::size_t most) override;
    kj::Promise<ReadResult> tryReadWithFds(void* buffer, std::size_t least, std::size_t most,
                                           kj::AutoCloseFd* fds, std::size_t most_fds) override;
    kj::Promise<ReadResult> tryReadWithStreams(void*, std::size_t, std::size_t,
                                               kj::Own<kj::AsyncCapabilityStream>*,
                                               std::size_t) override;

    kj::Promise<void> write(const void* buffer, std::size_t size) override {
        return stream_->write(buffer, size);
    }
    kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
        return stream_->write(pieces);
    }
    kj::Promise<void> writeWithFds(kj::ArrayPtr<const kj::byte> data,
                                   kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> more,
                                   kj::ArrayPtr<const int> fds) override {
        return stream_->writeWithFds(data, more, fds);
    }
    kj::Promise<void>
    writeWithStreams(kj::ArrayPtr<const kj::byte> data,
                     kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> more,
                     kj::Array<kj::Own<kj::AsyncCapabilityStream>> streams) override {
        return stream_->writeWithStreams(data, more, kj::mv(streams));
    }
    kj::Promise<void> whenWriteDisconnected() override { return stream_->whenWriteDisconnected(); }
    void shutdownWrite() override { stream_->shutdownWrite(); }
    void abortRead() override { stream_->abortRead(); }
    void getsockopt(int level, int option, void* value, kj::uint* length) override {
        stream_->getsockopt(level, option, value, length);
    }
    kj::Maybe<int> getFd() const override { return stream_->getFd(); }

  private:
    struct Reading;
    kj::Promise<ReadResult> go_on(kj::Own<Reading> reading);
    void take_in(Reading& reading, std::size_t count);

    base::Fd socket_;
    system::Closing closing_;
    kj::Own<kj::AsyncCapabilityStream> stream_; // does not own it
};

} // namespace shmbus::control
