// From a session to the two data-path ends: lease, map, check, attach.
#pragma once

#include "control/session.hpp"
#include "shmbus/publisher.hpp"
#include "shmbus/subscription.hpp"

namespace shmbus::client {

/// @throws Error as Bus::publisher() says
std::unique_ptr<Sender> make_sender(std::shared_ptr<control::Session> session,
                                    std::string_view topic, const PublisherOptions& options);

/// The caller owns the result through Subscription. @throws Error as Bus::subscribe() says
Receiver* make_receiver(std::shared_ptr<control::Session> session, std::string_view topic,
                        const SubscribeOptions& options);

/// @throws Error(bad_argument) when these cannot be a group's
void check_group(const GroupOptions& options);

} // namespace shmbus::client
