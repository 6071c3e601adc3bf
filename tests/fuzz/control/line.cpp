#include "fuzz/control/line.hpp"

#include "control/protocol.hpp"

#include <capnp/serialize.h>
#include <cerrno>
#include <sys/socket.h>

namespace shmbus::test {

namespace {

using Message = capnp::rpc::Message;

constexpr std::size_t most_given = 64;
constexpr std::size_t most_exports = 250;
constexpr std::size_t most_fds = 16; // in one message

/// @returns as sendmsg()
ssize_t send_now(int socket, Bytes bytes, const std::vector<int>& fds) {
    iovec data{const_cast<std::byte*>(bytes.data()), bytes.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(most_fds * sizeof(int))]{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    if (!fds.empty() && fds.size() <= most_fds) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
        auto* rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
        std::memcpy(CMSG_DATA(rights), fds.data(), fds.size() * sizeof(int));
    }
    return ::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

} // namespace

void Line::greet() {
    client_.bootstrap();
    client_.hello();
    asked_.emplace(1, capnp::Schema::from<protocol::Bus>().getMethods()[0].getResultType());
}

std::uint32_t Line::ask(capnp::StructSchema answer) {
    asked_.emplace(++last_question_, answer);
    return last_question_;
}

void Line::send(Bytes bytes, const std::vector<int>& fds) {
    std::size_t sent = 0;
    if (unsent_.empty() && !bytes.empty())
        if (const auto size = send_now(client_.fd(), bytes, fds); size > 0)
            sent = static_cast<std::size_t>(size);
    const auto rest = bytes.subspan(sent);
    unsent_.insert(unsent_.end(), rest.begin(), rest.end());
}

void Line::flush() {
    if (unsent_.empty()) return;
    const auto size = send_now(client_.fd(), unsent_, {});
    if (size > 0) unsent_.erase(unsent_.begin(), unsent_.begin() + size);
    if (size < 0 && errno != EAGAIN) unsent_.clear();
}

void Line::shut_down(int how) const noexcept { ::shutdown(client_.fd(), how); }

void Line::listen(Arguments& arguments, std::vector<base::Fd>& given) {
    if (is_deaf_) return;
    while (receive(given)) {
    }
    std::vector<capnp::word> words(received_.size() / 8);
    if (words.empty()) return;
    std::memcpy(words.data(), received_.data(), words.size() * 8);
    std::size_t at = 0;
    while (at < words.size()) {
        const auto rest = kj::arrayPtr(words.data() + at, words.size() - at);
        const auto wanted = capnp::expectedSizeInWordsFromPrefix(rest);
        if (wanted > rest.size()) break;
        read(rest.slice(0, wanted), arguments);
        at += wanted;
    }
    received_.erase(received_.begin(), received_.begin() + static_cast<std::ptrdiff_t>(8 * at));
}

/// @returns whether there may be more
bool Line::receive(std::vector<base::Fd>& given) {
    std::byte buffer[8'192];
    iovec data{buffer, sizeof buffer};
    alignas(cmsghdr) char control[CMSG_SPACE(most_fds * sizeof(int))];
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const auto size = ::recvmsg(client_.fd(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size <= 0) return false;
    received_.insert(received_.end(), buffer, buffer + size);
    for (auto* part = CMSG_FIRSTHDR(&message); part != nullptr;
         part = CMSG_NXTHDR(&message, part)) {
        const auto count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
            base::Fd owned(fd);
            if (given.size() < most_given) given.push_back(std::move(owned));
        }
    }
    return true;
}

void Line::read(kj::ArrayPtr<const capnp::word> words, Arguments& arguments) {
    capnp::FlatArrayMessageReader reader(words);
    const auto message = reader.getRoot<Message>();
    if (!message.isReturn()) return;
    const auto answer = message.getReturn();
    const auto asked = asked_.find(answer.getAnswerId());
    if (asked == asked_.end() || !answer.isResults()) return;
    const auto results = answer.getResults();
    for (const auto capability : results.getCapTable())
        if (capability.isSenderHosted() && exports_.size() < most_exports)
            exports_.push_back(capability.getSenderHosted());
    try {
        arguments.learn(results.getContent().getAs<capnp::DynamicStruct>(asked->second));
    } catch (const kj::Exception&) {
        return; // the question had become another one on its way
    }
}

} // namespace shmbus::test
