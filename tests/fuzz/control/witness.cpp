#include "fuzz/control/witness.hpp"

#include "base/memfd.hpp"
#include "daemon/raw_client.hpp"
#include "fuzz/input.hpp"
#include "ring/recovery.hpp"
#include "support/descriptors.hpp"

#include <csignal>
#include <fcntl.h>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace shmbus::test {

namespace {

constexpr const char* own_subscription = "mine";
constexpr std::size_t most_topics = 100;                 // there are less
constexpr const char* new_topic = "made-by-the-witness"; // longer than names that others make up

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

layout::CursorPage& page_in(const base::Mapping& mapping) {
    return *reinterpret_cast<layout::CursorPage*>(mapping.bytes().data());
}

} // namespace

Witness::Witness(Daemon& daemon) : daemon_(daemon) {
    greet();
    make_topics();
    check();
    check_new_topic();
    daemon_.turn(); // for what it released
    files_ = daemon_.context.files;
}

void Witness::greet() {
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
    secrets_.push_back(welcome.getTicket());
    expect(daemon_.sessions.count() == 1);
    for (session_ = 1; !daemon_.sessions.holder(session_);) ++session_;
}

void Witness::make_topics() {
    auto options = small_options();
    create(private_topic, options);
    options.full = FullPolicy::drop_oldest;
    create(shared_topic, options);
    options = small_options();
    options.retention = Retention::disk;
    create(disk_topic, options);
    publisher_ = publish_to(private_topic);
    subscriber_ = subscribe_to(private_topic, own_subscription);
    reader_.emplace(subscriber_->view, subscriber_->entry, subscriber_->mark, false,
                    ring::Filter{});
    reader_->join(Start::all());
    shared_publisher_ = publish_to(shared_topic);
    shared_subscriber_ = subscribe_to(shared_topic);
    disk_subscriber_ = subscribe_to(disk_topic);
    for (const auto& lease :
         {&publisher_, &subscriber_, &shared_publisher_, &shared_subscriber_, &disk_subscriber_})
        secrets_.push_back((*lease)->number);
    const auto publisher = publish_to(disk_topic);
    const auto last = publish(publisher);
    ring::SharedWriter writer(publisher.view, publisher.entry);
    expect(writer.wait_durable(last, std::chrono::seconds(60)) == Durability::durable);
    release(publisher);
}

/// What does not wait for a disk is answered as soon as it was asked.
template <class Results>
capnp::Response<Results> Witness::ask(capnp::RemotePromise<Results> promise) {
    expect(promise.poll(daemon_.io.waitScope));
    return promise.wait(daemon_.io.waitScope);
}

template <class Results>
Witness::Lease Witness::lease_of(const capnp::Response<Results>& given, bool publishes) {
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
                .page = {}};
    if constexpr (requires { given.getCursor(); })
        if (given.hasCursor()) lease.page = map(given.getCursor(), true);
    lease.view = {ring::RingView(lease.ring.bytes(), parameters),
                  ring::ReadersView(lease.readers.bytes(), parameters)};
    return lease;
}

void Witness::create(const char* topic, const TopicOptions& options) {
    auto call = calls_->createTopicRequest();
    call.setName(topic);
    control::write_options(options, call.initOptions());
    expect(ask(call.send()).getCreated());
}

void Witness::remove(const char* topic) {
    auto call = calls_->removeTopicRequest();
    call.setName(topic);
    expect(!ask(call.send()).hasRefusal());
}

Witness::Lease Witness::publish_to(const char* topic) {
    auto call = calls_->openPublisherRequest();
    call.setTopic(topic);
    return lease_of(ask(call.send()), true);
}

Witness::Lease Witness::subscribe_to(const char* topic, const char* name) {
    auto call = calls_->openSubscriberRequest();
    call.setTopic(topic);
    call.setName(name);
    return lease_of(ask(call.send()), false);
}

void Witness::release(const Lease& lease) {
    auto call = calls_->releaseRequest();
    call.setLease(lease.number);
    ask(call.send());
}

bool Witness::is_shared_ring(const base::Fd& memory) const {
    for (const char* topic : {shared_topic, disk_topic})
        if (base::is_same_memory(daemon_.topics.awake(topic)->shared().ring().writable, memory))
            return true;
    return false;
}

void Witness::check() {
    const auto acknowledged = exchange(*publisher_, *reader_);
    page_in(subscriber_->page).cursor.store_release(acknowledged);
    check_private(acknowledged);
    (void)publish(*shared_publisher_);
}

