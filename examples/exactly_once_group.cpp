// Exactly one effect for each event, by as many processes as you like:
// build/examples/exactly_once_group TOPIC GROUP FILE.db, again and again
//
// An event's effect and the note that it had it are in one transaction. So whichever member is killed, both are
// there or neither is, and whoever gets the event next knows. Events of one key are applied in order.
#include <shmbus/shmbus.hpp>

#include <iostream>
#include <sqlite3.h>
#include <stdexcept>

namespace {

class Database {
  public:
    explicit Database(const char* path) {
        check(sqlite3_open(path, &db_));
        sqlite3_busy_timeout(db_, 10'000); // milliseconds; members take turns
        run("CREATE TABLE IF NOT EXISTS applied (slot INTEGER PRIMARY KEY, sequence INTEGER)");
        run("CREATE TABLE IF NOT EXISTS effects (key TEXT, text TEXT)");
    }
    ~Database() { sqlite3_close(db_); }
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;

    void run(const char* sql) { check(sqlite3_exec(db_, sql, nullptr, nullptr, nullptr)); }

    shmbus::Sequence applied(std::uint32_t slot) {
        auto* statement = prepare("SELECT sequence FROM applied WHERE slot = ?1");
        sqlite3_bind_int64(statement, 1, slot);
        const bool is_there = sqlite3_step(statement) == SQLITE_ROW;
        const auto sequence = is_there ? sqlite3_column_int64(statement, 0) : 0;
        check(sqlite3_finalize(statement));
        return static_cast<shmbus::Sequence>(sequence);
    }
    void set_applied(std::uint32_t slot, shmbus::Sequence sequence) {
        auto* statement = prepare("REPLACE INTO applied VALUES (?1, ?2)");
        sqlite3_bind_int64(statement, 1, slot);
        sqlite3_bind_int64(statement, 2, static_cast<sqlite3_int64>(sequence));
        sqlite3_step(statement);
        check(sqlite3_finalize(statement));
    }
    void insert(std::string_view key, std::string_view text) {
        auto* statement = prepare("INSERT INTO effects VALUES (?1, ?2)");
        sqlite3_bind_text(statement, 1, key.data(), static_cast<int>(key.size()), nullptr);
        sqlite3_bind_text(statement, 2, text.data(), static_cast<int>(text.size()), nullptr);
        sqlite3_step(statement);
        check(sqlite3_finalize(statement));
    }

  private:
    sqlite3_stmt* prepare(const char* sql) {
        sqlite3_stmt* statement = nullptr;
        check(sqlite3_prepare_v2(db_, sql, -1, &statement, nullptr));
        return statement;
    }
    void check(int code) {
        if (code != SQLITE_OK) throw std::runtime_error(sqlite3_errmsg(db_));
    }
    sqlite3* db_ = nullptr;
};

void apply(Database& database, shmbus::Applied& applied, const shmbus::Event& event) {
    database.run("BEGIN IMMEDIATE"); // from here on no other member changes anything
    applied.set(event.slot(), database.applied(event.slot()));
    if (applied.is_new(event)) {
        database.insert(event.key(), event.text());
        applied.note(event);
        database.set_applied(event.slot(), applied.at(event.slot()));
    }
    database.run("COMMIT");
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        std::cerr << "usage: exactly_once_group TOPIC GROUP FILE.db\n";
        return 2;
    }
    try {
        Database database(argv[3]);
        shmbus::Applied applied;
        shmbus::Bus bus;
        auto subscription = bus.subscribe(
            argv[1],
            {.start = shmbus::Start::all(), .name = argv[2], .group = shmbus::GroupOptions()});
        while (true) { // each event is acknowledged when the next one is asked for
            const auto received = subscription.receive(shmbus::Deadline::never());
            if (const auto* event = std::get_if<shmbus::Event>(&received))
                apply(database, applied, *event);
            else if (std::get_if<shmbus::Nothing>(&received) != nullptr)
                return 0; // the topic, or the group, was removed
        }
    } catch (const std::exception& error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
}
