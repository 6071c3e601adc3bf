#include "fuzz/control/hostile.hpp"

#include "base/memfd.hpp"
#include "fuzz/topic.hpp"

#include <sys/syscall.h>

namespace shmbus::test {

namespace {

using capnp::DynamicStruct;
using Message = capnp::rpc::Message;

constexpr std::size_t most_lines = 4;
constexpr std::size_t most_messages = 400;

/// This thread is another user meanwhile; libc would have all threads be so.
class Being {
  public:
    explicit Being(uid_t user) { become(user); }
    ~Being() { become(0); }
    Being(const Being&) = delete;
    Being& operator=(const Being&) = delete;

  private:
    static void become(uid_t user) { expect(::syscall(SYS_setresuid, -1, user, -1) == 0); }
};

} // namespace

Hostile::Hostile(Daemon& daemon, const Witness& witness, Input& input)
    : daemon_(daemon), witness_(witness), input_(input) {
    for (const auto secret : witness.secrets()) arguments_.learn(secret);
}

void Hostile::babble(bool greeted) {
    connect(admitted_user, greeted);
    if (greeted) turn();
    say_bytes(input_.rest().size());
    turn();
}

void Hostile::act() {
    connect(admitted_user, true);
    turn();
    while (!input_.empty() && sent_ < most_messages) do_one();
    turn();
}

void Hostile::do_one() {
    const auto what = input_.take<std::uint8_t>();
    switch (what & 0x1fU) {
    case 0: ask_often(false, 0); break;
    case 1: line().bootstrap(); break;
    case 2: connect(input_.pick(8) == 0 ? stranger : admitted_user, input_.pick(4) != 0); break;
    case 3: chosen_ = input_.pick(most_lines); break;
    case 4: hang_up(); break;
    case 5: line().shut_down(static_cast<int>(input_.pick(3))); break;
    case 6: finish(); break;
    case 7: let_go(); break;
    case 8: say_anything(); break;
    case 9: say_bytes(input_.pick(256)); break;
    case 10: line().turn_deaf(); break;
    case 11: pass_time(); break;
    case 12: forge_topic(); break;
    case 13: scribble_somewhere(); break;
    case 14: daemon_.topics.await_topics(input_.pick(2) != 0); break;
    case 15: daemon_.end_all_but(witness_.session()); break;
    case 16: flips_ = input_.pick(8); break;
    case 17: copies_ = 1 + input_.pick(256); break;
    default: ask_often(true, input_.take<std::uint8_t>());
    }
    if (what < 0x80) turn();
}

void Hostile::connect(uid_t user, bool greets) {
    if (lines_.size() == most_lines) return;
    {
        const Being other(user);
        lines_.emplace_back(daemon_.socket());
    }
    chosen_ = lines_.size() - 1;
    if (greets) line().greet();
}

void Hostile::hang_up() {
    if (lines_.size() == 1) return;
    lines_.erase(lines_.begin() + static_cast<std::ptrdiff_t>(chosen_ % lines_.size()));
}

/// The daemon goes on, and then answers are read.
void Hostile::turn() {
    for (auto& one : lines_) one.flush();
    daemon_.turn();
    for (auto& one : lines_) one.listen(arguments_, given_);
}

void Hostile::send(capnp::MessageBuilder& message, const std::vector<int>& fds) {
    send(bytes_of(message), fds);
}

void Hostile::send(std::vector<std::byte> bytes, const std::vector<int>& fds) {
    ++sent_;
    for (; flips_ != 0 && !bytes.empty(); --flips_)
        bytes[input_.take<std::uint16_t>() % bytes.size()] ^=
            static_cast<std::byte>(input_.take<std::uint8_t>());
    line().send(bytes, fds);
}

void Hostile::say_bytes(std::size_t most) {
    const auto bytes = std::as_bytes(input_.take_bytes(most));
    send({bytes.begin(), bytes.end()});
}

/// A message of the RPC system with whatever it may have.
void Hostile::say_anything() {
    capnp::MallocMessageBuilder message;
    arguments_.fill(message.initRoot<Message>());
    std::vector<int> fds;
    for (auto count = input_.pick(4); count != 0; --count)
        if (const int fd = forgeries_.descriptor(0, given_); fd >= 0) fds.push_back(fd);
    send(message, fds);
}

void Hostile::finish() {
    capnp::MallocMessageBuilder message;
    auto finished = message.initRoot<Message>().initFinish();
    const auto ago = static_cast<std::uint32_t>(input_.pick(16));
    finished.setQuestionId(ago == 15 ? static_cast<std::uint32_t>(arguments_.number())
                                     : line().last_question() - ago);
    finished.setReleaseResultCaps(input_.pick(2) != 0);
    send(message);
}

void Hostile::let_go() {
    capnp::MallocMessageBuilder message;
    auto release = message.initRoot<Message>().initRelease();
    const auto& exports = line().exports();
    const auto which = input_.pick(32);
    release.setId(which < exports.size() ? exports[which]
                                         : static_cast<std::uint32_t>(arguments_.number()));
    release.setReferenceCount(static_cast<std::uint32_t>(1 + input_.pick(3)));
    send(message);
}

/// A method of the session's, or of the bus's; or none.
void Hostile::ask_often(bool session, std::size_t method) {
    const auto methods = session ? capnp::Schema::from<protocol::Session>().getMethods()
                                 : capnp::Schema::from<protocol::Bus>().getMethods();
    for (; copies_ != 0; --copies_) ask(session, methods[method % methods.size()]);
    copies_ = 1;
}

void Hostile::ask(bool session, capnp::InterfaceSchema::Method method) {
    capnp::MallocMessageBuilder message;
    auto call = message.initRoot<Message>().initCall();
    call.setQuestionId(line().ask(method.getResultType()));
    call.setInterfaceId(method.getContainingInterface().getProto().getId());
    call.setMethodId(input_.pick(32) != 31 ? method.getOrdinal()
                                           : static_cast<std::uint16_t>(arguments_.number()));
    aim(call.initTarget(), session);
    capnp::BuilderCapabilityTable table;
    fill(table.imbue(call.getParams().getContent()).initAs<DynamicStruct>(method.getParamType()),
         method);
    send(message, describe(call.getParams(), static_cast<unsigned>(table.getTable().size())));
}

void Hostile::fill(DynamicStruct::Builder parameters, capnp::InterfaceSchema::Method method) {
    const auto name = method.getProto().getName();
    if (name == "restore" && input_.pick(4) != 0) {
        auto mapped = parameters.init("mapped").as<DynamicStruct>();
        if (forgeries_.hand_back(mapped.as<protocol::Mapped>())) {
            for (const char* memory : {"ring", "readers", "cursor"})
                if (input_.pick(8) != 0) Arguments::set_capability(mapped, memory);
            return;
        }
    }
    arguments_.fill(parameters);
    if (name == "hello" && input_.pick(8) != 0)
        parameters.set("protocolMajor", protocol::PROTOCOL_MAJOR);
}

void Hostile::aim(capnp::rpc::MessageTarget::Builder target, bool at_session) {
    const auto how = input_.pick(16);
    const auto& exports = line().exports();
    if (how == 0) {
        arguments_.fill(target);
    } else if (how < 4 && !exports.empty()) {
        target.setImportedCap(exports[input_.take<std::uint8_t>() % exports.size()]);
    } else {
        auto answer = target.initPromisedAnswer();
        answer.setQuestionId(at_session ? 1 : 0);
        if (at_session) answer.initTransform(1)[0].setGetPointerField(0);
    }
}

/// What stands in a message's table for its capabilities. @returns the descriptors that go with them
std::vector<int> Hostile::describe(capnp::rpc::Payload::Builder payload, unsigned capabilities) {
    std::vector<int> fds;
    if (capabilities == 0) return fds;
    auto table = payload.initCapTable(capabilities);
    for (unsigned i = 0; i < capabilities; ++i) {
        const auto how = input_.pick(16);
        if (how == 0) {
            arguments_.fill(table[i]);
            continue;
        }
        if (how == 1)
            table[i].setSenderPromise(100 + i);
        else
            table[i].setSenderHosted(100 + i);
        const int fd = forgeries_.descriptor(i, given_);
        if (fd < 0) continue;
        table[i].setAttachedFd(static_cast<std::uint8_t>(fds.size()));
        fds.push_back(fd);
    }
    return fds;
}

/// Its entries are this process's, which is the hostile client to the daemon, or another's, or nobody's.
void Hostile::forge_topic() {
    const pid_t processes[] = {::getpid(), ::getpid(), witness_.pid(), 1, 0};
    forgeries_.make_topic(processes);
}

/// Over what it was given, as far as that is for it to write to.
void Hostile::scribble_somewhere() {
    if (given_.empty()) return;
    const auto& fd = given_[input_.take<std::uint8_t>() % given_.size()];
    if (witness_.is_shared_ring(fd)) return;
    try {
        const auto size = base::sealed_size(fd, "memory");
        const base::Mapping mapping(fd, base::Access::read_write, size);
        if (size == layout::group_bytes && input_.pick(4) != 0) move_all_slots(mapping.bytes());
        scribble(mapping.bytes(), 0, std::min<std::size_t>(size, 8'192), input_);
    } catch (const Error&) {
        return; // a file, or opened read-only
    }
}

/// To where it says, in one go: what one of them says counts for little.
void Hostile::move_all_slots(std::span<std::byte> group) {
    const group::Table table(group);
    const auto what = input_.take<std::uint8_t>();
    const auto word = arguments_.number();
    for (std::uint32_t k = 0; k < key_slots; ++k) {
        auto& slot = table.slot(k);
        const auto epoch = layout::SlotWord(slot.word.load_relaxed()).epoch() + (what >> 6U);
        const layout::SlotWord moved(epoch, static_cast<layout::SlotPhase>(what % 4U), word);
        slot.word.store_relaxed(moved.word());
        if ((what & 4U) != 0) slot.due.store_relaxed(word);
        if ((what & 8U) != 0) slot.tries.store_relaxed(word);
        if ((what & 16U) != 0) slot.owner.store_relaxed(word);
    }
}

void Hostile::pass_time() {
    constexpr kj::Duration steps[] = {1 * kj::MILLISECONDS, 10 * kj::MILLISECONDS,
                                      1 * kj::SECONDS,      6 * kj::SECONDS,
                                      11 * kj::SECONDS,     11 * kj::MINUTES};
    const auto step = steps[input_.pick(std::size(steps))];
    for (auto times = 1 + input_.pick(16); times != 0; --times) daemon_.pass(step);
}

} // namespace shmbus::test
