// Carries events from rings to the disk, with two threads.
//
//     ring thread   copies what is new out of every ring, in batches     ──▶ queue ──▶
//     disk thread   writes, syncs, moves the rings' watermarks           ◀── queue ◀──  empty batches
//
// So a disk that takes its time holds up neither the reading of rings nor, while there is room in them,
// a publisher. While the disk thread waits for a sync the next batches grow: that is the group commit.
// Nobody makes a system call to wake the ring thread while it is at work: it goes to sleep on the rings'
// own bells only after a while without anything new.
#pragma once

#include "daemon/spiller/disk_topic.hpp"

#include <boost/lockfree/spsc_queue.hpp>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <thread>

namespace shmbus::spiller {

class Spiller {
  public:
    Spiller();
    /// Stops at once; what is in the rings alone stays there.
    ~Spiller();
    Spiller(const Spiller&) = delete;
    Spiller& operator=(const Spiller&) = delete;

    void add(std::shared_ptr<DiskTopic> topic);
    /// Waits until everything in its ring, which was closed, is on disk and the log is sealed; false: not
    /// by the deadline. Knows nothing of it any more when this has returned.
    bool finish(const std::shared_ptr<DiskTopic>& topic, Deadline deadline);
    /// Lets go of it, whatever is in its ring, and then calls `gone`, on the disk's thread.
    void drop(const std::shared_ptr<DiskTopic>& topic, std::function<void()> gone);

  private:
    struct Message {
        enum class Kind : std::uint8_t {
            begin,  // to the disk: a topic is new here
            batch,  // to the disk; and back, emptied
            end,    // to the disk: nothing will come any more
            forget, // to the disk: the topic is about to go away
            rewind, // back: begin anew at `next`
        } kind;
        DiskTopic* topic;
        store::Batch* batch = nullptr;
        Sequence next = 0;
    };
    static constexpr unsigned most_in_flight = 4; // batches of one topic
    static constexpr std::size_t batches = 32;

    // The ring thread:
    void read_rings();
    void take_orders();
    void take_back();
    bool collect(DiskTopic& topic);
    void rest();
    void sleep();
    void send_to_disk(const Message& message);

    // The disk thread:
    void write_disk();
    void handle(const Message& message);
    void take_batch(DiskTopic& topic, store::Batch& batch);
    void end(DiskTopic& topic);
    void forget(DiskTopic& topic);
    void give_up_for_now(DiskTopic& topic);
    void resume_the_troubled();
    void sync_what_is_due();
    void wait_for_messages();
    void send_to_rings(const Message& message);

    void poke_ring_thread() noexcept;

    boost::lockfree::spsc_queue<Message> to_disk_;
    boost::lockfree::spsc_queue<Message> to_rings_;
    base::Word32 ring_poke_{0}; // 1: there are orders, or something came back
    std::atomic<bool> stop_{false};

    // The ring thread's:
    std::vector<std::shared_ptr<DiskTopic>> topics_;
    std::vector<std::unique_ptr<store::Batch>> all_batches_;
    std::vector<store::Batch*> free_batches_;
    std::vector<base::Watched> watched_;
    Deadline::Clock::time_point last_work_{};

    // The disk thread's:
    std::set<DiskTopic*> unsynced_;
    std::map<DiskTopic*, Deadline::Clock::time_point> troubled_; // when to try again

    std::mutex mutex_;
    std::condition_variable changed_;
    // Guarded by mutex_:
    std::vector<std::shared_ptr<DiskTopic>> added_;
    std::set<DiskTopic*> sealed_;
    std::set<DiskTopic*> unwanted_;  // the ring thread is to let go of them
    std::set<DiskTopic*> forgotten_; // both threads have, and somebody waits for that
    /// Nobody waits; who keeps them until both threads have, and what then.
    struct Dropped {
        std::shared_ptr<DiskTopic> topic;
        std::function<void()> gone;
    };
    std::map<DiskTopic*, Dropped> dropped_;
    bool has_messages_ = false; // for the disk thread

    std::thread ring_thread_;
    std::thread disk_thread_;
};

} // namespace shmbus::spiller
