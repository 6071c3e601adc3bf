#include "control/caller.hpp"

#include "base/system_error.hpp"

#include <algorithm>
#include <cstring>
#include <fcntl.h>
#include <sys/resource.h>

namespace shmbus::control {

namespace {

/// kj counts nanoseconds too, but a deadline far off must not overflow when it is added to now.
kj::Duration duration_of(std::chrono::nanoseconds time) {
    using std::chrono::nanoseconds;
    constexpr nanoseconds longest = std::chrono::hours(24 * 365);
    return std::clamp(time, nanoseconds(0), longest).count() * kj::NANOSECONDS;
}

/// A descriptor of our own: the capability's is closed with the capability.
base::Fd keep(const kj::Maybe<int>& received) {
    KJ_IF_MAYBE (original, received) {
        base::Fd fd(::fcntl(*original, F_DUPFD_CLOEXEC, 3));
        if (!fd) base::throw_system("keeping a descriptor of a topic's memory");
        return fd;
    }
    throw Error(Errc::damaged,
                "the daemon sent no descriptor of the topic's memory, or this process may "
                "open no more files (ulimit -n)");
}

/// Another descriptor of the same, if it is not one of the last that this process may have: those are the
/// program's.
base::Fd spare(const base::Fd& fd) {
    rlimit limit{};
    base::Fd twin(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
    const bool enough = ::getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
                        static_cast<rlim_t>(twin.get()) < limit.rlim_cur / 2;
    return twin && enough ? std::move(twin) : base::Fd();
}

Mapped keep_mapped(const Mapped& what, const Lease& lease) {
    Mapped mapped{what.topic,
                  lease.uuid,
                  lease.publisher != 0,
                  what.exclusive,
                  lease.entry,
                  lease.publisher != 0 ? lease.publisher : lease.token,
                  what.name,
                  spare(lease.ring),
                  spare(lease.readers),
                  lease.cursor_page ? spare(lease.cursor_page) : base::Fd()};
    return mapped;
}

} // namespace

void read_access(protocol::TopicAccess::Reader from, Lease& lease) {
    const auto uuid = from.getUuid();
    if (uuid.size() != lease.uuid.size())
        throw Error(Errc::damaged, "the daemon sent a topic id of a wrong size");
    std::copy(uuid.begin(), uuid.end(), lease.uuid.begin());
    lease.trusted = from.getTrusted();
    const auto parameters = from.getParameters();
    if (parameters.size() != sizeof lease.parameters)
        throw Error(Errc::incompatible, "the daemon sent ring parameters of another size");
    std::memcpy(&lease.parameters, parameters.begin(), sizeof lease.parameters);
    if (const auto problem = layout::problem_with(lease.parameters); !problem.empty())
        throw Error(Errc::damaged, "the daemon sent impossible ring parameters: " + problem);
    const bool subscriber = lease.publisher == 0;
    if (lease.entry >=
        (subscriber ? lease.parameters.max_readers : lease.parameters.max_publishers))
        throw Error(Errc::damaged, "the daemon sent an entry beyond the table");
}

std::shared_ptr<Caller> Caller::make(const std::string& socket, std::chrono::nanoseconds timeout) {
    // In the child of a fork nothing of it can be destroyed, as its thread is not there.
    return {new Caller(socket, timeout), [](const Caller* caller) {
                if (caller->thread_.is_mine()) delete caller;
            }};
}

Caller::Caller(std::string path, std::chrono::nanoseconds request_timeout)
    : socket(std::move(path)), timeout(request_timeout) {
    thread_.run([this](kj::AsyncIoContext& io) -> kj::Promise<void> {
        link_ = kj::heap<Link>(io, socket, duration_of(timeout));
        return kj::READY_NOW;
    });
}

Caller::~Caller() {
    thread_.run([this](kj::AsyncIoContext&) -> kj::Promise<void> {
        link_ = nullptr;
        return kj::READY_NOW;
    });
}

void Caller::connect() {
    Trouble trouble;
    run("saying hello", timeout, trouble,
        [](const protocol::Session::Client&) -> kj::Promise<void> { return kj::READY_NOW; });
}

void Caller::run(const std::string& doing, std::chrono::nanoseconds limit, Trouble& trouble,
                 kj::Function<kj::Promise<void>(protocol::Session::Client)> work) {
    if (!thread_.is_mine())
        throw Error(Errc::unsupported, "a bus does not survive fork(): open it anew in the child");
    thread_.run([&](kj::AsyncIoContext&) -> kj::Promise<void> {
        auto late = link_->timer().afterDelay(duration_of(limit)).then([&] {
            trouble.note(Error(Errc::timed_out, "the daemon at " + socket +
                                                    " did not answer in time while " + doing +
                                                    "; is it stopped?"));
        });
        return link_->ready()
            .then([&](std::exception_ptr failed) -> kj::Promise<void> {
                trouble.note(std::move(failed));
                if (trouble.what()) return kj::READY_NOW;
                return work(link_->session());
            })
            .exclusiveJoin(kj::mv(late))
            .catch_([&](kj::Exception&& e) {
                if (!trouble.what()) trouble.note(to_error(e, socket, doing));
            });
    });
    if (trouble.what()) std::rethrow_exception(trouble.what());
}

kj::Promise<void> Caller::finish(Link& link, const std::shared_ptr<Opening>& opening,
                                 protocol::TopicAccess::Reader access,
                                 kj::Maybe<protocol::Memory::Client> cursor,
                                 kj::Function<void()> read) {
    auto ring = access.getRing();
    auto readers = access.getReaders();
    auto page = kj::heap(kj::mv(cursor)); // a descriptor is its capability's: kept until it is kept
    return kj::evalNow(opening->trouble.noting([&] {
               read();
               return ring.getFd();
           }))
        .then(opening->trouble.noting([opening, readers](const kj::Maybe<int>& fd) mutable {
            opening->lease.ring = keep(fd);
            return readers.getFd();
        }))
        .attach(kj::mv(ring))
        .then(opening->trouble.noting(
            [opening](const kj::Maybe<int>& fd) { opening->lease.readers = keep(fd); }))
        .attach(kj::mv(readers))
        .then([&page = *page]() -> kj::Promise<kj::Maybe<int>> {
            KJ_IF_MAYBE (there, page) return there->getFd();
            return kj::Maybe<int>(nullptr);
        })
        .then(opening->trouble.noting([opening, &link](const kj::Maybe<int>& fd) {
            if (opening->lease.acknowledged || fd != nullptr) opening->lease.cursor_page = keep(fd);
            if (opening->abandoned) throw Error(Errc::timed_out, "given up");
            link.keep(opening->number, keep_mapped(opening->mapped, opening->lease));
        }))
        .attach(kj::mv(page))
        .catch_([opening, &link](kj::Exception&& e) {
            link.in_background(link.release(opening->number));
            kj::throwFatalException(kj::mv(e));
        });
}

std::optional<SegmentFile> Caller::open_segment(std::uint64_t lease, std::uint64_t from,
                                                bool by_time, std::chrono::nanoseconds limit) {
    const std::string doing = "opening a segment";
    std::optional<SegmentFile> opened;
    Trouble trouble;
    auto take = [&](auto&& answer) -> kj::Promise<void> {
        if (answer.hasRefusal()) throw_refusal(answer.getRefusal());
        if (!answer.hasSegment()) return kj::READY_NOW;
        const auto segment = answer.getSegment();
        opened = SegmentFile{
            segment.getFirst(), segment.getEnd(), segment.getBytes(), segment.getDurable(), {}};
        if (!segment.hasFile()) {
            opened->bytes = 0;
            return kj::READY_NOW;
        }
        auto file = segment.getFile();
        auto fd = file.getFd();
        return fd
            .then(trouble.noting(
                [&](const kj::Maybe<int>& received) { opened->file = keep(received); }))
            .attach(kj::mv(file));
    };
    auto ask = [&](protocol::Session::Client session) -> kj::Promise<void> {
        auto request = session.openSegmentRequest();
        request.setLease(link_->lease(lease));
        request.setFrom(from);
        request.setByTime(by_time);
        return request.send().then(trouble.noting(kj::mv(take)));
    };
    run(doing, limit, trouble, trouble.noting(kj::mv(ask)));
    return opened;
}

void Caller::persist(std::uint64_t lease, std::chrono::nanoseconds limit) {
    call(
        "bringing a cursor to disk", limit,
        [&](protocol::Session::Client& session) {
            auto request = session.persistRequest();
            request.setLease(link_->lease(lease));
            return request.send();
        },
        [](auto&) {});
}

Sequence Caller::begin(std::uint64_t lease, Sequence at) {
    Sequence acknowledged = 0;
    call(
        "beginning a group", timeout,
        [&](protocol::Session::Client& session) {
            auto request = session.beginGroupRequest();
            request.setLease(link_->lease(lease));
            request.setAt(at);
            return request.send();
        },
        [&](auto& answer) { acknowledged = answer.getAcknowledged(); });
    return acknowledged;
}

void Caller::release(std::uint64_t lease) noexcept {
    if (!thread_.is_mine()) return;
    try {
        thread_.run([&](kj::AsyncIoContext&) -> kj::Promise<void> {
            return link_->release(lease)
                .exclusiveJoin(link_->timer().afterDelay(duration_of(timeout)))
                .catch_([](kj::Exception&&) {}); // when this process dies the entry is free anyway
        });
    } catch (const std::exception&) { // NOLINT(bugprone-empty-catch): best effort, as above
    }
}

} // namespace shmbus::control
