// Bytes as text: what may be shown on a terminal, what may stand in JSON, and how the rest is
// encoded. Payloads, keys and process names come from strangers.
#pragma once

#include "text/words.hpp"

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace shmbus::tools {

using text::nearest_word;
using text::printable;

/// Members keep the order in which they were written.
using Json = nlohmann::ordered_json;

/// Whether this is well-formed UTF-8, as RFC 3629 defines it.
[[nodiscard]] bool is_utf8(std::string_view text) noexcept;

[[nodiscard]] std::string to_hex(std::string_view bytes);
[[nodiscard]] std::string to_base64(std::string_view bytes);

/// json[name] = bytes as text, if they are UTF-8; else json[name + "_base64"].
void put_bytes(Json& json, const std::string& name, std::string_view bytes);

/// One line of JSON, whatever the strings in it hold.
[[nodiscard]] std::string to_line(const Json& json);

} // namespace shmbus::tools
