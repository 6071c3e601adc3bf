#include "daemon/spiller/spiller.hpp"

#include "base/thread.hpp"
#include "daemon/system/watchdog.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace shmbus::spiller {

namespace {

using namespace std::chrono_literals;

/// After so long without anything new the ring thread sleeps on the rings' bells; before, it looks
/// after each nap, so that publishers need not wake it.
constexpr auto awake_for = 20ms;
constexpr auto nap = 1ms;
/// How long it sleeps when it cannot watch all its rings.
constexpr auto blind_sleep = 10ms;
constexpr auto longest_sleep = 1min;
constexpr auto try_again_after = 200ms;

/// Each message under way belongs to a batch, or to a topic that has sent its first or its last.
constexpr std::size_t queue_room = 16'384;

} // namespace

Spiller::Spiller() : to_disk_(queue_room), to_rings_(queue_room) {
    for (std::size_t i = 0; i < batches; ++i) {
        all_batches_.push_back(std::make_unique<store::Batch>());
        free_batches_.push_back(all_batches_.back().get());
    }
    const base::BlockedSignals blocked;
    ring_thread_ = std::thread([this] { read_rings(); });
    disk_thread_ = std::thread([this] { write_disk(); });
}

Spiller::~Spiller() {
    stop_ = true;
    poke_ring_thread();
    {
        const std::lock_guard lock(mutex_);
        changed_.notify_all();
    }
    ring_thread_.join();
    disk_thread_.join();
}

void Spiller::add(std::shared_ptr<DiskTopic> topic) {
    {
        const std::lock_guard lock(mutex_);
        added_.push_back(std::move(topic));
    }
    poke_ring_thread();
}

bool Spiller::finish(const std::shared_ptr<DiskTopic>& topic, Deadline deadline) {
    const system::DiskWait waits;
    DiskTopic* const key = topic.get();
    std::unique_lock lock(mutex_);
    const bool sealed =
        changed_.wait_until(lock, deadline.when(), [&] { return sealed_.contains(key); });
    unwanted_.insert(key);
    poke_ring_thread();
    changed_.wait(lock, [&] { return forgotten_.contains(key); });
    forgotten_.erase(key);
    return sealed;
}

void Spiller::drop(const std::shared_ptr<DiskTopic>& topic, std::function<void()> gone) {
    {
        const std::lock_guard lock(mutex_);
        dropped_.emplace(topic.get(), Dropped{topic, std::move(gone)});
        unwanted_.insert(topic.get());
    }
    poke_ring_thread();
}

void Spiller::poke_ring_thread() noexcept {
    ring_poke_.store_release(1); // pairs with futex_wait()
    base::futex_wake_private(ring_poke_);
}

// ---- the ring thread ---------------------------------------------------------------------------

void Spiller::read_rings() {
    base::name_this_thread("shmbus-rings");
    while (!stop_) {
        ring_poke_.store_relaxed(0);
        take_orders();
        take_back();
        bool any = false;
        for (const auto& topic : topics_) any |= collect(*topic);
        if (any)
            last_work_ = Deadline::Clock::now();
        else
            rest();
    }
}

void Spiller::take_orders() {
    const std::lock_guard lock(mutex_);
    for (auto& topic : added_) {
        (void)to_disk_.push({Message::Kind::begin, topic.get()});
        has_messages_ = true;
        changed_.notify_all();
        topics_.push_back(std::move(topic));
    }
    added_.clear();
    if (unwanted_.empty()) return;
    std::erase_if(topics_, [&](const auto& topic) {
        // Its batches have to come back first.
        if (topic->in_flight != 0 || unwanted_.erase(topic.get()) == 0) return false;
        (void)to_disk_.push({Message::Kind::forget, topic.get()});
        has_messages_ = true;
        changed_.notify_all();
        return true;
    });
}

void Spiller::take_back() {
    to_rings_.consume_all([&](const Message& message) {
        if (message.kind == Message::Kind::batch) {
            --message.topic->in_flight;
            free_batches_.push_back(message.batch);
            return;
        }
        const auto is_it = [&](const auto& topic) { return topic.get() == message.topic; };
        if (std::none_of(topics_.begin(), topics_.end(), is_it)) return; // forgotten meanwhile
        message.topic->source.rewind(message.next);
        message.topic->end_sent = false;
    });
}

/// Whether there was anything.
bool Spiller::collect(DiskTopic& topic) {
    if (topic.in_flight >= most_in_flight || topic.end_sent || free_batches_.empty()) return false;
    store::Batch* const batch = free_batches_.back();
    if (topic.source.fill(*batch)) {
        free_batches_.pop_back();
        ++topic.in_flight;
        send_to_disk({Message::Kind::batch, &topic, batch});
        return true;
    }
    if (topic.source.at_end()) {
        topic.end_sent = true;
        send_to_disk({Message::Kind::end, &topic});
    }
    return false;
}

