// Daemons that follow one another, the next one with what somebody has kept of the one before.
#pragma once

#include "daemon/daemon_life.hpp"
#include "daemon/keeper.hpp"

#include <sys/stat.h>

namespace shmbus::registry {

class InheritanceFixture : public StorageFixture {
  protected:
    InheritanceFixture() { start(); }
    void start() {
        life.reset(); // it was killed
        life = std::make_unique<Life>(path());
    }
    /// The next one, which gets all that was kept.
    void inherit() { inherit(keeper.all()); }
    void inherit(std::map<std::string, base::Fd> left) {
        start();
        life->begin(std::move(left));
    }
    [[nodiscard]] Registry& topics() const { return life->topics(); }
    [[nodiscard]] Sessions& sessions() const { return life->sessions; }
    std::shared_ptr<Topic> make(const std::string& name, const TopicOptions& options) const {
        topics().create(name, options, false, user);
        return topics().find(name);
    }
    static ino_t inode_of(const base::Fd& fd) {
        struct stat status {};
        EXPECT_EQ(::fstat(fd.get(), &status), 0);
        return status.st_ino;
    }

    test::Keeper keeper;
    std::unique_ptr<Life> life;
};

} // namespace shmbus::registry
