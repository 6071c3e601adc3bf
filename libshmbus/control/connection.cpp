#include "control/connection.hpp"

#include "base/log.hpp"
#include "base/socket_path.hpp"
#include "base/system_error.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace shmbus::control {

namespace {

/// Between attempts to get back to a daemon that went away.
constexpr auto shortest_pause = 10 * kj::MILLISECONDS;
constexpr auto longest_pause = 200 * kj::MILLISECONDS;
/// A daemon that hangs up at once may have been killed that moment: so long the next one is looked for.
constexpr auto takeover = 1 * kj::SECONDS;

capnp::ReaderOptions reader_options() {
    capnp::ReaderOptions options;
    // What the daemon sends is at most half of it; the rest is for looking at things twice.
    options.traversalLimitInWords = 2 * max_message_words;
    return options;
}

base::Fd new_socket() {
    base::Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) base::throw_system("making a socket");
    return fd;
}

/// @returns false when the daemon's queue of connections is full just now
bool try_connect(const base::Fd& fd, const std::string& path) {
    base::check_socket_path(path);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
        return true;
    const int error = errno;
    switch (error) {
    case EAGAIN: return false;
    case ENOENT:
    case ENOTDIR:
    case ECONNREFUSED:
        throw Error(Errc::no_daemon, "no daemon at " + path + " (" + std::strerror(error) +
                                         "); start it with: shmbusd --socket " + path);
    default: base::throw_system("connecting to " + path, error);
    }
}

kj::Promise<kj::Maybe<int>> no_descriptor() { return kj::Maybe<int>(nullptr); }

/// Stands for one of its descriptors, and keeps it open as long as it may be sent.
class MappedMemory final : public protocol::Memory::Server {
  public:
    MappedMemory(std::shared_ptr<const Mapped> mapped, const base::Fd& fd)
        : mapped_(std::move(mapped)), fd_(fd.get()) {}
    kj::Maybe<int> getFd() override { return fd_; }

  private:
    std::shared_ptr<const Mapped> mapped_;
    int fd_;
};

void write_mapped(const std::shared_ptr<const Mapped>& mapped, protocol::Mapped::Builder to) {
    to.setTopic(to_kj(mapped->topic));
    to.setUuid(kj::arrayPtr(mapped->uuid.data(), mapped->uuid.size()));
    to.setPublishes(mapped->publishes);
    to.setExclusive(mapped->exclusive);
    to.setEntry(mapped->entry);
    to.setMark(mapped->mark);
    to.setName(to_kj(mapped->name));
    to.setRing(kj::heap<MappedMemory>(mapped, mapped->ring));
    to.setReaders(kj::heap<MappedMemory>(mapped, mapped->readers));
    if (mapped->cursor) to.setCursor(kj::heap<MappedMemory>(mapped, mapped->cursor));
}

} // namespace

Connection::Connection(kj::Own<kj::AsyncCapabilityStream> stream, kj::Function<void()> broke)
    : stream_(kj::mv(stream)),
      network_(*stream_, max_fds_per_message, capnp::rpc::twoparty::Side::CLIENT, reader_options()),
      rpc_(capnp::makeRpcClient(network_)), broke_(kj::mv(broke)),
      watch_(network_.onDisconnect()
                 .then([this] {
                     broken_ = true;
                     if (session) broke_();
                 })
                 .eagerlyEvaluate(nullptr)) {}

protocol::Bus::Client Connection::bus() {
    capnp::MallocMessageBuilder message;
    auto server = message.getRoot<capnp::rpc::twoparty::VatId>();
    server.setSide(capnp::rpc::twoparty::Side::SERVER);
    return rpc_.bootstrap(server).castAs<protocol::Bus>();
}

Link::Link(kj::AsyncIoContext& io, std::string socket, kj::Duration timeout)
    : io_(io), socket_(std::move(socket)), timeout_(timeout), background_(*this),
      pause_(shortest_pause) {}

kj::Promise<std::exception_ptr> Link::ready() {
    if (!attempting_ && connection_ && connection_->session && !connection_->broken())
        return std::exception_ptr();
    if (!attempting_) {
        attempting_ = true;
        attempt_ = attempt().fork();
    }
    return attempt_.addBranch();
}

