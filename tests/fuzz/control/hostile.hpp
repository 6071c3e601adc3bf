// A client that does what the input says: over several connections, of several users, bytes and messages of the
// control protocol in any order, with any descriptors; and it writes to the memory that it is given.
#pragma once

#include "fuzz/control/forgeries.hpp"
#include "fuzz/control/line.hpp"
#include "fuzz/control/witness.hpp"

namespace shmbus::test {

class Hostile {
  public:
    Hostile(Daemon& daemon, const Witness& witness, Input& input);
    /// Nothing but bytes, on one connection, which may have a session.
    void babble(bool greeted);
    /// Anything, until the input is used up.
    void act();

  private:
    void do_one();
    void connect(uid_t user, bool greets);
    void hang_up();
    [[nodiscard]] Line& line() { return lines_.at(chosen_ % lines_.size()); }
    void turn();

    void send(std::vector<std::byte> bytes, const std::vector<int>& fds = {});
    void send(capnp::MessageBuilder& message, const std::vector<int>& fds = {});
    void say_bytes(std::size_t most);
    void say_anything();
    void finish();
    void let_go();
    void ask_often(bool session, std::size_t method);
    void ask(bool session, capnp::InterfaceSchema::Method method);
    void fill(capnp::DynamicStruct::Builder parameters, capnp::InterfaceSchema::Method method);
    void aim(capnp::rpc::MessageTarget::Builder target, bool at_session);
    std::vector<int> describe(capnp::rpc::Payload::Builder payload, unsigned capabilities);

    void forge_topic();
    void scribble_somewhere();
    void move_all_slots(std::span<std::byte> group);
    void pass_time();

    Daemon& daemon_;
    const Witness& witness_;
    Input& input_;
    Arguments arguments_{input_};
    Forgeries forgeries_{input_, arguments_};
    std::vector<Line> lines_;
    std::size_t chosen_ = 0;
    std::vector<base::Fd> given_; // descriptors that came with answers
    std::size_t copies_ = 1;      // of the next call
    std::size_t flips_ = 0;       // of bytes in the next message
    std::size_t sent_ = 0;
};

} // namespace shmbus::test
