#include "simulated_files.hpp"

#include <algorithm>
#include <cerrno>
#include <random>
#include <set>
#include <stdexcept>

namespace shmbus::test {

using store::FileError;

namespace {

constexpr std::size_t sector = 512; // what a disk writes as a whole, if nothing else

void put(FileBytes& file, std::uint64_t at, std::span<const std::byte> bytes) {
    if (file.size() < at + bytes.size()) file.resize(at + bytes.size());
    std::copy(bytes.begin(), bytes.end(), file.begin() + static_cast<std::ptrdiff_t>(at));
}

} // namespace

class SimulatedFile final : public store::File {
  public:
    SimulatedFile(SimulatedDisk& disk, SimulatedDisk::Inode inode, std::string name)
        : disk_(disk), inode_(inode), name_(std::move(name)) {}

    std::size_t read_at(std::span<std::byte> to, std::uint64_t offset) const override {
        const auto locked = disk_.lock();
        const auto spoiled = disk_.spoiled_.find(inode_);
        if (spoiled != disk_.spoiled_.end() && offset < spoiled->second.to &&
            offset + to.size() > spoiled->second.from)
            throw FileError("reading", name_, EIO);
        const auto& bytes = content();
        if (offset >= bytes.size()) return 0;
        const auto count = std::min<std::size_t>(to.size(), bytes.size() - offset);
        std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), count, to.begin());
        disk_.bytes_read_ += count;
        return count;
    }
    void write_at(std::span<const std::byte> from, std::uint64_t offset) override {
        disk_.run({SimulatedDisk::Kind::write, inode_, offset, {from.begin(), from.end()}}, name_);
    }
    void sync_data() override { disk_.run({SimulatedDisk::Kind::sync, inode_}, name_); }
    bool allocate(std::uint64_t size) override {
        try {
            disk_.run({SimulatedDisk::Kind::allocate, inode_, size}, name_);
        } catch (const FileError& e) {
            if (e.error() == ENOSPC) return false;
            throw;
        }
        return true;
    }
    void truncate(std::uint64_t size) override {
        disk_.run({SimulatedDisk::Kind::truncate, inode_, size}, name_);
    }
    std::uint64_t size() const override {
        const auto locked = disk_.lock();
        return content().size();
    }

  private:
    [[nodiscard]] const FileBytes& content() const { return disk_.now_.inodes.at(inode_); }
    SimulatedDisk& disk_;
    SimulatedDisk::Inode inode_;
    std::string name_;
};

class SimulatedDirectory final : public store::Directory {
  public:
    explicit SimulatedDirectory(SimulatedDisk& disk) : disk_(disk) {}

    std::unique_ptr<store::File> create(const std::string& name) override {
        const auto inode = free_inode_for(name);
        disk_.run({SimulatedDisk::Kind::create, inode, 0, {}, name}, name);
        return std::make_unique<SimulatedFile>(disk_, inode, name);
    }
    std::unique_ptr<store::File> open(const std::string& name, Access) override {
        return std::make_unique<SimulatedFile>(disk_, find("opening", name), name);
    }
    std::vector<std::string> list() const override {
        const auto locked = disk_.lock();
        std::vector<std::string> all;
        for (const auto& [name, inode] : names()) all.push_back(name);
        return all;
    }
    std::uint64_t size_of(const std::string& name) const override {
        const auto inode = find("looking at", name);
        const auto locked = disk_.lock();
        return disk_.now_.inodes.at(inode).size();
    }
    void remove(const std::string& name) override {
        (void)find("removing", name);
        if (disk_.removal_watch_) disk_.removal_watch_(name);
        disk_.run({SimulatedDisk::Kind::remove, 0, 0, {}, name}, name);
    }
    void rename(const std::string& from, const std::string& to) override {
        const auto inode = find("renaming", from);
        disk_.run({SimulatedDisk::Kind::rename, inode, 0, {}, from, to}, from);
    }
    void sync_directory() override { disk_.run({SimulatedDisk::Kind::sync_directory}, "."); }
    std::uint64_t free_bytes() const override { return std::uint64_t{1} << 40U; }