kj::Promise<std::exception_ptr> Link::attempt() {
    trouble_ = {};
    connection_ = nullptr;
    auto late = timer().afterDelay(timeout_).then([this] {
        trouble_.note(
            Error(Errc::timed_out, "the daemon at " + socket_ + " did not answer; is it stopped?"));
    });
    return greet(timer().now() + takeover)
        .exclusiveJoin(kj::mv(late))
        .catch_([this](kj::Exception&& e) {
            if (trouble_.what()) return;
            if (e.getType() == kj::Exception::Type::DISCONNECTED)
                trouble_.note(
                    Error(Errc::disconnected, "the daemon at " + socket_ +
                                                  " closed the connection at once; "
                                                  "it is stopping, or has too many connections"));
            else
                trouble_.note(to_error(e, socket_, "saying hello"));
        })
        .then([this] {
            attempting_ = false;
            return trouble_.what();
        });
}

kj::Promise<void> Link::greet(kj::TimePoint try_until) {
    return kj::evalNow(trouble_.noting([this] { return connect(new_socket()); }))
        .then([this] { return say_hello(); })
        .catch_([this, try_until](kj::Exception&& e) -> kj::Promise<void> {
            const bool hung_up = e.getType() == kj::Exception::Type::DISCONNECTED;
            if (trouble_.what() || !hung_up || timer().now() >= try_until)
                kj::throwFatalException(kj::mv(e));
            return timer().afterDelay(shortest_pause).then([=, this] { return greet(try_until); });
        });
}

kj::Promise<void> Link::connect(base::Fd socket) {
    if (!try_connect(socket, socket_)) {
        // A Unix socket does not say when the queue has room again.
        return timer()
            .afterDelay(5 * kj::MILLISECONDS)
            .then(trouble_.noting(
                [this, socket = kj::mv(socket)]() mutable { return connect(kj::mv(socket)); }));
    }
    auto stream = io_.lowLevelProvider->wrapUnixSocketFd(
        socket.release(), kj::LowLevelAsyncIoProvider::TAKE_OWNERSHIP |
                              kj::LowLevelAsyncIoProvider::ALREADY_CLOEXEC |
                              kj::LowLevelAsyncIoProvider::ALREADY_NONBLOCK);
    connection_ = kj::heap<Connection>(kj::mv(stream), [this] { broke(); });
    return kj::READY_NOW;
}

kj::Promise<void> Link::say_hello() {
    auto request = connection_->bus().helloRequest();
    request.setProtocolMajor(protocol::PROTOCOL_MAJOR);
    request.setProtocolMinor(protocol::PROTOCOL_MINOR);
    request.setClient("libshmbus " SHMBUS_VERSION);
    request.setTicket(ticket_);
    return request.send().then(trouble_.noting(
        [this](capnp::Response<protocol::Bus::HelloResults>&& answer) -> kj::Promise<void> {
            if (answer.hasRefusal()) throw_refusal(answer.getRefusal());
            connection_->session = answer.getSession();
            ticket_ = answer.getTicket();
            base::log(LogLevel::info, "connected to the daemon at " + socket_ + ", " +
                                          to_string(answer.getServer()).substr(0, 64));
            const bool resumed = answer.getResumed();
            return hold_thread(answer.hasThread() ? answer.getThread().getFd() : no_descriptor())
                .then([this, resumed] { return resumed ? resume() : restore(0); })
                .attach(kj::mv(answer));
        }));
}

/// From now on the daemon learns at once that this thread has ended.
kj::Promise<void> Link::hold_thread(kj::Promise<kj::Maybe<int>> memory) {
    return memory.then(trouble_.noting([this](const kj::Maybe<int>& received) {
        KJ_IF_MAYBE (fd, received) {
            base::Fd own(::fcntl(*fd, F_DUPFD_CLOEXEC, 3));
            if (!own) base::throw_system("keeping a descriptor");
            connection_->thread.emplace(own);
        }
    }));
}

/// Both sides agree on what is held before anything else is asked for.
kj::Promise<void> Link::resume() {
    auto request = session().keepRequest();
    std::vector<std::uint64_t> held;
    for (const auto& [number, lease] : leases_)
        if (lease.ticket == ticket_) held.push_back(lease.lease);
    auto list = request.initLeases(static_cast<unsigned>(held.size()));
    for (unsigned i = 0; i < held.size(); ++i) list.set(i, held[i]);
    return request.send().then([this](auto&& answer) {
        for (const auto unknown : answer.getUnknown())
            for (auto& [number, lease] : leases_)
                if (lease.ticket == ticket_ && lease.lease == unknown) lease.ticket = 0;
        return restore(0);
    });
}

