// Bytes that claim to be a configuration, in two files: they are read to the end, or refused with a place and
// a reason; and a text means the same each time.
#include "daemon/config/settings.hpp"
#include "input.hpp"

using namespace shmbus;
using test::expect;

namespace {

/// What was read, or why not.
std::string outcome(std::span<const config::File> files, config::Settings& settings) {
    try {
        settings = config::read_settings(files);
        return {};
    } catch (const Error& e) {
        expect(e.code() == Errc::bad_argument);
        const std::string what = e.what();
        expect(what.starts_with("f1") || what.starts_with("f2"));
        for (const char c : what) expect(static_cast<unsigned char>(c) >= ' ' && c != 0x7f);
        return what;
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view all(reinterpret_cast<const char*>(data), size);
    const auto first = all.substr(0, all.find('\f')); // a form feed is between the two
    const auto second = all.substr(std::min(first.size() + 1, all.size()));
    const config::File files[] = {{"f1", std::string(first)}, {"f2", std::string(second)}};
    config::Settings settings;
    config::Settings again;
    const auto refused = outcome(files, settings);
    expect(refused == outcome(files, again));
    if (!refused.empty()) return 0;
    expect(settings.access == again.access && settings.limits == again.limits);
    for (const auto& [name, topic] : settings.topics) {
        expect(is_valid_name(name));
        expect(again.topics.contains(name));
        expect(topic.choice.options() == again.topics.at(name).choice.options());
    }
    return 0;
}
