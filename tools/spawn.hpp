// Starting another program, and what it prints.
#pragma once

#include <chrono>
#include <optional>
#include <spawn.h>
#include <string>
#include <sys/types.h>
#include <vector>

namespace shmbus::tools {

/// What a child process gets, in the form that posix_spawn takes; default dispositions and an empty
/// mask, whatever we do with signals ourselves.
class Spawn {
  public:
    Spawn();
    Spawn(const Spawn&) = delete;
    Spawn& operator=(const Spawn&) = delete;
    ~Spawn();
    /// The child has our `fd` as its descriptor `number`.
    void give(int fd, int number);
    /// `command` begins with the program, which is looked for in $PATH unless it has a slash.
    /// @throws Failure(failed)
    [[nodiscard]] pid_t run(std::vector<std::string> command, std::vector<std::string> environment);

  private:
    posix_spawn_file_actions_t actions_{};
    posix_spawnattr_t attributes_{};
};

/// Our own environment.
[[nodiscard]] std::vector<std::string> own_environment();

/// What a program that reads nothing prints on standard output, at most 64 KiB; nothing if it cannot be run, fails,
/// or has not ended within that time, when it is killed.
[[nodiscard]] std::optional<std::string> output_of(const std::vector<std::string>& command,
                                                   std::chrono::milliseconds time);

} // namespace shmbus::tools
