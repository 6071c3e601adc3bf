#include "daemon/store/files.hpp"

#include "base/fd.hpp"
#include "daemon/system/watchdog.hpp"

#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <system_error>
#include <unistd.h>

namespace shmbus::store {

namespace {

Errc code_of(int error) noexcept {
    switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM: return Errc::limit;
    case EPERM:
    case EACCES:
    case EROFS: return Errc::permission;
    default: return Errc::system;
    }
}

/// Calls again while signals get in the way.
template <class Call> auto uninterrupted(Call call) {
    auto result = call();
    while (result < 0 && errno == EINTR) result = call();
    return result;
}

class PosixFile final : public File {
  public:
    PosixFile(base::Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

    std::size_t read_at(std::span<std::byte> to, std::uint64_t offset) const override {
        const system::DiskWait waits;
        std::size_t done = 0;
        while (done < to.size()) {
            const auto count = uninterrupted([&] {
                return ::pread(fd_.get(), to.data() + done, to.size() - done,
                               static_cast<off_t>(offset + done));
            });
            if (count < 0) fail("reading");
            if (count == 0) break;
            done += static_cast<std::size_t>(count);
        }
        return done;
    }

    void write_at(std::span<const std::byte> from, std::uint64_t offset) override {
        const system::DiskWait waits;
        while (!from.empty()) {
            const auto count = uninterrupted([&] {
                return ::pwrite(fd_.get(), from.data(), from.size(), static_cast<off_t>(offset));
            });
            if (count < 0) fail("writing");
            if (count == 0)
                fail("writing", EIO); // a disk that takes nothing would be asked for ever
            from = from.subspan(static_cast<std::size_t>(count));
            offset += static_cast<std::uint64_t>(count);
        }
    }

    void sync_data() override {
        const system::DiskWait waits;
        if (::fdatasync(fd_.get()) != 0) fail("syncing"); // not even after EINTR: see files.hpp
    }

    bool allocate(std::uint64_t size) override {
        const system::DiskWait waits;
        const auto bytes = static_cast<off_t>(size);
        if (uninterrupted([&] { return ::fallocate(fd_.get(), 0, 0, bytes); }) == 0) return true;
        const int error = errno;
        if (error != ENOSPC && error != EDQUOT) fail("allocating", error);
        if (::ftruncate(fd_.get(), 0) != 0) fail("truncating"); // it may have got a part
        return false;
    }

    void truncate(std::uint64_t size) override {
        const system::DiskWait waits;
        if (uninterrupted([&] { return ::ftruncate(fd_.get(), static_cast<off_t>(size)); }) != 0)
            fail("truncating");
    }

    std::uint64_t size() const override {
        struct stat status {};
        if (::fstat(fd_.get(), &status) != 0) fail("looking at");
        return static_cast<std::uint64_t>(status.st_size);
    }

  private:
    [[noreturn]] void fail(const char* doing, int error = errno) const {
        throw FileError(doing, path_, error);
    }
    base::Fd fd_;
    std::string path_;
};

struct CloseStream {
    void operator()(DIR* stream) const noexcept { ::closedir(stream); }
};

class PosixDirectory final : public Directory {
  public:
    PosixDirectory(base::Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

    std::unique_ptr<File> create(const std::string& name) override {
        return opened(name, O_RDWR | O_CREAT | O_EXCL, "making");
    }

    std::unique_ptr<File> open(const std::string& name, Access access) override {
        return opened(name, access == Access::read ? O_RDONLY : O_RDWR, "opening");
    }

    std::vector<std::string> list() const override {
        const system::DiskWait waits;
        // A descriptor of its own: reading moves its position, and closedir() closes it.
        base::Fd fd(::openat(fd_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!fd) fail("opening", path_);
        const std::unique_ptr<DIR, CloseStream> stream(::fdopendir(fd.get()));
        if (!stream) fail("listing", path_);
        (void)fd.release();
        std::vector<std::string> names;
        for (;;) {
            errno = 0;
            const dirent* entry = ::readdir(stream.get());
            if (entry == nullptr) break;
            const std::string name = entry->d_name;
            if (name != "." && name != "..") names.push_back(name);
        }
        if (errno != 0) fail("listing", path_);
        return names;
    }

    std::uint64_t size_of(const std::string& name) const override {
        const system::DiskWait waits;
        struct stat status {};
        if (::fstatat(fd_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
            fail("looking at", path_of(name));
        return static_cast<std::uint64_t>(status.st_size);
    }

    void remove(const std::string& name) override {
        const system::DiskWait waits;
        if (::unlinkat(fd_.get(), name.c_str(), 0) != 0) fail("removing", path_of(name));
    }

    void rename(const std::string& from, const std::string& to) override {
        const system::DiskWait waits;
        if (::renameat(fd_.get(), from.c_str(), fd_.get(), to.c_str()) != 0)
            fail("renaming", path_of(from));
    }

    void sync_directory() override {
        const system::DiskWait waits;
        if (::fsync(fd_.get()) != 0) fail("syncing", path_);
    }

    std::uint64_t free_bytes() const override {
        const system::DiskWait waits;
        struct statvfs status {};
        if (uninterrupted([&] { return ::fstatvfs(fd_.get(), &status); }) != 0)
            fail("looking for space in", path_);
        return std::uint64_t{status.f_bavail} * status.f_frsize;
    }

  private:
    std::unique_ptr<File> opened(const std::string& name, int flags, const char* doing) {
        const system::DiskWait waits;
        // O_NONBLOCK: somebody might have put a pipe there.
        constexpr int always = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
        base::Fd fd(
            uninterrupted([&] { return ::openat(fd_.get(), name.c_str(), flags | always, 0600); }));
        if (!fd) fail(doing, path_of(name));
        struct stat status {};
        if (::fstat(fd.get(), &status) != 0) fail("looking at", path_of(name));
        if (!S_ISREG(status.st_mode))
            throw Error(Errc::damaged, path_of(name) + " is no file; move it away");
        return std::make_unique<PosixFile>(std::move(fd), path_of(name));
    }
    [[noreturn]] static void fail(const char* doing, const std::string& path) {
        throw FileError(doing, path, errno);
    }
    [[nodiscard]] std::string path_of(const std::string& name) const { return path_ + '/' + name; }
    base::Fd fd_;
    std::string path_;
};

} // namespace

FileError::FileError(const std::string& doing, const std::string& path, int error)
    : Error(code_of(error), doing + ' ' + path + ": " + std::generic_category().message(error)),
      error_(error), path_(path) {}

bool FileError::is_out_of_space() const noexcept { return error_ == ENOSPC || error_ == EDQUOT; }

std::unique_ptr<Directory> open_directory(const std::string& path) {
    const system::DiskWait waits;
    base::Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) throw FileError("opening", path, errno);
    return std::make_unique<PosixDirectory>(std::move(fd), path);
}

} // namespace shmbus::store
