// Exactly one effect for each event: build/examples/exactly_once TOPIC FILE.db
//
// How far it came is in the database, in the same transaction as the effect. So whenever it is killed, both
// are there or neither is, and it asks the bus for the event behind.
#include <shmbus/shmbus.hpp>

#include <iostream>
#include <sqlite3.h>
#include <stdexcept>

namespace {

class Database {
  public:
    explicit Database(const char* path) {
        check(sqlite3_open(path, &db_));
        sqlite3_busy_timeout(db_, 10'000); // milliseconds
        run("CREATE TABLE IF NOT EXISTS position (sequence INTEGER)");
        run("CREATE TABLE IF NOT EXISTS effects (text TEXT)");
    }
    ~Database() { sqlite3_close(db_); }
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;

    void run(const char* sql) { check(sqlite3_exec(db_, sql, nullptr, nullptr, nullptr)); }
    void insert(const char* sql, std::string_view text) {
        sqlite3_stmt* statement = nullptr;
        check(sqlite3_prepare_v2(db_, sql, -1, &statement, nullptr));
        sqlite3_bind_text(statement, 1, text.data(), static_cast<int>(text.size()), nullptr);
        sqlite3_step(statement);
        check(sqlite3_finalize(statement));
    }
    shmbus::Sequence position() {
        sqlite3_stmt* statement = nullptr;
        check(
            sqlite3_prepare_v2(db_, "SELECT max(sequence) FROM position", -1, &statement, nullptr));
        sqlite3_step(statement);
        const auto position = static_cast<shmbus::Sequence>(sqlite3_column_int64(statement, 0));
        check(sqlite3_finalize(statement));
        return position;
    }

  private:
    void check(int code) {
        if (code != SQLITE_OK) throw std::runtime_error(sqlite3_errmsg(db_));
    }
    sqlite3* db_ = nullptr;
};

void apply(Database& database, shmbus::Sequence sequence, std::string_view text) {
    database.run("BEGIN IMMEDIATE");
    database.insert("INSERT INTO effects VALUES (?1)", text);
    database.run("DELETE FROM position");
    database.insert("INSERT INTO position VALUES (CAST(?1 AS INTEGER))", std::to_string(sequence));
    database.run("COMMIT");
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::cerr << "usage: exactly_once TOPIC FILE.db\n";
        return 2;
    }
    try {
        Database database(argv[2]);
        shmbus::Bus bus;
        auto subscription =
            bus.subscribe(argv[1], {.start = shmbus::Start::sequence(database.position() + 1)});
        while (true) {
            const auto received = subscription.receive(shmbus::Deadline::never());
            if (const auto* event = std::get_if<shmbus::Event>(&received))
                apply(database, event->sequence(), event->text());
            else if (std::get_if<shmbus::Nothing>(&received) != nullptr)
                return 0; // the topic was removed
        }
    } catch (const std::exception& error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
}
