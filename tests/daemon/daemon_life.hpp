// A daemon's registry, sessions and storage, to be killed and followed by the next one's.
#pragma once

#include "base/memfd.hpp"
#include "base/pidfd.hpp"
#include "daemon/registry/inheritance.hpp"
#include "daemon/storage_fixture.hpp"

#include <array>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdexcept>
#include <sys/wait.h>
#include <unistd.h>

namespace shmbus::registry {

/// One life. Its end is sudden, unless close_all() came before.
struct Life {
    explicit Life(const std::filesystem::path& path) { storage.emplace(path); }
    Life() = default; // without a disk

    /// Begins with what the one before left.
    void begin(std::map<std::string, base::Fd> left = {}) {
        for (const auto& [name, fd] : left) store.note(name);
        Inheritance{std::move(left), topics(), sessions, store, watching()}.enter_upon();
        topics().bring_back();
    }
    Registry& topics() {
        if (!registry) registry.emplace(1, storage ? &*storage : nullptr, &store);
        return *registry;
    }
    std::function<void(SessionId, base::Fd)> watching() {
        return [this](SessionId id, base::Fd pidfd) { watched[id] = std::move(pidfd); };
    }
    SessionId open_session(pid_t pid = ::getpid(), const std::string& command = "worker") {
        const auto id = sessions.open({.pid = pid, .uid = user}, command);
        watched[id] = base::open_pidfd(pid);
        store.keep(sessions.kept_as(id), watched[id]);
        return id;
    }
    /// As the supervisor does when the process of one has died.
    void end_the_dead() {
        std::vector<SessionId> dead;
        for (const auto& [id, pidfd] : watched) {
            pollfd state{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
            if (::poll(&state, 1, 0) == 1) dead.push_back(id);
        }
        for (const auto id : dead) (void)sessions.process_died(id);
    }

    system::DescriptorStore store;
    std::optional<spiller::Storage> storage;
    std::optional<Registry> registry;
    std::map<SessionId, base::Fd> watched;
    Sessions sessions{[this](SessionId id) { watched.erase(id); }};
};

/// What a client has of a topic: it maps it, and keeps the descriptors.
struct Client {
    explicit Client(const Topic& topic)
        : uuid(topic.uuid()), parameters(topic.parameters()),
          ring(copy_of(topic.shared().ring().writable)),
          readers(copy_of(topic.shared().readers().writable)),
          ring_mapping(ring, base::Access::read_write, base::sealed_size(ring, "ring")),
          readers_mapping(readers, base::Access::read_write,
                          base::sealed_size(readers, "readers object")),
          view{ring::RingView(ring_mapping.bytes(), parameters),
               ring::ReadersView(readers_mapping.bytes(), parameters)} {}
    static base::Fd copy_of(const base::Fd& fd) {
        return base::Fd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
    }
    [[nodiscard]] layout::RingState state() const {
        return static_cast<layout::RingState>(view.ring.header().state.load_acquire());
    }
    /// As publisher `id` in this entry, with its own `event`; the event's sequence.
    [[nodiscard]] Sequence publish(const Topic::PublisherEntry& as, std::uint64_t event = 0) const {
        ring::SharedWriter writer(view, as.entry);
        ring::Draft draft{};
        draft.header.publisher = as.id;
        draft.header.chunk = layout::no_chunk;
        draft.header.event_id = event;
        ring::Run run;
        EXPECT_EQ(writer.publish({&draft, 1}, patience, run), PublishOutcome::published);
        return run.last;
    }

    layout::Uuid uuid;
    layout::RingParameters parameters;
    base::Fd ring;
    base::Fd readers;
    base::Mapping ring_mapping;
    base::Mapping readers_mapping;
    ring::Topic view;
};

inline TopicOptions in_memory() {
    auto options = on_disk();
    options.retention = Retention::memory;
    return options;
}

/// Another process, which does nothing.
class Bystander {
  public:
    Bystander() {
        // When it says so it runs its own program, and so has nothing of what this process has open. (It may
        // still have that for a moment when posix_spawn() returns.)
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
        const base::Fd reading(ends[0]);
        base::Fd writing(ends[1]);
        posix_spawn_file_actions_t actions;
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawn_file_actions_adddup2(&actions, writing.get(), STDOUT_FILENO);
        std::array<char*, 4> argv{const_cast<char*>("sh"), const_cast<char*>("-c"),
                                  const_cast<char*>("echo; exec sleep 1000"), nullptr};
        const int failed = ::posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(), environ);
        ::posix_spawn_file_actions_destroy(&actions);
        writing = {};
        char line = 0;
        if (failed != 0 || ::read(reading.get(), &line, 1) != 1)
            throw std::runtime_error("posix_spawn");
    }
    ~Bystander() { end(); }
    Bystander(const Bystander&) = delete;
    Bystander& operator=(const Bystander&) = delete;
    [[nodiscard]] pid_t pid() const { return pid_; }
    void end() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
        pid_ = 0;
    }

  private:
    pid_t pid_ = 0;
};

/// Something that is no memory.
inline base::Fd a_pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    ::close(ends[1]);
    return base::Fd(ends[0]);
}

} // namespace shmbus::registry
