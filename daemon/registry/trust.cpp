// Who has ever had a topic's ring for writing, and who relies on nobody else's having it.
//
// What was mapped once cannot be taken back, and rules change while topics are in use: so both are noted for as
// long as the ring lives, in the books, for the next daemon too.
#include "daemon/registry/topic.hpp"

namespace shmbus::registry {

bool Topic::is_writable_by(uid_t user) const noexcept {
    const auto relying = books_.relying_user();
    return user == 0 || !relying || *relying == user || subscriber_count() == 0;
}

void Topic::note_writer(uid_t user) noexcept {
    if (user == 0) return;
    if (const auto writer = books_.writer(); writer == Books::only_root)
        books_.set_writer(user);
    else if (writer != user)
        books_.set_writer(Books::several_users);
    if (books_.relying_user() != user)
        books_.set_relying_user(std::nullopt); // nobody is there who does
}

bool Topic::lets_rely(uid_t user) noexcept {
    if (books_.writer() != Books::only_root && books_.writer() != user) return false;
    const auto relying = books_.relying_user();
    if (relying && *relying != user && subscriber_count() > 1) return false; // one is the asker's
    books_.set_relying_user(user);
    return true;
}

} // namespace shmbus::registry
