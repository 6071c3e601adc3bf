// The bytes of a cursor page: where the holder of a durable subscription notes how far it has come.
//
// Made by the daemon for one holder, who maps it for writing; nobody else does. When the subscription
// goes to another holder that one gets a page of its own, and what is written to this one counts no more.
#pragma once

#include "layout/ring.hpp"

namespace shmbus::layout {

inline constexpr std::uint64_t cursor_magic = 0x31727275'636d6873; // "shmcurr1", little-endian
inline constexpr std::uint64_t cursor_page_bytes = page;

enum class HoldState : std::uint32_t {
    live = 0,
    paused = 1, // nothing is to be received for now
    ended = 2,  // somebody else has it, or it was removed
};

struct CursorPage {
    std::uint64_t magic;
    std::uint16_t major;
    std::uint16_t minor;
    std::uint32_t reserved0;
    std::uint64_t total_bytes;
    Uuid topic;
    std::array<std::uint8_t, 24> reserved1;

    alignas(64) Word64 cursor; // the last acknowledged sequence; written by the holder
    alignas(64) Word32 state;  // HoldState; written by the daemon
};
static_assert(offsetof(CursorPage, cursor) == 64 && offsetof(CursorPage, state) == 128);

} // namespace shmbus::layout
