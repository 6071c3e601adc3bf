#include "daemon/spiller/segment_file.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>

namespace shmbus::spiller {

namespace {

std::optional<SegmentFile> open_one(const DiskTopic& topic, const Kept& kept, std::size_t i) {
    const bool is_last = i + 1 == kept.segments.size();
    const Sequence first = kept.segments[i];
    const std::string path = topic.path() + '/' + layout::segment_name(first);
    base::Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd) {
        if (errno == ENOENT) return std::nullopt; // expired, or removed, since `kept` was made
        throw store::FileError("opening", path, errno);
    }
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) throw store::FileError("looking at", path, errno);
    const auto bytes =
        is_last ? kept.last_bytes : static_cast<std::uint64_t>(std::max<off_t>(status.st_size, 0));
    return SegmentFile{first, is_last ? kept.written + 1 : kept.segments[i + 1], bytes,
                       kept.durable, std::move(fd)};
}

} // namespace

std::optional<SegmentFile> open_segment(const DiskTopic& topic, Sequence from) {
    for (;;) {
        const auto kept = topic.kept();
        if (kept.segments.empty() || from > kept.written) return std::nullopt;
        const auto behind = std::upper_bound(kept.segments.begin(), kept.segments.end(), from);
        const auto i = std::max<std::ptrdiff_t>(behind - kept.segments.begin(), 1) - 1;
        if (auto file = open_one(topic, kept, static_cast<std::size_t>(i))) return file;
        const auto now = topic.kept();
        if (now.segments.empty() || now.segments.front() == kept.segments.front())
            return std::nullopt; // it was removed with all the others
    }
}

std::optional<SegmentFile> open_segment_of_time(const DiskTopic& topic, std::uint64_t time_ns) {
    const auto kept = topic.kept();
    if (kept.segments.empty()) return std::nullopt;
    const auto directory = store::open_directory(topic.path());
    const auto max_time_before = [&](std::size_t i) {
        return store::read_header(*directory, topic.uuid(), kept.segments[i])
            .header.max_time_before;
    };
    return open_one(topic, kept,
                    spill::segment_at_time(kept.segments.size(), max_time_before, time_ns));
}

} // namespace shmbus::spiller
