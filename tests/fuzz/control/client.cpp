#include "fuzz/control/client.hpp"

#include "base/memfd.hpp"

#include <csignal>
#include <fcntl.h>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace shmbus::test {

namespace {

/// The peer of a connection is who called connect(), whoever has the socket: a child that does nothing else,
/// and lives as long as this process.
base::Fd connect_as_another(const std::string& path, pid_t& pid) {
    base::Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    int ends[2];
    if (!socket || ::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("socket");
    const base::Fd reading(ends[0]);
    base::Fd writing(ends[1]);
    const pid_t parent = ::getpid();
    pid = ::fork();
    if (pid == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        const auto* to = reinterpret_cast<const sockaddr*>(&address);
        if (::getppid() != parent || ::connect(socket.get(), to, sizeof address) != 0 ||
            ::write(writing.get(), "", 1) != 1)
            ::_exit(1);
        for (;;) ::pause();
    }
    writing = {};
    char byte = 0;
    if (::read(reading.get(), &byte, 1) != 1) throw std::runtime_error("connect");
    return socket;
}

base::Fd copy_of(const kj::Maybe<int>& fd) {
    base::Fd copy;
    KJ_IF_MAYBE (number, fd) copy = base::Fd(::fcntl(*number, F_DUPFD_CLOEXEC, 3));
    expect(static_cast<bool>(copy));
    return copy;
}

std::uint64_t mark_of(const protocol::Session::OpenPublisherResults::Reader& given) {
    return given.getPublisher();
}
std::uint64_t mark_of(const protocol::Session::OpenSubscriberResults::Reader& given) {
    return given.getToken();
}

} // namespace

Sequence Lease::publish() const {
    ring::Draft draft{};
    draft.header.publisher = static_cast<std::uint32_t>(mark);
    draft.header.chunk = layout::no_chunk;
    ring::Run run;
    const auto outcome = writer().publish({&draft, 1}, Deadline::now(), run);
    expect(outcome == PublishOutcome::published);
    return run.last;
}

Client::Client(Daemon& daemon) : daemon_(daemon) {
    using Io = kj::LowLevelAsyncIoProvider;
    auto socket = connect_as_another(daemon_.socket(), pid_);
    stream_ = daemon_.io.lowLevelProvider->wrapUnixSocketFd(
        socket.release(), Io::TAKE_OWNERSHIP | Io::ALREADY_CLOEXEC | Io::ALREADY_NONBLOCK);
    rpc_.emplace(*stream_, control::max_fds_per_message);
    auto hello = rpc_->bootstrap().castAs<protocol::Bus>().helloRequest();
    hello.setProtocolMajor(protocol::PROTOCOL_MAJOR);
    const auto welcome = ask(hello.send());
    calls_.emplace(welcome.getSession());
    thread_.emplace(welcome.getThread());
    ticket_ = welcome.getTicket();
    expect(daemon_.sessions.count() == 1);
    for (session_ = 1; !daemon_.sessions.holder(session_);) ++session_;
}

template <class Results>
Lease Client::lease_of(const capnp::Response<Results>& given, bool publishes) {
    expect(!given.hasRefusal());
    const auto access = given.getAccess();
    const auto bytes = access.getParameters();
    layout::RingParameters parameters;
    expect(bytes.size() == sizeof parameters);
    std::memcpy(&parameters, bytes.begin(), sizeof parameters);
    const auto map = [&](protocol::Memory::Client memory, bool writable) {
        auto fd = memory.getFd();
        expect(fd.poll(daemon_.io.waitScope));
        const auto copy = copy_of(fd.wait(daemon_.io.waitScope));
        return base::Mapping(copy, writable ? base::Access::read_write : base::Access::read_only,
                             base::sealed_size(copy, "memory"));
    };
    Lease lease{.number = given.getLease(),
                .entry = given.getEntry(),
                .mark = mark_of(given),
                .ring = map(access.getRing(), publishes),
                .readers = map(access.getReaders(), !publishes),
                .view = {},
                .page_memory = {}};
    if constexpr (requires { given.getCursor(); })
        if (given.hasCursor()) lease.page_memory = map(given.getCursor(), true);
    lease.view = {ring::RingView(lease.ring.bytes(), parameters),
                  ring::ReadersView(lease.readers.bytes(), parameters)};
    return lease;
}

void Client::create(const char* topic, const TopicOptions& options) {
    auto call = calls_->createTopicRequest();
    call.setName(topic);
    control::write_options(options, call.initOptions());
    expect(ask(call.send()).getCreated());
}

void Client::remove(const char* topic) {
    auto call = calls_->removeTopicRequest();
    call.setName(topic);
    expect(!ask(call.send()).hasRefusal());
}

Lease Client::publish_to(const char* topic) {
    auto call = calls_->openPublisherRequest();
    call.setTopic(topic);
    return lease_of(ask(call.send()), true);
}

Lease Client::subscribe_to(const char* topic, const char* name) {
    auto call = calls_->openSubscriberRequest();
    call.setTopic(topic);
    call.setName(name);
    return lease_of(ask(call.send()), false);
}

Lease Client::join(const char* topic, const char* group) {
    auto call = calls_->openSubscriberRequest();
    call.setTopic(topic);
    call.setName(group);
    control::write_options(GroupOptions{}, call.initGroup());
    auto lease = lease_of(ask(call.send()), false);
    auto begin = calls_->beginGroupRequest();
    begin.setLease(lease.number);
    begin.setAt(1);
    expect(!ask(begin.send()).hasRefusal());
    return lease;
}

void Client::release(const Lease& lease) {
    auto call = calls_->releaseRequest();
    call.setLease(lease.number);
    ask(call.send());
}

} // namespace shmbus::test
