// The bus: a session, and what is made with it.
#include "shmbus/bus.hpp"

#include "base/socket_path.hpp"
#include "client/open.hpp"
#include "client/sender.hpp"
#include "control/session.hpp"

namespace shmbus {

namespace {

/// The daemon checks too; here it saves the round trip and a message that is too large.
void check(std::string_view name, const char* what) {
    if (!is_valid_name(name))
        throw Error(Errc::bad_argument,
                    std::string("a ") + what +
                        "'s name begins with a letter or digit and goes on with letters, digits, "
                        "'.', '_' and '-', at most 128 in all; this is none: '" +
                        std::string(name.substr(0, max_name_bytes)) + "'");
}
void check_name(std::string_view topic) { check(topic, "topic"); }
void check_subscription_name(std::string_view name) { check(name, "subscription"); }

base::BusScope scope_of(BusOptions::Scope scope) noexcept {
    switch (scope) {
    case BusOptions::Scope::user: return base::BusScope::user;
    case BusOptions::Scope::system: return base::BusScope::system;
    case BusOptions::Scope::automatic: break;
    }
    return base::BusScope::automatic;
}

} // namespace

std::string socket_path(const BusOptions& options) {
    return base::find_socket_path(options.socket, scope_of(options.scope));
}

Bus::Bus(const BusOptions& options) {
    if (options.request_timeout <= std::chrono::nanoseconds::zero())
        throw Error(Errc::bad_argument, "BusOptions::request_timeout must be more than 0");
    session_ = control::Session::connect(socket_path(options), options.request_timeout);
}
Bus::Bus(Bus&&) noexcept = default;
Bus& Bus::operator=(Bus&&) noexcept = default;
Bus::~Bus() = default;

Publisher Bus::publisher(std::string_view topic, const PublisherOptions& options) {
    check_name(topic);
    if (!options.name.empty()) check(options.name, "publisher");
    return Publisher(client::make_sender(session_, topic, options));
}

Subscription Bus::subscribe(std::string_view topic, const SubscribeOptions& options) {
    check_name(topic);
    if (!options.name.empty()) check_subscription_name(options.name);
    return Subscription(client::make_receiver(session_, topic, options));
}

void Bus::create_topic(std::string_view name, const TopicOptions& options) {
    check_name(name);
    session_->create_topic(name, options, false);
}

bool Bus::create_topic_if_missing(std::string_view name, const TopicOptions& options) {
    check_name(name);
    return session_->create_topic(name, options, true);
}

TopicInfo Bus::topic(std::string_view name) {
    check_name(name);
    return session_->describe_topic(name);
}

std::vector<TopicInfo> Bus::topics() { return session_->list_topics(); }

void Bus::remove_topic(std::string_view name, bool force) {
    check_name(name);
    session_->remove_topic(name, force);
}

bool Bus::drain_topic(std::string_view name, Deadline deadline) {
    check_name(name);
    return session_->drain_topic(name, false, deadline);
}

void Bus::undrain_topic(std::string_view name) {
    check_name(name);
    session_->drain_topic(name, true, Deadline::now());
}

std::vector<Incident> Bus::incidents(std::string_view topic) {
    check_name(topic);
    return session_->list_incidents(topic);
}

std::vector<SubscriptionInfo> Bus::subscriptions(std::string_view topic) {
    check_name(topic);
    return session_->list_subscriptions(topic);
}

void Bus::create_subscription(std::string_view topic, std::string_view name) {
    check_name(topic);
    check_subscription_name(name);
    session_->create_subscription(topic, name);
}

void Bus::create_group(std::string_view topic, std::string_view name, const GroupOptions& options) {
    check_name(topic);
    check_subscription_name(name);
    client::check_group(options);
    session_->create_subscription(topic, name, &options);
}

void Bus::seek_subscription(std::string_view topic, std::string_view name, const Start& start) {
    check_name(topic);
    check_subscription_name(name);
    // Where that is, a subscription finds out.
    const auto there = subscribe(topic, {.start = start, .lossy = true});
    session_->seek_subscription(topic, name, there.position() - 1);
}

void Bus::pause_subscription(std::string_view topic, std::string_view name) {
    check_name(topic);
    check_subscription_name(name);
    session_->pause_subscription(topic, name, true);
}

void Bus::resume_subscription(std::string_view topic, std::string_view name) {
    check_name(topic);
    check_subscription_name(name);
    session_->pause_subscription(topic, name, false);
}

void Bus::remove_subscription(std::string_view topic, std::string_view name, bool force) {
    check_name(topic);
    check_subscription_name(name);
    session_->remove_subscription(topic, name, force);
}

const std::string& Bus::socket() const noexcept { return session_->socket(); }

} // namespace shmbus
