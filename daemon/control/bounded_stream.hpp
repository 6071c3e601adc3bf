// The messages of one connection, with a bound on what the peer can make the daemon hold.
//
// Cap'n Proto's RPC answers what it is asked, however much that is. Two things would grow without
// limit in the daemon: answers that the peer does not read, and the state of calls that the peer
// never finishes. So nothing more is read from a peer while too many answers wait for it to read,
// which stops it as any full pipe does, and a peer with too many unfinished calls is cut off.
//
// The protocol has capabilities in the peer's direction with one call alone, and so many: who sends others, which
// the RPC system would keep a table of, is cut off. So is who sends messages that no client has a reason to send:
// the RPC system believes that a promise which it was never given resolves to itself, and then keeps what it
// knows of the connection for ever.
#pragma once

#include <capnp/rpc-twoparty.h>
#include <capnp/serialize-async.h>
#include <functional>

namespace shmbus::control {

class BoundedStream final : public capnp::MessageStream {
  public:
    static constexpr std::size_t max_unread_answers = 64;
    static constexpr std::size_t max_unread_bytes = std::size_t{256} * 1024;
    static constexpr unsigned max_unfinished_calls = 256;

    /// Calls `on_descriptors_sent` after each message with descriptors that the kernel has taken.
    BoundedStream(kj::AsyncCapabilityStream& stream, std::function<void()> on_descriptors_sent)
        : stream_(stream), on_descriptors_sent_(std::move(on_descriptors_sent)) {}
    /// The network that uses this stream knows how much waits to be written.
    void set_network(capnp::TwoPartyVatNetwork& network) noexcept { network_ = &network; }

    kj::Promise<kj::Maybe<capnp::MessageReaderAndFds>>
    tryReadMessage(kj::ArrayPtr<kj::AutoCloseFd> fd_space, capnp::ReaderOptions options,
                   kj::ArrayPtr<capnp::word> scratch) override;
    kj::Promise<void>
    writeMessage(kj::ArrayPtr<const int> fds,
                 kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) override;
    kj::Promise<void> writeMessages(
        kj::ArrayPtr<kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>> messages) override;
    kj::Maybe<int> getSendBufferSize() override { return stream_.getSendBufferSize(); }
    kj::Promise<void> end() override { return stream_.end(); }

  private:
    [[nodiscard]] bool is_congested() const noexcept;
    void resume_reading();
    void count(capnp::MessageReader& received);

    capnp::AsyncCapabilityMessageStream stream_;
    std::function<void()> on_descriptors_sent_;
    capnp::TwoPartyVatNetwork* network_ = nullptr;
    kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> reader_; // waits for answers to be read
    unsigned unfinished_calls_ = 0;
};

} // namespace shmbus::control
