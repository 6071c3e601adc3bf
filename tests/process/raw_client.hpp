// A client that keeps what the library closes: it speaks the control protocol by itself and holds
// the descriptors of a topic's memory, as somebody would who is up to something.
#pragma once

#include "base/fd.hpp"
#include "layout/ring.hpp"

#include <string>

namespace shmbus::test {

struct RawLease {
    base::Fd ring;
    base::Fd readers;
    layout::RingParameters parameters{};
    layout::Uuid uuid{};
};

enum class RawRole { publisher, subscriber };

/// Opens a topic. The session lasts as long as this process. @throws std::runtime_error
[[nodiscard]] RawLease raw_open(const std::string& socket, const std::string& topic, RawRole role);

} // namespace shmbus::test