  private:
    [[nodiscard]] const std::map<std::string, SimulatedDisk::Inode>& names() const {
        return disk_.now_.names;
    }
    [[nodiscard]] SimulatedDisk::Inode free_inode_for(const std::string& name) {
        const auto locked = disk_.lock();
        if (names().contains(name)) throw FileError("making", name, EEXIST);
        return disk_.next_inode_++;
    }
    [[nodiscard]] SimulatedDisk::Inode find(const char* doing, const std::string& name) const {
        const auto locked = disk_.lock();
        const auto found = names().find(name);
        if (found == names().end()) throw FileError(doing, name, ENOENT);
        return found->second;
    }
    SimulatedDisk& disk_;
};

SimulatedDisk::SimulatedDisk(std::map<std::string, FileBytes> files) : original_(std::move(files)) {
    for (const auto& [name, bytes] : original_) {
        now_.names[name] = next_inode_;
        now_.inodes[next_inode_++] = bytes;
    }
}

std::unique_ptr<store::Directory> SimulatedDisk::open() {
    return std::make_unique<SimulatedDirectory>(*this);
}

void SimulatedDisk::Contents::apply(const Operation& operation) {
    switch (operation.kind) {
    case Kind::create:
        names[operation.name] = operation.inode;
        inodes.try_emplace(operation.inode);
        break;
    case Kind::write: put(inodes[operation.inode], operation.at, operation.bytes); break;
    case Kind::allocate: {
        auto& file = inodes[operation.inode];
        file.resize(std::max<std::size_t>(file.size(), operation.at));
        break;
    }
    case Kind::truncate: inodes[operation.inode].resize(operation.at); break;
    case Kind::remove: names.erase(operation.name); break;
    case Kind::rename:
        // Of a crashed disk's names only some were there.
        std::erase_if(names, [&](const auto& entry) {
            return entry.first == operation.name && entry.second == operation.inode;
        });
        names[operation.to] = operation.inode;
        inodes.try_emplace(operation.inode);
        break;
    case Kind::sync:
    case Kind::failed_sync:
    case Kind::sync_directory: break;
    }
}

bool SimulatedDisk::is_due() {
    if (!failing_) return false;
    if (failing_->countdown > 0) {
        --failing_->countdown;
        return false;
    }
    has_failed_ = true;
    return true;
}

void SimulatedDisk::run(Operation operation, const std::string& name) {
    const auto locked = lock();
    if (!is_due()) {
        now_.apply(operation);
        trace_.push_back(std::move(operation));
        return;
    }
    const int error = failing_->error;
    if (!failing_->for_good) failing_.reset();
    if (operation.kind == Kind::sync) {
        operation.kind = Kind::failed_sync;
        trace_.push_back(std::move(operation));
    } else if (operation.kind == Kind::write) {
        operation.bytes.resize(operation.bytes.size() / 2);
        now_.apply(operation);
        trace_.push_back(std::move(operation));
    }
    throw FileError("simulating", name, error);
}

void SimulatedDisk::fail_at(std::size_t operation, int error, bool for_good) {
    const auto locked = lock();
    failing_ = Failing{operation, error, for_good};
    has_failed_ = false;
}

void SimulatedDisk::spoil(const std::string& name, std::uint64_t from, std::uint64_t to) {
    const auto locked = lock();
    spoiled_[now_.names.at(name)] = {from, to};
}

std::size_t SimulatedDisk::written_by(std::size_t operation) const {
    const auto locked = lock();
    return trace_.at(operation).kind == Kind::write ? trace_[operation].bytes.size() : 0;
}

std::uint64_t SimulatedDisk::syncs() const {
    const auto locked = lock();
    return static_cast<std::uint64_t>(
        std::count_if(trace_.begin(), trace_.end(), [](const Operation& operation) {
            return operation.kind == Kind::sync || operation.kind == Kind::sync_directory;
        }));
}

std::map<std::string, FileBytes> SimulatedDisk::files() const {
    return after({.operations = operations()});
}

