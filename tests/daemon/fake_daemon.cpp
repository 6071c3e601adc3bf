#include "daemon/fake_daemon.hpp"

#include "base/memfd.hpp"
#include "control/protocol.hpp"
#include "daemon/system/listener.hpp"
#include "layout/ring.hpp"

#include <array>
#include <capnp/rpc-twoparty.h>
#include <condition_variable>
#include <future>
#include <kj/async-io.h>
#include <mutex>
#include <thread>

namespace shmbus::test {

namespace {

/// Counts what the test waits for, across threads.
class Tally {
  public:
    void add() {
        const std::lock_guard lock(mutex_);
        ++count_;
        changed_.notify_all();
    }
    int wait_for_one() {
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, std::chrono::seconds(30), [this] { return count_ != 0; });
        return count_;
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    int count_ = 0;
};

class FakeMemory final : public protocol::Memory::Server {
  public:
    explicit FakeMemory(kj::Maybe<int> fd) : fd_(fd) {}
    kj::Maybe<int> getFd() override { return fd_; }

  private:
    kj::Maybe<int> fd_;
};

class FakeSession final : public protocol::Session::Server {
  public:
    FakeSession(Fault fault, Tally& releases) : fault_(fault), releases_(releases) {}

    kj::Promise<void> openPublisher(OpenPublisherContext context) override {
        auto results = context.getResults();
        results.setPublisher(fault_ == Fault::zero_id ? 0 : 1);
        results.setLease(1);
        return fill(results);
    }
    kj::Promise<void> openSubscriber(OpenSubscriberContext context) override {
        auto results = context.getResults();
        results.setToken(fault_ == Fault::zero_id ? 0 : 1);
        results.setLease(1);
        return fill(results);
    }
    kj::Promise<void> release(ReleaseContext) override {
        releases_.add();
        return kj::READY_NOW;
    }
    kj::Promise<void> listTopics(ListTopicsContext context) override {
        auto results = context.getResults();
        auto topic = results.initTopics(1)[0];
        topic.setName("again");
        topic.setUuid(kj::arrayPtr(uuid_.data(), uuid_.size()));
        results.setMore(true);
        return kj::READY_NOW;
    }

  private:
    template <class Results> kj::Promise<void> fill(Results results) {
        if (fault_ == Fault::exception) return KJ_EXCEPTION(FAILED, "out of order");
        if (fault_ == Fault::unknown_refusal) {
            results.initRefusal().setCode(999);
            return kj::READY_NOW;
        }
        layout::RingParameters parameters{.capacity = 64,
                                          .slot_bytes = 128,
                                          .max_event = 64,
                                          .pool_bytes = 0,
                                          .first_sequence = 1,
                                          .max_publishers = 64,
                                          .max_readers = 64,
                                          .evict_after_ms = 1,
                                          .hold_timeout_ms = 1,
                                          .full_policy = 0,
                                          .gate = 0,
                                          .reserved = {}};
        if (fault_ == Fault::bad_parameters) parameters.capacity = 63;
        results.setEntry(fault_ == Fault::entry_beyond_table ? 64 : 0);
        auto access = results.initAccess();
        access.setUuid(
            kj::arrayPtr(uuid_.data(), uuid_.size() - (fault_ == Fault::short_uuid ? 1 : 0)));
        access.setParameters(
            kj::arrayPtr(reinterpret_cast<const kj::byte*>(&parameters),
                         sizeof parameters - (fault_ == Fault::short_parameters ? 8 : 0)));
        kj::Maybe<int> fd = memory_.get();
        if (fault_ == Fault::no_descriptors) fd = nullptr;
        access.setRing(kj::heap<FakeMemory>(fd));
        access.setReaders(kj::heap<FakeMemory>(fd));
        return kj::READY_NOW;
    }
    Fault fault_;
    Tally& releases_;
    base::Fd memory_ = base::make_memfd("fake", 4096, 0);
    const std::array<kj::byte, 16> uuid_{};
};

class FakeBus final : public protocol::Bus::Server {
  public:
    FakeBus(Fault fault, Tally& releases) : fault_(fault), releases_(releases) {}
    kj::Promise<void> hello(HelloContext context) override {
        context.getResults().setSession(kj::heap<FakeSession>(fault_, releases_));
        return kj::READY_NOW;
    }

  private:
    Fault fault_;
    Tally& releases_;
};

} // namespace

struct FakeDaemon::Impl {
    explicit Impl(const std::string& socket) : listener(socket, 0600) {}
    void serve(Fault fault, std::promise<const kj::Executor*>& started) {
        auto io = kj::setupAsyncIo();
        auto incoming = io.lowLevelProvider->wrapListenSocketFd(listener.fd().get());
        capnp::TwoPartyServer server(kj::heap<FakeBus>(fault, releases));
        auto serving = server.listenCapStreamReceiver(*incoming, control::max_fds_per_message)
                           .eagerlyEvaluate(nullptr);
        auto end = kj::newPromiseAndFulfiller<void>();
        stop = kj::mv(end.fulfiller);
        executor = kj::getCurrentThreadExecutor().addRef();
        started.set_value(executor.get());
        end.promise.wait(io.waitScope);
        stop = nullptr;
    }
    system::Listener listener;
    Tally releases;
    kj::Own<const kj::Executor> executor;
    kj::Own<kj::PromiseFulfiller<void>> stop;
    std::thread thread;
};

FakeDaemon::FakeDaemon(const std::string& socket, Fault fault)
    : impl_(std::make_unique<Impl>(socket)) {
    std::promise<const kj::Executor*> started;
    impl_->thread = std::thread([&] { impl_->serve(fault, started); });
    started.get_future().wait();
}

FakeDaemon::~FakeDaemon() {
    impl_->executor->executeSync([this] { impl_->stop->fulfill(); });
    impl_->thread.join();
}

int FakeDaemon::releases() { return impl_->releases.wait_for_one(); }

} // namespace shmbus::test