void Spiller::send_to_disk(const Message& message) {
    const std::lock_guard lock(mutex_);
    (void)to_disk_.push(message); // there is room for all that can be under way
    has_messages_ = true;
    changed_.notify_all();
}

void Spiller::rest() {
    if (Deadline::Clock::now() - last_work_ > awake_for)
        sleep();
    else
        (void)base::futex_wait({}, ring_poke_, Deadline(nap));
}

void Spiller::sleep() {
    watched_.clear();
    bool is_ready = false;
    bool blind = false;
    for (const auto& topic : topics_) {
        if (topic->in_flight >= most_in_flight || topic->end_sent) continue; // it will be poked
        if (watched_.size() == base::max_watched) {
            blind = true;
            break;
        }
        watched_.push_back(topic->source.arm());
        is_ready |= topic->source.is_ready();
    }
    if (is_ready) return;
    const Deadline until = blind ? Deadline(blind_sleep) : Deadline(longest_sleep);
    (void)base::futex_wait(watched_, ring_poke_, until);
}

// ---- the disk thread ---------------------------------------------------------------------------

void Spiller::write_disk() {
    base::name_this_thread("shmbus-disk");
    while (!stop_) {
        to_disk_.consume_all([&](const Message& message) { handle(message); });
        sync_what_is_due();
        resume_the_troubled();
        wait_for_messages();
    }
}

void Spiller::handle(const Message& message) {
    switch (message.kind) {
    case Message::Kind::begin:
        if (!message.topic->begin()) give_up_for_now(*message.topic);
        break;
    case Message::Kind::batch: take_batch(*message.topic, *message.batch); break;
    case Message::Kind::end: end(*message.topic); break;
    case Message::Kind::forget: forget(*message.topic); break;
    case Message::Kind::rewind: break; // never comes this way
    }
}

void Spiller::take_batch(DiskTopic& topic, store::Batch& batch) {
    if (!troubled_.contains(&topic)) { // else it comes again
        if (topic.store(batch))
            unsynced_.insert(&topic);
        else
            give_up_for_now(topic);
    }
    batch.clear();
    send_to_rings({Message::Kind::batch, &topic, &batch});
}

void Spiller::end(DiskTopic& topic) {
    if (troubled_.contains(&topic)) return; // it will be rewound, and end again
    if (!topic.close()) {
        give_up_for_now(topic);
        return;
    }
    unsynced_.erase(&topic);
    const std::lock_guard lock(mutex_);
    sealed_.insert(&topic);
    changed_.notify_all();
}

void Spiller::forget(DiskTopic& topic) {
    unsynced_.erase(&topic);
    troubled_.erase(&topic);
    Dropped dropped;
    {
        const std::lock_guard lock(mutex_);
        sealed_.erase(&topic);
        if (auto found = dropped_.extract(&topic))
            dropped = std::move(found.mapped());
        else
            forgotten_.insert(&topic);
        changed_.notify_all();
    }
    if (dropped.gone) dropped.gone(); // an open file can be removed
}

void Spiller::give_up_for_now(DiskTopic& topic) {
    unsynced_.erase(&topic);
    troubled_[&topic] = Deadline::Clock::now() + try_again_after;
}

void Spiller::resume_the_troubled() {
    const auto now = Deadline::Clock::now();
    for (auto it = troubled_.begin(); it != troubled_.end();) {
        const auto here = it++;
        auto& [topic, again] = *here;
        if (now < again) continue;
        if (const auto next = topic->resume()) {
            send_to_rings({Message::Kind::rewind, topic, nullptr, *next});
            troubled_.erase(here);
        } else {
            again = now + try_again_after;
        }
    }
}

void Spiller::sync_what_is_due() {
    const auto now = Deadline::Clock::now();
    for (auto it = unsynced_.begin(); it != unsynced_.end();) {
        DiskTopic& topic = **it++;
        const auto due = topic.sync_due();
        if (due && now < *due) continue;
        if (due && !topic.sync())
            give_up_for_now(topic);
        else
            unsynced_.erase(&topic);
    }
}

void Spiller::wait_for_messages() {
    auto until = Deadline::Clock::now() + longest_sleep;
    for (DiskTopic* topic : unsynced_)
        if (const auto due = topic->sync_due()) until = std::min(until, *due);
    for (const auto& [topic, again] : troubled_) until = std::min(until, again);
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, until, [&] { return has_messages_ || stop_; });
    has_messages_ = false;
}

void Spiller::send_to_rings(const Message& message) {
    (void)to_rings_.push(message); // as in send_to_disk()
    poke_ring_thread();
}

} // namespace shmbus::spiller
