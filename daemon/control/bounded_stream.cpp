#include "daemon/control/bounded_stream.hpp"

#include "control/protocol.hpp"

#include <capnp/rpc.capnp.h>
#include <kj/debug.h>

namespace shmbus::control {

namespace {

[[noreturn]] void cut_off(const char* why) {
    kj::throwFatalException(KJ_EXCEPTION(FAILED, "protocol violated", why));
}

} // namespace

bool BoundedStream::is_congested() const noexcept {
    return network_->getCurrentQueueCount() >= max_unread_answers ||
           network_->getCurrentQueueSize() >= max_unread_bytes;
}

namespace {

/// The one call that comes with some: ring, readers object and cursor page.
unsigned most_capabilities(capnp::rpc::Call::Reader call) {
    constexpr std::uint16_t restore = 16;
    const bool is_it = call.getInterfaceId() == capnp::typeId<protocol::Session>() &&
                       call.getMethodId() == restore;
    return is_it ? 3 : 0;
}

} // namespace

kj::Promise<kj::Maybe<capnp::MessageReaderAndFds>>
BoundedStream::tryReadMessage(kj::ArrayPtr<kj::AutoCloseFd> fd_space, capnp::ReaderOptions options,
                              kj::ArrayPtr<capnp::word> scratch) {
    if (is_congested()) {
        auto room = kj::newPromiseAndFulfiller<void>();
        reader_ = kj::mv(room.fulfiller);
        return room.promise.then([this, fd_space, options, scratch] {
            return tryReadMessage(fd_space, options, scratch);
        });
    }
    return stream_.tryReadMessage(fd_space, options, scratch)
        .then([this](kj::Maybe<capnp::MessageReaderAndFds>&& received) {
            KJ_IF_MAYBE (message, received) {
                count(*message->reader);
            }
            return kj::mv(received);
        });
}

void BoundedStream::count(capnp::MessageReader& received) {
    using capnp::rpc::Message;
    const auto message = received.getRoot<Message>();
    switch (message.which()) {
    case Message::CALL:
        if (message.getCall().getParams().hasCapTable() &&
            message.getCall().getParams().getCapTable().size() >
                most_capabilities(message.getCall()))
            cut_off("a call with capabilities");
        [[fallthrough]];
    case Message::BOOTSTRAP:
        if (++unfinished_calls_ > max_unfinished_calls) cut_off("too many unfinished calls");
        break;
    case Message::FINISH: // of a call that is not there: the RPC system ends the connection
        if (unfinished_calls_ != 0) --unfinished_calls_;
        break;
    case Message::RELEASE:
    case Message::ABORT: break;
    default: cut_off("a message that no client has a reason to send");
    }
}

kj::Promise<void>
BoundedStream::writeMessage(kj::ArrayPtr<const int> fds,
                            kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) {
    return stream_.writeMessage(fds, segments).then([this, with_fds = fds.size() != 0] {
        if (with_fds) on_descriptors_sent_();
        resume_reading();
    });
}

kj::Promise<void> BoundedStream::writeMessages(
    kj::ArrayPtr<kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>> messages) {
    return stream_.writeMessages(messages).then([this] { resume_reading(); });
}

void BoundedStream::resume_reading() {
    // The network counts the message just written until this returns. That is no trouble: the last
    // one alone is far below the limits.
    KJ_IF_MAYBE (waiting, reader_) {
        (*waiting)->fulfill();
    }
    reader_ = nullptr;
}

} // namespace shmbus::control
