// Closing what others gave us.
//
// close() may take as long as whoever made a file likes: a socket that lingers, a file of a file system that
// somebody runs. A socket is closed with the descriptors in messages that nobody read, so that of a connection
// is no better. These are closed by threads that have nothing else to do.
#pragma once

#include "base/fd.hpp"

#include <atomic>
#include <memory>

namespace shmbus::system {

/// How many are being closed; whoever lets others bring some counts them.
using Closing = std::shared_ptr<std::atomic<unsigned>>;

/// Closes it, sooner or later. A socket's peer learns of it at once. Counts in `closing` until it is done.
void close_elsewhere(base::Fd fd, Closing closing = nullptr) noexcept;

/// Then close() waits for nobody.
[[nodiscard]] bool is_memory(int fd) noexcept;

} // namespace shmbus::system
