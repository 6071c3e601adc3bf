#include "daemon/raw_client.hpp"

#include "control/protocol.hpp"

#include <capnp/schema.h>
#include <capnp/serialize.h>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <stdexcept>
#include <sys/socket.h>
#include <sys/un.h>

namespace shmbus::test {

namespace {

constexpr int patience_ms = 60'000;

bool wait_for(int fd, short events, int timeout_ms) {
    pollfd state{.fd = fd, .events = events, .revents = 0};
    return ::poll(&state, 1, timeout_ms) == 1;
}

} // namespace

std::vector<std::byte> bytes_of(capnp::MessageBuilder& message) {
    const auto words = capnp::messageToFlatArray(message);
    const auto bytes = std::as_bytes(std::span(words.begin(), words.size()));
    return {bytes.begin(), bytes.end()};
}

RawClient::RawClient(const std::string& socket)
    : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socket.copy(address.sun_path, sizeof address.sun_path - 1);
    if (::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        throw std::runtime_error("connect: " + std::string(std::strerror(errno)));
}

std::size_t RawClient::send(Bytes bytes) {
    std::size_t sent = 0;
    while (sent < bytes.size() && wait_for(fd(), POLLOUT, 50)) {
        const ssize_t size =
            ::send(fd(), bytes.data() + sent, bytes.size() - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (size < 0 && errno == EAGAIN) continue;
        if (size < 0) break;
        sent += static_cast<std::size_t>(size);
    }
    return sent;
}

std::size_t RawClient::send(capnp::MessageBuilder& message) { return send(bytes_of(message)); }

std::optional<kj::Array<capnp::word>> RawClient::receive() {
    std::vector<std::byte> bytes;
    for (std::size_t wanted = 8; bytes.size() < wanted;) {
        if (!wait_for(fd(), POLLIN, patience_ms)) throw std::runtime_error("no answer");
        std::byte buffer[4096];
        const auto most = std::min(sizeof buffer, wanted - bytes.size());
        const ssize_t size = ::recv(fd(), buffer, most, 0);
        if (size <= 0) return std::nullopt;
        bytes.insert(bytes.end(), buffer, buffer + size);
        if (bytes.size() < 8) continue;
        std::vector<capnp::word> words(bytes.size() / 8);
        std::memcpy(words.data(), bytes.data(), words.size() * 8);
        wanted = 8 * capnp::expectedSizeInWordsFromPrefix(kj::arrayPtr(words.data(), words.size()));
    }
    auto message = kj::heapArray<capnp::word>(bytes.size() / 8);
    std::memcpy(message.begin(), bytes.data(), bytes.size());
    return message;
}

void RawClient::read_until_quiet() {
    char buffer[4096];
    while (wait_for(fd(), POLLIN, 5) && ::recv(fd(), buffer, sizeof buffer, 0) > 0) {
    }
}

void RawClient::expect_hang_up() {
    char buffer[4096];
    for (;;) {
        if (!wait_for(fd(), POLLIN, patience_ms))
            throw std::runtime_error("the daemon does not hang up");
        if (::recv(fd(), buffer, sizeof buffer, 0) <= 0) return;
    }
}

void RawClient::bootstrap() {
    capnp::MallocMessageBuilder message;
    message.initRoot<capnp::rpc::Message>().initBootstrap().setQuestionId(0);
    send(message);
}

void RawClient::hello() {
    capnp::MallocMessageBuilder message;
    auto call = message.initRoot<capnp::rpc::Message>().initCall();
    call.setQuestionId(1);
    call.initTarget().initPromisedAnswer().setQuestionId(0);
    call.setInterfaceId(capnp::typeId<protocol::Bus>());
    call.setMethodId(0);
    auto parameters = call.initParams().getContent().initAs<protocol::Bus::HelloParams>();
    parameters.setProtocolMajor(protocol::PROTOCOL_MAJOR);
    parameters.setClient("raw");
    send(message);
}

std::vector<std::byte> RawClient::call_of(std::uint32_t question, std::uint16_t method) {
    capnp::MallocMessageBuilder message;
    auto call = message.initRoot<capnp::rpc::Message>().initCall();
    call.setQuestionId(question);
    auto answer = call.initTarget().initPromisedAnswer();
    answer.setQuestionId(1);
    answer.initTransform(1)[0].setGetPointerField(0); // the session
    call.setInterfaceId(capnp::typeId<protocol::Session>());
    call.setMethodId(method);
    call.initParams();
    return bytes_of(message);
}

std::vector<std::byte> RawClient::finish_of(std::uint32_t question) {
    capnp::MallocMessageBuilder message;
    message.initRoot<capnp::rpc::Message>().initFinish().setQuestionId(question);
    return bytes_of(message);
}

} // namespace shmbus::test
