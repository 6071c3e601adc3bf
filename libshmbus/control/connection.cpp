#include "control/connection.hpp"

#include "base/log.hpp"
#include "base/socket_path.hpp"
#include "base/system_error.hpp"

#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>

namespace shmbus::control {

namespace {

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

} // namespace

kj::Promise<void> release(LeaseClient& lease) {
    return std::visit([](auto& client) { return client.releaseRequest().send().ignoreResult(); },
                      lease);
}

Connection::Connection(kj::Own<kj::AsyncCapabilityStream> stream, const std::string& socket)
    : stream_(kj::mv(stream)),
      network_(*stream_, max_fds_per_message, capnp::rpc::twoparty::Side::CLIENT, reader_options()),
      rpc_(capnp::makeRpcClient(network_)),
      watch_(network_.onDisconnect()
                 .then([this, &socket] {
                     broken_ = true;
                     if (session)
                         base::log(LogLevel::warning,
                                   "the daemon at " + socket +
                                       " went away; what is mapped goes on, and the next request "
                                       "connects again");
                 })
                 .eagerlyEvaluate(nullptr)) {}

protocol::Bus::Client Connection::bus() {
    capnp::MallocMessageBuilder message;
    auto server = message.getRoot<capnp::rpc::twoparty::VatId>();
    server.setSide(capnp::rpc::twoparty::Side::SERVER);
    return rpc_.bootstrap(server).castAs<protocol::Bus>();
}

Link::Link(kj::AsyncIoContext& io, std::string socket, kj::Duration timeout)
    : io_(io), socket_(std::move(socket)), timeout_(timeout), background_(*this) {}

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
    return kj::evalNow(trouble_.noting([this] { return connect(new_socket()); }))
        .then([this] { return say_hello(); })
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
    connection_ = kj::heap<Connection>(kj::mv(stream), socket_);
    return kj::READY_NOW;
}

kj::Promise<void> Link::say_hello() {
    auto request = connection_->bus().helloRequest();
    request.setProtocolMajor(protocol::PROTOCOL_MAJOR);
    request.setProtocolMinor(protocol::PROTOCOL_MINOR);
    request.setClient("libshmbus " SHMBUS_VERSION);
    return request.send().then(
        trouble_.noting([this](capnp::Response<protocol::Bus::HelloResults>&& answer) {
            if (answer.hasRefusal()) throw_refusal(answer.getRefusal());
            connection_->session = answer.getSession();
            base::log(LogLevel::info, "connected to the daemon at " + socket_ + ", " +
                                          to_string(answer.getServer()).substr(0, 64));
        }));
}

protocol::Session::Client Link::session() { return connection_->session.value(); }

std::uint64_t Link::keep(LeaseClient lease) {
    ++last_lease_;
    if (connection_) // else it broke just now, and the lease went with it
        connection_->leases.emplace(last_lease_, kj::mv(lease));
    return last_lease_;
}

std::optional<LeaseClient> Link::take(std::uint64_t lease) {
    if (!connection_ || connection_->broken()) return std::nullopt;
    auto found = connection_->leases.extract(lease);
    if (found.empty()) return std::nullopt; // it came from an earlier connection
    return kj::mv(found.mapped());
}

protocol::SubscriberLease::Client* Link::subscriber(std::uint64_t lease) {
    if (!connection_ || connection_->broken()) return nullptr;
    const auto found = connection_->leases.find(lease);
    if (found == connection_->leases.end()) return nullptr;
    return std::get_if<protocol::SubscriberLease::Client>(&found->second);
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
