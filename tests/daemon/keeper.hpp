// Keeps what daemons leave, as whoever starts them does; see sd_notify(3).
#pragma once

#include "daemon/parent/notify_socket.hpp"
#include "shmbus/types.hpp"

#include <condition_variable>
#include <cstdlib>
#include <fcntl.h>
#include <map>
#include <mutex>
#include <poll.h>
#include <stdexcept>
#include <systemd/sd-daemon.h>
#include <thread>

namespace shmbus::test {

/// Of this process, as long as it lives. One at a time.
class Keeper {
  public:
    Keeper() {
        ::setenv("NOTIFY_SOCKET", socket_.address().c_str(), 1);
        reader_ = std::thread([this] { read(); });
    }
    ~Keeper() {
        ::sd_notify(0, "X_STOP=1");
        reader_.join();
        ::unsetenv("NOTIFY_SOCKET");
    }
    Keeper(const Keeper&) = delete;
    Keeper& operator=(const Keeper&) = delete;

    /// What is kept by now, by name; descriptors of the next daemon's own.
    std::map<std::string, base::Fd> all() {
        const std::lock_guard lock = caught_up();
        std::map<std::string, base::Fd> copies;
        for (const auto& [name, fd] : kept_)
            copies.emplace(name, base::Fd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3)));
        return copies;
    }
    std::vector<std::string> names() {
        std::vector<std::string> names;
        for (const auto& [name, fd] : all()) names.push_back(name);
        return names;
    }

  private:
    /// Everything said before has been heard.
    std::lock_guard<std::mutex> caught_up() {
        const auto mark = "X_MARK=" + std::to_string(++marks_);
        ::sd_notify(0, mark.c_str());
        {
            std::unique_lock lock(mutex_);
            if (!changed_.wait_for(lock, std::chrono::seconds(30), [&] { return mark_ == mark; }))
                throw std::runtime_error("nobody listens");
        }
        return std::lock_guard(mutex_);
    }
    void read() {
        for (pollfd state{.fd = socket_.fd().get(), .events = POLLIN, .revents = 0};;) {
            ::poll(&state, 1, -1);
            while (auto message = socket_.receive()) {
                if (message->has("X_STOP=1")) return;
                const std::lock_guard lock(mutex_);
                take(*message);
                changed_.notify_all();
            }
        }
    }
    void take(parent::Notification& message) {
        const std::string name(message.value_of("FDNAME").value_or(""));
        if (message.has("FDSTORE=1") && message.descriptors.size() == 1)
            kept_[name] = std::move(message.descriptors.front());
        if (message.has("FDSTOREREMOVE=1")) kept_.erase(name);
        if (const auto mark = message.value_of("X_MARK")) mark_ = "X_MARK=" + std::string(*mark);
    }

    parent::NotifySocket socket_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::string, base::Fd> kept_; // guarded by mutex_, as is mark_
    std::string mark_;
    unsigned marks_ = 0;
    std::thread reader_;
};

} // namespace shmbus::test
