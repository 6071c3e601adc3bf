// A process of the torture, as the one who torments it sees it: started, stopped, killed, started again.
#pragma once

#include "tools/torture/channel.hpp"
#include "tools/torture/checker.hpp"
#include "tools/torture/schedule.hpp"

#include <optional>
#include <string>
#include <sys/types.h>

namespace shmbus::tools::torture {

/// What somebody does in all lives.
struct Part {
    std::string name; ///< within the topic
    std::size_t topic = 0;
    Target target = Target::publisher; ///< as what it is killed and stopped
    bool is_spared = false;            ///< from being killed: it sees everything
    bool is_named = false;             ///< or durable
    bool is_exclusive = false;
    bool is_late = false;
    bool is_lossy = false;
    [[nodiscard]] bool publishes() const noexcept { return target == Target::publisher; }
};

class Actor {
  public:
    explicit Actor(Part part) : part_(std::move(part)) {}
    Actor(const Actor&) = delete;
    Actor& operator=(const Actor&) = delete;
    ~Actor();

    [[nodiscard]] const Part& part() const noexcept { return part_; }
    [[nodiscard]] Party party() const noexcept { return party_; }
    void be(Party party) noexcept { party_ = party; }

    /// @pre it does not run @throws std::runtime_error
    void start(const Task& task);
    [[nodiscard]] bool is_running() const noexcept { return pid_ != 0; }
    [[nodiscard]] bool is_stopped() const noexcept { return is_stopped_; }
    void kill() noexcept;
    void stop() noexcept;
    void go_on() noexcept;
    void finish() noexcept { channel_->shared().told_to_finish = true; }
    [[nodiscard]] bool was_told_to_finish() const noexcept {
        return channel_ && channel_->shared().told_to_finish;
    }
    /// If it has ended, why: an empty text where it was killed from here, or had nothing left to do.
    std::optional<std::string> end();
    /// If that was as it had waited in vain, when it was; else 0.
    [[nodiscard]] std::uint64_t waited_in_vain() const noexcept {
        return channel_ ? channel_->shared().in_vain_ns.load() : 0;
    }

    /// Nothing before it was started the first time. What is left in it when it is started again is gone.
    [[nodiscard]] Channel* channel() noexcept { return channel_ ? &*channel_ : nullptr; }

  private:
    Part part_;
    Party party_ = 0;
    std::optional<Channel> channel_;
    pid_t pid_ = 0;
    bool is_stopped_ = false;
    bool was_killed_ = false;
};

} // namespace shmbus::tools::torture
