#include "client/segment_files.hpp"

#include "base/system_error.hpp"
#include "layout/segment.hpp"

#include <algorithm>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <sys/stat.h>
#include <utility>

namespace shmbus::client {

namespace {

struct CloseStream {
    void operator()(DIR* stream) const noexcept { ::closedir(stream); }
};

/// How much of it is there.
std::size_t read_all(const base::Fd& fd, std::span<std::byte> to) {
    std::size_t piece = std::size_t{1} << 30U;
    std::size_t at = 0;
    while (at < to.size()) {
        const std::size_t wanted = std::min(piece - at % piece, to.size() - at);
        const auto count = ::pread(fd.get(), to.data() + at, wanted, static_cast<off_t>(at));
        if (count > 0)
            at += static_cast<std::size_t>(count);
        else if (count == 0) // it was cut off meanwhile
            break;
        else if (errno == EINTR)
            continue;
        else if (piece != layout::page) // from here on it is found out what cannot be read
            piece = layout::page;
        else
            at += wanted;
    }
    return at;
}

} // namespace

SegmentFiles::SegmentFiles(std::string directory)
    : path_(std::move(directory)),
      directory_(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (!directory_) base::throw_system("opening " + path_);
}

std::vector<Sequence> SegmentFiles::list() const {
    // A descriptor of its own: reading moves its position, and closedir() closes it.
    base::Fd fd(::openat(directory_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) base::throw_system("opening " + path_);
    const std::unique_ptr<DIR, CloseStream> stream(::fdopendir(fd.get()));
    if (!stream) base::throw_system("listing " + path_);
    (void)fd.release();
    std::vector<Sequence> firsts;
    for (;;) {
        errno = 0;
        const dirent* entry = ::readdir(stream.get());
        if (entry == nullptr) break;
        const std::string_view name = entry->d_name;
        if (const auto first = layout::segment_first(name)) firsts.push_back(*first);
    }
    if (errno != 0) base::throw_system("listing " + path_);
    std::sort(firsts.begin(), firsts.end());
    return firsts;
}

std::optional<std::vector<std::byte>> SegmentFiles::read(Sequence first, std::uint64_t most) const {
    const auto name = layout::segment_name(first);
    // O_NONBLOCK: somebody might have put a pipe there.
    constexpr int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    const base::Fd fd(::openat(directory_.get(), name.c_str(), flags));
    if (!fd && errno == ENOENT) return {};
    struct stat status {};
    std::vector<std::byte> bytes;
    if (!fd && (errno == ELOOP || errno == ENXIO)) return bytes; // a link or socket: no segment
    if (!fd || ::fstat(fd.get(), &status) != 0) base::throw_system("opening " + path_ + '/' + name);
    if (!S_ISREG(status.st_mode)) return bytes;
    bytes.resize(std::min(static_cast<std::uint64_t>(status.st_size), most));
    bytes.resize(read_all(fd, bytes));
    return bytes;
}

} // namespace shmbus::client
