#include "daemon/spiller/segment_file.hpp"

#include "daemon/system/watchdog.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>

namespace shmbus::spiller {

namespace {

/// Whether it is the daemon that can open no file just now, or not this one, which may be as good as ever.
bool is_passing(int error) {
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == EINTR ||
           error == EACCES || error == EPERM;
}

/// What cannot be read: a gap.
SegmentFile unreadable(const Kept& kept, std::size_t i) {
    const bool is_last = i + 1 == kept.segments.size();
    SegmentFile found;
    found.first = kept.segments[i];
    found.end = is_last ? kept.written + 1 : kept.segments[i + 1];
    found.durable = kept.durable;
    return found;
}

std::optional<SegmentFile> open_one(const DiskTopic& topic, const Kept& kept, std::size_t i) {
    const system::DiskWait waits;
    const bool is_last = i + 1 == kept.segments.size();
    auto found = unreadable(kept, i);
    const std::string path = topic.path() + '/' + layout::segment_name(found.first);
    base::Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!fd && errno == ENOENT) return std::nullopt; // expired, or removed, since `kept` was made
    if (!fd && is_passing(errno)) throw store::FileError("opening", path, errno);
    struct stat status {};
    if (!fd || ::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return found;
    const auto size = static_cast<std::uint64_t>(std::max<off_t>(status.st_size, 0));
    const auto bytes = is_last ? kept.last_bytes : size;
    if (bytes < layout::segment_header_bytes || bytes > size) return found;
    found.bytes = bytes;
    found.file = std::move(fd);
    return found;
}

/// A gap that the first file begins with may be on its way there: who reads must not begin behind it.
SegmentFile none_yet(const Kept& kept) {
    SegmentFile place;
    place.first = place.end = kept.written + 1;
    place.durable = kept.durable;
    return place;
}

/// The one that `which` chooses of what is kept. A file may expire between being chosen and being opened: it is
/// kept no more before it goes (DiskTopic::expire), so then it is chosen once more; else somebody has taken
/// it away.
template <class Which>
std::optional<SegmentFile> open_chosen(const DiskTopic& topic, const Which& which) {
    for (;;) {
        const auto kept = topic.kept();
        if (kept.segments.empty()) return none_yet(kept);
        const std::optional<std::size_t> i = which(kept);
        if (!i) return std::nullopt;
        auto file = open_one(topic, kept, *i);
        if (topic.is_removed())
            return std::nullopt; // this may be a file of the next one of that name
        if (file) return file;
        const auto now = topic.kept();
        if (now.segments.empty() || now.segments.front() == kept.segments.front())
            return unreadable(kept, *i);
    }
}

} // namespace

std::optional<SegmentFile> open_segment(const DiskTopic& topic, Sequence from) {
    return open_chosen(topic, [&](const Kept& kept) -> std::optional<std::size_t> {
        if (from > kept.written) return std::nullopt;
        const auto behind = std::upper_bound(kept.segments.begin(), kept.segments.end(), from);
        return std::max<std::ptrdiff_t>(behind - kept.segments.begin(), 1) - 1;
    });
}

std::optional<SegmentFile> open_segment_of_time(const DiskTopic& topic, std::uint64_t time_ns) {
    return open_chosen(topic, [&](const Kept& kept) -> std::optional<std::size_t> {
        const auto directory = store::open_directory(topic.path());
        const auto max_time_before = [&](std::size_t i) {
            for (; i < kept.segments.size(); ++i) {
                try {
                    return store::read_header(*directory, topic.uuid(), kept.segments[i])
                        .header.max_time_before;
                } catch (const Error&) {
                    continue; // what comes before the next one has this in it
                }
            }
            return ~std::uint64_t{0};
        };
        return spill::segment_at_time(kept.segments.size(), max_time_before, time_ns);
    });
}

} // namespace shmbus::spiller
