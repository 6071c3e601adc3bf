#include "daemon/config/files.hpp"

#include "base/fd.hpp"
#include "base/system_error.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <optional>
#include <unistd.h>

namespace shmbus::config {

namespace {

constexpr std::size_t max_drop_ins = 256;

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

std::string users_file() {
    constexpr const char* name = "/shmbus/shmbusd.conf";
    if (const auto home = environment("XDG_CONFIG_HOME"); !home.empty()) return home + name;
    if (const auto home = environment("HOME"); !home.empty()) return home + "/.config" + name;
    return {};
}

/// Nothing when there is no such file. One byte more than is allowed is enough to know.
std::optional<std::string> read(const std::string& path) {
    const base::Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file && (errno == ENOENT || errno == ENOTDIR)) return std::nullopt;
    if (!file) base::throw_system("opening the configuration " + path);
    std::string text(max_file_bytes + 1, '\0');
    std::size_t size = 0;
    while (size < text.size()) {
        const ssize_t more = ::read(file.get(), text.data() + size, text.size() - size);
        if (more < 0 && errno == EINTR) continue;
        if (more < 0) base::throw_system("reading the configuration " + path);
        if (more == 0) break;
        size += static_cast<std::size_t>(more);
    }
    text.resize(size);
    return text;
}

std::vector<std::string> drop_ins_of(const std::string& directory) {
    std::vector<std::string> names;
    std::error_code error;
    for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
         entry.increment(error)) {
        const auto name = entry->path().filename().string();
        if (name.starts_with('.') || !name.ends_with(".conf")) continue;
        if (names.size() == max_drop_ins)
            throw Error(Errc::bad_argument,
                        fmt::format("{} has more than {} files: put some of them together",
                                    directory, max_drop_ins));
        names.push_back(entry->path().string());
    }
    if (error && error != std::errc::no_such_file_or_directory)
        base::throw_system("reading the directory " + directory, error.value());
    std::sort(names.begin(), names.end());
    return names;
}

} // namespace

Source find_source(const std::string& given, const std::string& socket, base::BusScope scope) {
    if (!given.empty()) return {given, true};
    const auto runtime = environment("XDG_RUNTIME_DIR");
    const bool is_systems = socket.empty() ? base::is_system(scope) : socket == base::system_socket;
    const bool is_users =
        socket.empty() ? !is_systems : !runtime.empty() && socket == base::user_socket_in(runtime);
    if (is_systems) return {"/etc/shmbus/shmbusd.conf"};
    return {is_users ? users_file() : ""};
}

std::vector<File> read_files(const Source& source) {
    if (source.file.empty()) return {};
    std::vector<File> files;
    const auto add = [&](const std::string& path) {
        auto text = read(path);
        if (text) files.push_back({path, std::move(*text)});
        return text.has_value();
    };
    if (!add(source.file) && source.must_exist)
        throw Error(Errc::bad_argument, "there is no configuration " + source.file +
                                            "; make it, or choose another --config");
    for (const auto& path : drop_ins_of(source.file + ".d")) add(path);
    return files;
}

} // namespace shmbus::config