Sequence Witness::publish(const Lease& publisher) {
    ring::SharedWriter writer(publisher.view, publisher.entry);
    ring::Draft draft{};
    draft.header.publisher = static_cast<std::uint32_t>(publisher.mark);
    draft.header.chunk = layout::no_chunk;
    draft.header.event_id = 42;
    ring::Run run;
    const auto outcome = writer.publish({&draft, 1}, Deadline::now(), run);
    expect(outcome == PublishOutcome::published);
    return run.last;
}

/// One event, from its publisher to its subscriber.
Sequence Witness::exchange(const Lease& publisher, ring::Reader& reader) {
    const auto last = publish(publisher);
    std::vector<std::byte> buffer(reader.ring().inline_capacity());
    ring::Place place;
    place.buffer = buffer.data();
    expect(reader.look(place) == ring::Reader::Look::event);
    expect(place.sequence == last && place.header.event_id == 42);
    (void)reader.release(place);
    reader.acknowledge(last);
    return last;
}

void Witness::check_private(Sequence acknowledged) {
    auto describe = calls_->describeTopicRequest();
    describe.setName(private_topic);
    const auto described = ask(describe.send());
    const auto topic = described.getTopic();
    expect(topic.getPublisherCount() == 1 && topic.getSubscriberCount() == 1);
    expect(topic.getPublishers()[0].getPid() == static_cast<std::uint32_t>(pid_));
    expect(topic.getSubscribers()[0].getPid() == static_cast<std::uint32_t>(pid_));
    expect(topic.getHead() == acknowledged && !topic.getDraining());

    auto list = calls_->listSubscriptionsRequest();
    list.setTopic(private_topic);
    list.setLimit(10);
    const auto listed = ask(list.send());
    const auto all = listed.getSubscriptions();
    expect(all.size() == 1 && all[0].getName() == own_subscription);
    expect(all[0].getHolder().getPid() == static_cast<std::uint32_t>(pid_));
    expect(all[0].getCursor() == acknowledged && !all[0].getPaused());
    expect(page_in(subscriber_->page).state.load_acquire() ==
           static_cast<std::uint32_t>(layout::HoldState::live));
}

void Witness::check_new_topic() {
    create(new_topic, small_options());
    {
        const auto publisher = publish_to(new_topic);
        const auto subscriber = subscribe_to(new_topic);
        ring::Reader reader(subscriber.view, subscriber.entry, subscriber.mark, false, {});
        reader.join(Start::all());
        expect(exchange(publisher, reader) == 1);
        release(subscriber);
        release(publisher);
    }
    remove(new_topic);
}

void Witness::check_new_connection() {
    RawClient client(daemon_.socket());
    client.bootstrap();
    client.hello();
    client.send(RawClient::call_of(2, 1));
    daemon_.turn();
    for (int answers = 0; answers < 3; ++answers) expect(client.receive().has_value());
}

void Witness::check_alone(std::size_t descriptors) {
    expect(daemon_.sessions.count() == 1);
    expect(daemon_.context.files == files_ && daemon_.context.files_of_user.size() == 1);
    for (const auto& entry : daemon_.topics.list("", most_topics).topics)
        if (entry.awake) check_topic(entry.name, *entry.awake);
    remove_what_others_made();
    auto& real = daemon_.io.provider->getTimer();
    const Deadline late = std::chrono::seconds(8); // a fuzzer has no more for an input
    while (test::descriptors() != descriptors) {
        expect(!late.passed());
        real.afterDelay(1 * kj::MILLISECONDS).wait(daemon_.io.waitScope);
    }
}

/// Held by the witness alone, or by nobody.
void Witness::check_topic(const std::string& name, const registry::Topic& topic) {
    const bool has_publisher = name == private_topic || name == shared_topic;
    const bool is_own = has_publisher || name == disk_topic;
    expect(topic.publisher_count() == (has_publisher ? 1 : 0));
    expect(topic.subscriber_count() == (is_own ? 1 : 0));
    if (is_own) expect(topic.state() == layout::RingState::open);
    if (name == disk_topic) expect(topic.disk()->kept().trouble.empty());
}

void Witness::remove_what_others_made() {
    for (const auto& entry : daemon_.topics.list("", most_topics).topics) {
        const auto& name = entry.name;
        if (name == private_topic) continue;
        const auto topic = daemon_.topics.find(name);
        if (name != shared_topic && name != disk_topic) {
            daemon_.topics.remove(topic, true);
            continue;
        }
        for (const auto& subscription : topic->subscriptions().list())
            topic->subscriptions().remove(subscription.name, false, {});
    }
}

} // namespace shmbus::test
