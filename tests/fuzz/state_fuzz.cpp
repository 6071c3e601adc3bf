// A topic's directory with anything in its small files: subscriptions, named publishers, what the topic was made
// with. What is read is what is there or a refusal; and what is written afterwards is what is read.
#include "daemon/registry/options.hpp"
#include "daemon/store/publisher_files.hpp"
#include "daemon/store/subscription_files.hpp"
#include "daemon/store/topic_record.hpp"
#include "group/table.hpp"
#include "input.hpp"
#include "store/simulated_files.hpp"

#include <algorithm>

using namespace shmbus;
using test::expect;

namespace {

constexpr layout::Uuid topic{1};

std::vector<std::byte> take_bytes(test::Input& input, std::size_t most) {
    std::vector<std::byte> bytes(
        std::min<std::size_t>(input.take<std::uint16_t>() % (most + 1), input.rest().size()));
    for (auto& byte : bytes) byte = static_cast<std::byte>(input.take<std::uint8_t>());
    return bytes;
}

std::string take_name(test::Input& input) {
    static const std::string known[] = {
        "topic",      "worker.sub",          "a.b.sub", "till.2147483648.pub",
        "publishers", "till.2147483649.pub", "x.0.pub", "x.99999999999.pub"};
    const auto which = input.take<std::uint8_t>();
    if (which < 200) return known[which % std::size(known)];
    if (which < 210) return "worker.slots";
    std::string name = "f";
    for (const auto byte : take_bytes(input, 20)) name += static_cast<char>(byte);
    std::erase_if(name, [](char c) { return c == '/' || c == '\0'; });
    return name;
}

/// Anything, or a record whose checksum is right, perhaps damaged afterwards.
void add_file(test::SimulatedDisk& disk, test::Input& input) {
    const auto directory = disk.open();
    const auto name = take_name(input);
    const auto what = input.take<std::uint8_t>();
    if (what % 3 != 0) {
        const bool is_record = name == "topic"; // which is found before its topic is known
        const std::size_t pages = name.ends_with(".slots") ? 5 : 1;
        store::StateFile(*directory, name, is_record ? layout::Uuid{} : topic, pages * layout::page)
            .write(take_bytes(input, what % 3 == 1 ? 128 : store::StateFile::max_record));
        if (what < 128) return;
    } else {
        const auto names = directory->list();
        if (std::find(names.begin(), names.end(), name) == names.end())
            (void)directory->create(name);
    }
    const auto file = directory->open(name, store::Directory::Access::write);
    file->write_at(take_bytes(input, 100), input.take<std::uint16_t>() % 8300);
    if (what % 7 == 0) file->truncate(input.take<std::uint16_t>() % 9000);
}

/// Options that can be; and no slot is behind the cursor.
void look_at_group(const store::SubscriptionRecord& record) {
    expect(group::problem_with(*record.group).empty());
    expect(record.slots.size() == (record.begun ? key_slots : 0));
    for (const auto& slot : record.slots) expect(slot.seq >= record.cursor + 1);
}

void look_at_subscriptions(test::SimulatedDisk& disk) {
    std::vector<std::string> damaged;
    store::SubscriptionFiles files(disk.open(), topic);
    auto found = files.load(damaged);
    for (const auto& [name, record] : found) {
        expect(is_valid_name(name));
        expect(std::find(damaged.begin(), damaged.end(), name) == damaged.end());
        if (record.group) look_at_group(record);
    }
    store::SubscriptionRecord written{7, 8, 9, true, false};
    for (const bool is_group : {false, true}) {
        if (is_group) {
            written.group = GroupOptions{.order = Order::none};
            written.slots.assign(key_slots, {10, 2, layout::Failure::timed_out});
        }
        files.write("worker", written);
        damaged.clear();
        expect(store::SubscriptionFiles(disk.open(), topic).load(damaged).at("worker") == written);
    }
}

void look_at_publishers(test::SimulatedDisk& disk) {
    store::PublisherFiles files(disk.open(), topic);
    const auto found = files.load();
    for (const auto& [name, record] : found) expect(is_valid_name(name) && record.id != 0);
    expect(files.damaged().empty() || files.through() == 0);
    if (!found.empty()) return; // the name may be another id's already
    const std::map<std::string, store::PublisherRecord> written{{"till", {1U << 31U, 5}}};
    files.save(written, 6);
    store::PublisherFiles again(disk.open(), topic);
    expect(again.load() == written && again.through() == 6);
}

void look_at_record(test::SimulatedDisk& disk) {
    const auto directory = disk.open();
    try {
        if (const auto record = store::read_record(*directory)) {
            (void)store::pack(*record);
            registry::check_options("a", record->options, 1);
        }
    } catch (const Error& e) {
        expect(e.code() == Errc::damaged || e.code() == Errc::bad_argument);
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    test::Input input(data, size);
    test::SimulatedDisk disk;
    for (int files = 0; files < 8 && !input.empty(); ++files) add_file(disk, input);
    look_at_record(disk);
    look_at_subscriptions(disk);
    look_at_publishers(disk);
    return 0;
}
