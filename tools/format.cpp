#include "tools/format.hpp"

#include "tools/failure.hpp"
#include "tools/text.hpp"
#include "tools/units.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace shmbus::tools {

namespace {

// The inverse of what pub --framed reads: a little-endian length, then the bytes.
void append_frame(std::string& out, std::string_view payload) {
    const auto size = static_cast<std::uint32_t>(payload.size()); // max_event is at most 1 GiB
    for (unsigned shift = 0; shift < 32; shift += 8)
        out += static_cast<char>(size >> shift & 0xFFU);
    out += payload;
}

// {"name": "value"}; a name that comes more than once has all its values in an array.
Json headers_of(const Record& record, std::string (*encode)(std::string_view)) {
    Json headers = Json::object();
    for (const Header& header : record.headers) {
        Json& values = headers[encode(header.name)];
        const std::string value = encode(header.value);
        if (values.is_null())
            values = value;
        else if (values.is_array())
            values.push_back(value);
        else
            values = Json::array({values, value});
    }
    return headers;
}

void put_headers(Json& json, const Record& record) {
    const bool text = std::all_of(record.headers.begin(), record.headers.end(), [](const auto& h) {
        return is_utf8(h.name) && is_utf8(h.value);
    });
    if (text)
        json["headers"] = headers_of(record, [](std::string_view s) { return std::string(s); });
    else
        json["headers_base64"] = headers_of(record, to_base64);
}

} // namespace

Json json_of(const Record& record) {
    Json json;
    json["topic"] = record.topic;
    json["seq"] = record.sequence;
    json["time"] = format_time(record.time);
    if (record.key.empty())
        json["key"] = nullptr;
    else
        put_bytes(json, "key", record.key);
    json["type"] = record.type;
    json["correlation"] = nullptr;
    if (!record.correlation.empty()) json["correlation"] = record.correlation.to_string();
    json["cause"] = nullptr;
    if (record.cause) {
        json["cause"] = {{"topic", record.cause->topic}, {"seq", record.cause->sequence}};
    }
    put_headers(json, record);
    json["publisher"] = record.publisher;
    if (record.attempt) json["attempt"] = *record.attempt;
    if (record.id != 0) json["id"] = record.id;
    if (record.parent_id != decltype(record.parent_id){}) {
        json["parent_id"] = to_hex(as_text(std::as_bytes(std::span(record.parent_id))));
        json["trace_flags"] = record.trace_flags;
    }
    put_bytes(json, "payload", record.payload);
    return json;
}

Format::Format(std::string_view text) {
    static constexpr std::array<std::string_view, 5> names{"lines", "raw", "framed", "hex", "json"};
    const auto* const named = std::find(names.begin(), names.end(), text);
    kind_ = static_cast<Kind>(named - names.begin()); // by_template is what follows the names
    if (kind_ != Kind::by_template) return;
    if (text.find('%') == std::string_view::npos)
        throw Failure(ExitCode::usage,
                      fmt::format("'{}' is neither lines, raw, framed, hex or json nor a template "
                                  "with fields such as '%s %p'",
                                  printable(text)));
    template_ = Template(text);
}

void Format::append(std::string& out, const Record& record) const {
    switch (kind_) {
    case Kind::lines: (out += record.payload) += '\n'; break;
    case Kind::raw: out += record.payload; break;
    case Kind::framed: append_frame(out, record.payload); break;
    case Kind::hex: (out += to_hex(record.payload)) += '\n'; break;
    case Kind::json: out += to_line(json_of(record)); break;
    case Kind::by_template: template_.append(out, record); break;
    }
}

void Format::append_gap(std::string& out, std::string_view topic, const Gap& gap) const {
    Json json;
    json["topic"] = topic;
    json["gap"] = {{"first", gap.first}, {"last", gap.last}, {"reason", name_of(gap.reason)}};
    out += to_line(json);
}

} // namespace shmbus::tools