/// Replays a trace, keeping what is synced apart from what is not.
class SimulatedDisk::CrashedDisk {
  public:
    CrashedDisk(const SimulatedDisk& disk, const Crash& crash)
        : crash_(crash), random_(crash.seed) {
        Inode inode = 1;
        for (const auto& [name, bytes] : disk.original_) {
            disk_.names[name] = inode;
            disk_.inodes[inode++] = bytes;
        }
    }

    void add(const Operation& operation) {
        if (crash_.loss == Loss::nothing) {
            disk_.apply(operation);
            return;
        }
        switch (operation.kind) {
        case Kind::sync:
            settle([&](const Operation& o) { return is_data(o, operation.inode); });
            break;
        case Kind::failed_sync: drop(operation.inode); break;
        case Kind::sync_directory: settle([](const Operation& o) { return is_name(o); }); break;
        default: pending_.push_back(&operation);
        }
    }

    /// What a power loss leaves.
    std::map<std::string, FileBytes> finish() {
        if (crash_.loss == Loss::some) {
            shuffle_data();
            for (const Operation* operation : pending_) lose_some_of(*operation);
        }
        std::map<std::string, FileBytes> files;
        for (const auto& [name, inode] : disk_.names) files[name] = disk_.inodes[inode];
        return files;
    }

  private:
    static bool is_name(const Operation& o) {
        return o.kind == Kind::create || o.kind == Kind::remove || o.kind == Kind::rename;
    }
    static bool is_data(const Operation& o, Inode inode) { return !is_name(o) && o.inode == inode; }
    template <class Test> void settle(Test is_meant) {
        std::erase_if(pending_, [&](const Operation* operation) {
            if (!is_meant(*operation)) return false;
            disk_.apply(*operation);
            return true;
        });
    }
    /// The kernel has tried, and forgets; some of it may have got there.
    void drop(Inode inode) {
        std::erase_if(pending_, [&](const Operation* operation) {
            if (!is_data(*operation, inode)) return false;
            if (crash_.loss == Loss::some) lose_some_of(*operation);
            return true;
        });
    }
    bool toss() { return (random_() & 1U) != 0; }
    void shuffle_data() {
        // Names in their order: each depends on those before it. Everything else in any.
        std::stable_partition(pending_.begin(), pending_.end(),
                              [](const Operation* o) { return is_name(*o); });
        const auto data = std::find_if(pending_.begin(), pending_.end(),
                                       [](const Operation* o) { return !is_name(*o); });
        std::shuffle(data, pending_.end(), random_);
    }
    void lose_some_of(const Operation& operation) {
        if (operation.kind != Kind::write) {
            if (toss()) disk_.apply(operation);
            return;
        }
        for (std::size_t from = 0; from < operation.bytes.size();) {
            const auto in_sector = sector - (operation.at + from) % sector;
            const auto to = std::min(from + in_sector, operation.bytes.size());
            if (toss()) put_part(operation, from, to);
            from = to;
        }
    }
    /// One sector of a write, whole or torn.
    void put_part(const Operation& operation, std::size_t from, std::size_t to) {
        if (random_() % 4 == 0) to = from + random_() % (to - from + 1);
        const std::span bytes(operation.bytes);
        put(disk_.inodes[operation.inode], operation.at + from, bytes.subspan(from, to - from));
    }

    Crash crash_;
    std::mt19937_64 random_;
    Contents disk_;
    std::vector<const Operation*> pending_;
};

std::map<std::string, FileBytes> SimulatedDisk::after(const Crash& crash) const {
    const auto locked = lock();
    CrashedDisk crashed(*this, crash);
    for (std::size_t i = 0; i < crash.operations; ++i) crashed.add(trace_.at(i));
    Operation last{Kind::sync_directory};
    if (crash.torn) {
        last = trace_.at(crash.operations);
        if (last.kind != Kind::write) throw std::logic_error("only a write can be torn");
        last.bytes.resize(*crash.torn);
        crashed.add(last);
    }
    return crashed.finish();
}

} // namespace shmbus::test
