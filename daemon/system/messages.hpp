// What the journal can be asked for: messages of their own MESSAGE_ID. shmbus.catalog says to people what each
// means and what to do (journalctl -x), and tests/meta/catalog_test.py that both know the same ones.
#pragma once

#include "daemon/system/log.hpp"

namespace shmbus::system::messages {

inline constexpr Message session_begun{"6aef844377dc49168dfd80ac44622857", Level::info};
inline constexpr Message session_hung_up{"18a0f3f092a143cdaaec1abc80421abc", Level::info};
inline constexpr Message session_ending{"f2e6dd7796384d50aa5a8ef9b2cf6c8b", Level::info};
inline constexpr Message session_ended{"d398b5073f2c408199ee1714e5302d6f", Level::info};
inline constexpr Message peer_silent{"6f7f8a7abda3436abfad86533d4f6478", Level::notice};
inline constexpr Message peer_refused{"4e7eb69fcf5c4cc68987d277ecea38e8", Level::warning};
inline constexpr Message topic_made{"6d652e1df6734e8eb00d7391cc148bc2", Level::info};
inline constexpr Message topic_removed{"889598522859473292dbaa15b43cf5bf", Level::info};
inline constexpr Message topic_drained{"dc228f1680a640d09f0512e463e33920", Level::info};
inline constexpr Message topic_stalled{"53904a9074a14fad8fa0d3a41f88798f", Level::warning};
inline constexpr Message topic_handed_back{"bdd5df861f8640cca851680bce6ef51f", Level::notice};
inline constexpr Message topic_unavailable{"b5d9359dd39e4f5b9fd6291f3b667487", Level::error};
inline constexpr Message topic_not_adopted{"fa0d0f15bb86473b84a8b5517bfbeed7", Level::error};
inline constexpr Message topic_degraded{"b45ad60e2fc04fb080c285abdd6d414c", Level::error};
inline constexpr Message topic_recovered{"118f8fd548544a9cb22b9f73b00be898", Level::notice};
inline constexpr Message topic_not_stored{"11baa981aa7a493daf93f1e8e8de3d91", Level::warning};
inline constexpr Message topic_files_trouble{"a4f74635beef449c9b9a2541a131e941", Level::warning};
inline constexpr Message subscription_damaged{"4039991be2be483ea7ed114f17707713", Level::error};
inline constexpr Message subscription_not_kept{"c81ce31efd85414f84c29e8b9b5fb3a0", Level::error};
inline constexpr Message subscription_changed{"1ce6620297b840aca8252e90233d07b1", Level::info};
inline constexpr Message consumer_started{"3cbe5a1fdbd34e86a3b2a2eb2c0f9a17", Level::info};
inline constexpr Message consumer_not_started{"a0d58c9c16e5463ba2b7f64c59e0fd62", Level::error};

} // namespace shmbus::system::messages
