// Bytes as text: what may be shown on a terminal, what may stand in JSON, and how the rest is
// encoded. Payloads, keys and process names come from strangers.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace shmbus::tools {

/// Members keep the order in which they were written.
using Json = nlohmann::ordered_json;

/// Whether this is well-formed UTF-8, as RFC 3629 defines it.
[[nodiscard]] bool is_utf8(std::string_view text) noexcept;

/// The text with everything but printable ASCII as \xHH, so that a message shows it as it is and no
/// escape sequence reaches the terminal.
[[nodiscard]] std::string printable(std::string_view text);

[[nodiscard]] std::string to_hex(std::string_view bytes);
[[nodiscard]] std::string to_base64(std::string_view bytes);

/// json[name] = bytes as text, if they are UTF-8; else json[name + "_base64"].
void put_bytes(Json& json, const std::string& name, std::string_view bytes);

/// One line of JSON, whatever the strings in it hold.
[[nodiscard]] std::string to_line(const Json& json);

/// The word of `known` that was probably meant by `typed`; empty if none is close.
[[nodiscard]] std::string nearest_word(std::string_view typed,
                                       const std::vector<std::string>& known);

} // namespace shmbus::tools
