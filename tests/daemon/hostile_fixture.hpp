// A daemon with one topic, somebody well-behaved, and clients that mean harm.
#pragma once

#include "control/session.hpp"
#include "daemon/raw_client.hpp"
#include "support/daemon_process.hpp"

#include <fstream>
#include <gtest/gtest.h>

namespace shmbus::control {

using namespace std::chrono_literals;

class HostileTest : public testing::Test {
  protected:
    HostileTest() { session->create_topic("orders", {.retention = Retention::memory}, false); }
    ~HostileTest() override { EXPECT_TRUE(daemon.process().is_running()); }
    /// Whether somebody well-behaved is served, on a connection that was there and on a new one.
    void expect_service() {
        EXPECT_EQ(session->describe_topic("orders").name, "orders");
        EXPECT_NO_THROW((void)Session::connect(daemon.socket(), 30s)->list_topics());
    }
    [[nodiscard]] std::size_t resident_bytes() const {
        std::ifstream file("/proc/" + std::to_string(daemon.pid()) + "/statm");
        std::size_t total = 0;
        std::size_t resident = 0;
        file >> total >> resident;
        return resident * 4096;
    }
    test::DaemonProcess daemon;
    std::shared_ptr<Session> session = Session::connect(daemon.socket(), 30s);
};

} // namespace shmbus::control
