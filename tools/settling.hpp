// What `dlq replay` and `dlq discard` do, once they know what they were asked for.
//
// A letter is settled by an event in its own topic that says so. Who settles holds a durable subscription of the
// topic of letters meanwhile, which has one holder at a time: so nobody replays what another one is about to. An
// event that is replayed is in its topic, and on disk if the topic is, before its letter is settled: whatever dies
// in between, it may come twice, and is not lost.
#pragma once

#include "tools/letters.hpp"
#include "tools/units.hpp"

namespace shmbus::tools {

struct SettleArguments {
    std::string topic;
    std::vector<Sequence> letters;
    bool all = false;
    bool replay = false; // or discard
    std::optional<Nanoseconds> timeout;
};

/// One letter that is settled.
struct Settled {
    Sequence letter = 0;
    Sequence original = 0;
    std::optional<Sequence> replayed_as;
};

/// The turn to settle letters of one topic. Ends with its object, or its process.
class Turn {
  public:
    /// @throws Failure(refused) while somebody else has it
    Turn(const Context& context, Bus& bus, const Letters& letters);
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    /// @throws Failure(refused) when it was taken away
    void check();

  private:
    Bus& bus_;
    std::string topic_; // of letters
    std::optional<Subscription> hold_;
};

/// A publisher of one topic, with the words for what keeps it from publishing.
class Outlet {
  public:
    Outlet(const Context& context, Bus& bus, const std::string& topic,
           const std::optional<Nanoseconds>& timeout);
    /// @throws Failure, Interrupted
    Sequence publish(Bytes payload, const Attributes& attributes);
    /// Waits until it survives a power loss, where it ever will. @throws Failure
    void wait_durable(Sequence sequence);

  private:
    [[nodiscard]] Deadline deadline() const;
    std::string topic_;
    std::optional<Nanoseconds> timeout_;
    Publisher publisher_;
};

class Settling {
  public:
    Settling(const Context& context, const SettleArguments& arguments);
    /// `settled` is right in any case. @throws Failure, Error, Interrupted
    void run(std::vector<Settled>& settled);

  private:
    [[nodiscard]] std::vector<Sequence> choose();
    Sequence replay(const Letter& letter);
    void settle(const Settled& done);
    [[nodiscard]] Failure unsettled(const Settled& done, const Failure& failure) const;

    const Context& context_;
    const SettleArguments& arguments_;
    Bus bus_;
    Letters letters_;
    std::optional<Outlet> originals_;
    std::optional<Outlet> marks_;
};

} // namespace shmbus::tools
