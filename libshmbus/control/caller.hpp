// Calls to the daemon from any thread: what a session and its leases share.
//
// A call is made on the event thread while its caller waits, so what it needs and yields may live
// on the caller's stack. Only an open that its caller gave up on goes on alone: the daemon may have
// given an entry already, which has to be given back.
#pragma once

#include "control/connection.hpp"
#include "control/event_thread.hpp"
#include "control/session.hpp"

#include <memory>
#include <string>

namespace shmbus::control {

class Caller : public std::enable_shared_from_this<Caller> {
  public:
    /// Starts the thread; connects with the first call. @throws Error(limit), Error(system)
    static std::shared_ptr<Caller> make(const std::string& socket,
                                        std::chrono::nanoseconds timeout);
    ~Caller();
    Caller(const Caller&) = delete;
    Caller& operator=(const Caller&) = delete;

    /// Has a session when it returns. @throws Error
    void connect();
    /// One call; `doing` goes into messages: "describing topic orders". `send(session)` fills a request and sends it, `read(answer)` takes what is in the
    /// answer, unless that is a refusal. Both on the event thread. @throws Error
    template <class Send, class Read>
    void call(const std::string& doing, std::chrono::nanoseconds limit, Send send, Read read);
    /// The same for an answer with a lease; `read(answer, lease)` takes what publishers and
    /// subscribers do not have alike.
    template <class Send, class Read>
    Lease open(const std::string& doing, std::chrono::nanoseconds limit, Mapped what, Send send,
               Read read);

    const std::string socket;
    const std::chrono::nanoseconds timeout; // of a call

  private:
    /// An open under way; on the heap, because it may outlive its caller's patience.
    struct Opening {
        Mapped mapped; // what it will have been
        Trouble trouble = {};
        Lease lease{};
        std::uint64_t number = 0; // the link's, of the lease
        bool abandoned = false;
    };

    Caller(std::string path, std::chrono::nanoseconds request_timeout);
    /// Has a session, then does `work` with it, all within `limit`. @throws what `trouble` says
    void run(const std::string& doing, std::chrono::nanoseconds limit, Trouble& trouble,
             kj::Function<kj::Promise<void>(protocol::Session::Client)> work);
    /// Reads the rest of an answer and keeps the lease, or gives it back.
    static kj::Promise<void> finish(Link& link, const std::shared_ptr<Opening>& opening,
                                    protocol::TopicAccess::Reader access,
                                    kj::Maybe<protocol::Memory::Client> cursor,
                                    kj::Function<void()> read);
    void release(std::uint64_t lease) noexcept;
    std::optional<SegmentFile> open_segment(std::uint64_t lease, std::uint64_t from, bool by_time,
                                            std::chrono::nanoseconds limit);
    void persist(std::uint64_t lease, std::chrono::nanoseconds limit);
    Sequence begin(std::uint64_t lease, Sequence at);

    EventThread thread_;
    kj::Own<Link> link_; // on the thread
};

/// Takes what all leases have. @pre what they do not have alike is taken. @throws Error
void read_access(protocol::TopicAccess::Reader from, Lease& lease);

/// Does what reads an answer; the RPC layer's complaints about its bytes become an Error.
template <class Read> void believe(const std::string& doing, Read read) {
    try {
        read();
    } catch (const kj::Exception& e) {
        throw Error(Errc::damaged, "the daemon's answer makes no sense, while " + doing + ": " +
                                       e.getDescription().cStr());
    }
}

template <class Send, class Read>
void Caller::call(const std::string& doing, std::chrono::nanoseconds limit, Send send, Read read) {
    Trouble trouble;
    run(doing, limit, trouble, trouble.noting([&](protocol::Session::Client session) {
        return send(session).then(trouble.noting([&](auto&& answer) {
            believe(doing, [&] {
                if (answer.hasRefusal()) throw_refusal(answer.getRefusal());
                read(answer);
            });
        }));
    }));
}

template <class Send, class Read>
Lease Caller::open(const std::string& doing, std::chrono::nanoseconds limit, Mapped what, Send send,
                   Read read) {
    const auto opening = std::make_shared<Opening>(Opening{std::move(what)});
    run(doing, limit, opening->trouble, [&](protocol::Session::Client session) {
        auto take = [=, link = link_.get()](auto&& answer) {
            if (answer.hasRefusal()) throw_refusal(answer.getRefusal());
            const auto access = answer.getAccess();
            kj::Maybe<protocol::Memory::Client> cursor;
            if constexpr (requires { answer.hasCursor(); })
                if (answer.hasCursor()) cursor = answer.getCursor();
            opening->number = link->keep(answer.getLease());
            return finish(*link, opening, access, kj::mv(cursor), [&] {
                believe(doing, [&] {
                    read(answer, opening->lease);
                    read_access(access, opening->lease);
                });
            });
        };
        auto whole = send(session).then(opening->trouble.noting(kj::mv(take))).fork();
        link_->in_background(whole.addBranch());
        return whole.addBranch().attach(kj::defer([opening] { opening->abandoned = true; }));
    });
    opening->lease.release = [caller = shared_from_this(), number = opening->number] {
        caller->release(number);
    };
    opening->lease.segment = [caller = shared_from_this(), number = opening->number](
                                 std::uint64_t from, bool by_time, std::chrono::nanoseconds limit) {
        return caller->open_segment(number, from, by_time, limit);
    };
    opening->lease.persist = [caller = shared_from_this(),
                              number = opening->number](std::chrono::nanoseconds limit) {
        caller->persist(number, limit);
    };
    opening->lease.begin = [caller = shared_from_this(), number = opening->number](Sequence at) {
        return caller->begin(number, at);
    };
    return std::move(opening->lease);
}

} // namespace shmbus::control