/// What another session had, and this daemon does not know: one after the other.
kj::Promise<void> Link::restore(std::uint64_t behind) {
    auto next = leases_.upper_bound(behind);
    while (next != leases_.end() && next->second.ticket == ticket_) ++next;
    if (next == leases_.end()) return kj::READY_NOW;
    const std::uint64_t number = next->first;
    const auto& mapped = next->second.mapped;
    if (!mapped || !mapped->ring || !mapped->readers) { // nothing to hand back
        leases_.erase(next);
        return restore(number);
    }
    auto request = session().restoreRequest();
    write_mapped(mapped, request.initMapped());
    return request.send().then([this, number](auto&& answer) {
        if (const auto held = leases_.find(number); answer.hasRefusal()) {
            base::log(LogLevel::error, "what was open of a topic is lost: " +
                                           to_string(answer.getRefusal().getMessage()));
            leases_.erase(number);
        } else if (held != leases_.end()) { // else it was released meanwhile
            held->second.lease = answer.getLease();
            held->second.ticket = ticket_;
        } else {
            auto release = session().releaseRequest();
            release.setLease(answer.getLease());
            in_background(release.send().ignoreResult());
        }
        return restore(number);
    });
}

/// What is held is claimed again as soon as there is a daemon.
void Link::broke() {
    base::log(LogLevel::warning, "the daemon at " + socket_ +
                                     " went away; what is mapped goes on, and it is tried again");
    if (!leases_.empty() || releasing_ != 0) reconnecting_ = reconnect().eagerlyEvaluate(nullptr);
}

kj::Promise<void> Link::reconnect() {
    return timer()
        .afterDelay(pause_)
        .then([this] { return ready(); })
        .then([this](const std::exception_ptr& failed) -> kj::Promise<void> {
            pause_ = failed ? std::min(2 * pause_, longest_pause) : shortest_pause;
            return failed ? reconnect() : kj::Promise<void>(kj::READY_NOW);
        });
}

protocol::Session::Client Link::session() { return connection_->session.value(); }

std::uint64_t Link::keep(std::uint64_t lease) {
    leases_.emplace(++last_number_, Held{lease, ticket_, nullptr});
    return last_number_;
}

void Link::keep(std::uint64_t number, Mapped mapped) {
    if (const auto held = leases_.find(number); held != leases_.end())
        held->second.mapped = std::make_shared<const Mapped>(std::move(mapped));
}

std::uint64_t Link::lease(std::uint64_t number) const {
    const auto found = leases_.find(number);
    if (found == leases_.end())
        throw Error(Errc::disconnected, "the daemon that opened the subscription is gone");
    return found->second.lease;
}

kj::Promise<void> Link::release(std::uint64_t number) {
    const auto held = leases_.extract(number);
    if (held.empty() || held.mapped().ticket != ticket_ || !connection_ || !connection_->session ||
        connection_->broken())
        return kj::READY_NOW;
    auto request = session().releaseRequest();
    request.setLease(held.mapped().lease);
    ++releasing_;
    return request.send().ignoreResult().attach(kj::defer([this] { --releasing_; }));
}

Error to_error(const kj::Exception& e, const std::string& socket, const std::string& doing) {
    const std::string why = e.getDescription().cStr();
    switch (e.getType()) {
    case kj::Exception::Type::DISCONNECTED:
        return {Errc::disconnected, "the daemon at " + socket + " went away while " + doing +
                                        "; it may or may not have acted"};
    case kj::Exception::Type::OVERLOADED: return {Errc::limit, doing + ": " + why};
    case kj::Exception::Type::UNIMPLEMENTED:
        return {Errc::unsupported, "the daemon at " + socket + " does not support " + doing};
    case kj::Exception::Type::FAILED: break;
    }
    return {Errc::system, "the daemon at " + socket + " failed while " + doing + ": " + why};
}

void throw_refusal(protocol::Refusal::Reader refusal) {
    const auto code = refusal.getCode();
    if (code < static_cast<int>(Errc::bad_argument) ||
        code > static_cast<int>(Errc::subscription_exists))
        throw Error(Errc::incompatible, "refused for a reason that this build does not know: " +
                                            to_string(refusal.getMessage()));
    throw Error(static_cast<Errc>(code), to_string(refusal.getMessage()));
}

} // namespace shmbus::control
