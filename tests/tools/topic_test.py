#!/usr/bin/env python3
"""shmbus topic create, ls, info, incidents, rm and drain."""

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import harness  # noqa: E402

INFO = {"topic", "uuid", "retention", "full", "capacity", "slot", "max_event", "pool",
        "evict_after_ms", "hold_timeout_ms", "first", "head", "draining", "exclusive", "memory_bytes",
        "creator_uid", "publisher_count", "subscriber_count"}


class CreateTest(harness.BusTest):
    def options_of(self, name):
        info = self.info(name)
        return {key: info[key] for key in ("full", "capacity", "slot", "max_event", "pool",
                                           "evict_after_ms", "hold_timeout_ms")}

    def test_retention(self):
        """Without --retention the topic is on disk, with --profile fast in memory; nothing is said of it."""
        done = self.run_ok("topic", "create", "kept")
        self.assertEqual((done.out, done.err), (b"", ""))
        self.assertEqual(self.info("kept")["retention"], "disk")
        self.run_ok("topic", "create", "quick", "--profile", "fast")
        self.assertEqual(self.info("quick")["retention"], "memory")
        done = self.run_ok("topic", "create", "meant", "--retention", "memory")
        self.assertEqual((done.out, done.err), (b"", ""))
        done = self.run_ok("topic", "create", "json", "--retention", "memory", "--json")
        self.assertEqual(done.json, {"topic": "json", "created": True})

    def test_disk(self):
        """What concerns the disk arrives; the defaults are the documented ones."""
        self.run_ok("topic", "create", "disk", "--retention", "disk")
        keys = ("retention", "sync", "sync_interval_ms", "keep_bytes", "keep_age_ms", "keep_events",
                "hold")
        self.assertEqual([self.info("disk").get(key) for key in keys],
                         ["disk", "group", None, 1 << 30, 0, 0, False])
        in_memory = self.info(self.topic())
        self.assertNotIn("sync", in_memory)
        self.assertNotIn("directory", in_memory)
        self.run_ok("topic", "create", "chosen-disk", "--retention", "disk", "--sync",
                    "interval:250", "--keep-bytes", "8M", "--keep-age", "2h", "--keep-events", "5",
                    "--hold")
        self.assertEqual([self.info("chosen-disk")[key] for key in keys],
                         ["disk", "interval", 250, 8 << 20, 7200000, 5, True])
        text = self.run_ok("topic", "info", "chosen-disk").out.decode()
        self.assertIn("retention     disk, sync interval of 250 ms, keeps 8M, 2h, 5 events, holds\n", text)
        self.assertIn("on disk       up to 0; to survive a power loss, up to 0\n", text)
        files = str(self.directory / "state/topics/chosen-disk")
        self.assertIn(f"directory     {files}\n", text)
        self.assertEqual(self.info("chosen-disk")["directory"], files)
        self.run_failing(6, "sync is group, not none", "topic", "create", "disk", "--if-missing",
                         "--retention", "disk", "--sync", "none")

    def test_disk_usage(self):
        """What makes no sense exits 2 and says why; no topic is made."""
        for pattern, *options in [
            ("--retention: 'dusk' is neither disk nor memory", "--retention", "dusk"),
            ("for topics on disk", "--retention", "memory", "--sync", "group"),
            ("for topics on disk", "--retention", "memory", "--keep-bytes", "1G"),
            ("for topics on disk", "--profile", "fast", "--keep-age", "1h"),
            ("for topics on disk", "--retention", "memory", "--keep-events", "5"),
            ("--sync: 'now' is none of none, group and interval:MS", "--retention", "disk", "--sync",
             "now"),
            ("--sync: .*1 .*3600000", "--retention", "disk", "--sync", "interval:0"),
            ("--keep-age: '1us' is less than 1ms", "--retention", "disk", "--keep-age", "1us"),
            ("for topics on disk", "--retention", "memory", "--hold"),
            ("--schema: this version knows no schemas", "--schema", "a.capnp:B"),
        ]:
            self.run_failing(2, pattern, "topic", "create", "never", *options)
        self.run_failing(5, "", "topic", "info", "never")

    def test_options(self):
        """Every option arrives; the defaults are the documented ones."""
        self.run_ok("topic", "create", "defaults")
        self.assertEqual(self.options_of("defaults"), {
            "full": "block", "capacity": 16384, "slot": 256, "max_event": 1 << 20,
            "pool": 64 << 20, "evict_after_ms": 10000, "hold_timeout_ms": 10000})
        self.run_ok("topic", "create", "chosen", "--full", "reject", "--capacity", "64", "--slot",
                    "1K", "--max-event", "2M", "--pool", "16M", "--evict-after", "1500ms",
                    "--hold-timeout", "1m")
        self.assertEqual(self.options_of("chosen"), {
            "full": "reject", "capacity": 64, "slot": 1024, "max_event": 2 << 20,
            "pool": 16 << 20, "evict_after_ms": 1500, "hold_timeout_ms": 60000})

    def test_range_of_durations(self):
        """The least and the most that --evict-after and --hold-timeout take."""
        self.run_ok("topic", "create", "range", "--evict-after", "1ms", "--hold-timeout",
                    "4294967295ms")
        options = self.options_of("range")
        self.assertEqual((options["evict_after_ms"], options["hold_timeout_ms"]), (1, 2**32 - 1))

    def test_profile_fast(self):
        """--profile fast: drop-oldest and small slots, unless told otherwise."""
        done = self.run_ok("topic", "create", "fast", "--profile", "fast")
        self.assertEqual(done.err, "", "fast means memory")
        options = self.options_of("fast")
        self.assertEqual((options["full"], options["slot"]), ("drop-oldest", 128))
        self.run_ok("topic", "create", "faster", "--profile", "fast", "--full", "block")
        self.assertEqual(self.options_of("faster")["full"], "block")
        self.run_failing(2, "there is one profile, fast", "topic", "create", "x", "--profile", "slow")

    def test_wrong_options(self):
        """Values that cannot be: exit 2, naming the option or what it should be."""
        for pattern, *options in [
            ("--full: 'maybe' is none of block, reject and drop-oldest", "--full", "maybe"),
            ("--capacity: 'many' is not a size", "--capacity", "many"),
            ("--capacity: '-1' is not a size", "--capacity=-1"),
            ("--capacity: '8G' is too large", "--capacity", "8G"),
            ("--evict-after: '5' is not a duration", "--evict-after", "5"),
            ("--evict-after: '100d' is too long", "--evict-after", "100d"),
            ("--evict-after: '4294967296ms' is too long", "--evict-after", "4294967296ms"),
            ("--evict-after: '500us' is not a whole number of milliseconds", "--evict-after",
             "500us"),
            ("until eviction must be at least 1 ms", "--evict-after", "0"),
            ("is held must be at least 1 ms", "--hold-timeout", "0"),
            ("--evict-after: '1500us' is not a whole number", "--evict-after", "1500us"),
            ("--hold-timeout: '0.5ms' is not a whole number", "--hold-timeout", "0.5ms"),
            ("power of two", "--capacity", "3"),
            ("power of two", "--capacity", "1"),
            ("power of two", "--slot", "100"),
            ("slot", "--slot", "64"),
            ("largest event must be", "--max-event", "0"),
            ("largest event must be", "--max-event", "2G"),
            ("pool", "--pool", "1T"),
        ]:
            self.run_failing(2, pattern, "topic", "create", "wrong", *options)
        self.run_failing(5, "", "topic", "info", "wrong")

    def test_too_much_memory(self):
        """A ring beyond the user's limit: exit 6, naming the limit."""
        self.run_failing(6, "of the 1024 MiB a user may have", "topic", "create", "huge",
                         "--capacity", "16M", "--slot", "64K")

    def test_exists(self):
        """A second creation exits 6; --if-missing is fine with the same options only."""
        self.run_ok("topic", "create", "twice", "--capacity", "64")
        self.run_failing(6, "exists already; --if-missing .*: shmbus topic rm twice\n", "topic",
                         "create", "twice", "--capacity", "64")
        done = self.run_ok("topic", "create", "twice", "--capacity", "64", "--if-missing", "--json")
        self.assertEqual(done.json, {"topic": "twice", "created": False})
        self.assertEqual(done.err, "")
        done = self.run_ok("topic", "create", "once", "--if-missing", "--json")
        self.assertEqual(done.json, {"topic": "once", "created": True})
        self.run_failing(6, "capacity.*64.*128", "topic", "create", "twice", "--capacity", "128",
                         "--if-missing")


class ListTest(harness.BusTest):
    def test_ls(self):
        """ls: a note when there is nothing; else a table, or a JSON array, in order of names."""
        done = self.run_ok("topic", "ls")
        self.assertEqual(done.out, b"")
        self.assertIn("no topics yet", done.err)
        self.assertEqual(self.run_ok("topic", "ls", "--json").json, [])
        self.run_ok("topic", "create", "b", "--retention", "memory", "--full", "drop-oldest")
        self.run_ok("topic", "create", "a", "--retention", "memory")
        self.run_ok("pub", "a", "x")
        lines = self.run_ok("topic", "ls").out.decode().splitlines()
        self.assertEqual([line.split()[:2] for line in lines],
                         [["TOPIC", "FULL"], ["a", "block"], ["b", "drop-oldest"]])
        topics = self.run_ok("topic", "ls", "--json").json
        self.assertEqual([(t["topic"], t["head"]) for t in topics], [("a", 1), ("b", 0)])
        self.assertEqual(set(topics[0]), INFO)


class InfoTest(harness.BusTest):
    def test_info(self):
        """info: every field, and who publishes and subscribes."""
        topic = self.topic()
        info = self.info(topic)
        self.assertEqual(set(info), INFO | {"publishers", "subscribers"})
        self.assertEqual((info["first"], info["head"], info["retention"]), (1, 0, "memory"))
        self.assertRegex(info["uuid"], r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
        sub = self.start_sub(topic, "--from", "all", "--lossy")
        pub = self.start("pub", topic, "--lines", stdin=self.never_ending())
        harness.wait_until("the publisher", lambda: self.info(topic)["publisher_count"] == 1)
        info = self.info(topic)
        self.assertEqual(info["publishers"][0]["pid"], pub.pid)
        self.assertEqual(set(info["publishers"][0]), {"pid", "uid", "command"})
        self.assertEqual(set(info["subscribers"][0]),
                         {"pid", "uid", "command", "cursor", "lag", "lossy", "waits_for_pid"})
        text = self.run_ok("topic", "info", topic).out.decode()
        self.assertRegex(text, rf"PUBLISHER +UID +COMMAND\n +{pub.pid} +\d+ +shmbus\n")
        self.assertRegex(text, rf"GATES +COMMAND\n +{sub.pid} +\d+ +0 +0 +no +shmbus\n")

    def never_ending(self):
        read, write = os.pipe()
        self.addCleanup(os.close, write)
        self.addCleanup(os.close, read)
        return read


class IncidentsTest(harness.BusTest):
    def incidents(self, topic):
        return self.run_ok("topic", "incidents", topic, "--json").json

    def test_incidents(self):
        """Who came, went and died, in order, and what people did to subscriptions."""
        topic = self.topic()
        self.assertEqual(self.incidents(topic), [])
        self.assertIn("nothing has happened", self.run_ok("topic", "incidents", topic).err)
        self.run_ok("pub", topic, "1")
        sub = self.start_sub(topic, "--name", "bill")
        self.wait_for_output(sub, b"1\n")
        sub.process.kill()
        sub.wait()
        harness.wait_until("death is noted",
                           lambda: "subscriber_died" in [one["what"] for one in self.incidents(topic)])
        self.run_ok("subscription", "seek", topic, "bill", "--to", "all")
        self.run_ok("topic", "drain", topic)
        found = self.incidents(topic)
        self.assertEqual([one["what"] for one in found if not one["what"].startswith("subscriber_")
                          or one.get("name") == "bill"],
                         ["publisher_opened", "publisher_closed", "subscriber_opened", "subscriber_died",
                          "sought", "draining"])
        self.assertEqual([one["number"] for one in found], list(range(1, len(found) + 1)))
        died = next(one for one in found if one["what"] == "subscriber_died")
        self.assertEqual((died["pid"], died["uid"], died["command"], died["name"]),
                         (sub.pid, os.getuid(), "shmbus", "bill"))
        self.assertRegex(died["time"], r"^20\d\d-\d\d-\d\dT.*Z$")
        sought = next(one for one in found if one["what"] == "sought")
        self.assertEqual((sought["name"], sought["last"]), ("bill", 0))
        self.assertRegex(self.run_ok("topic", "incidents", topic).out.decode(),
                         rf"a subscriber died +bill +shmbus \(pid {sub.pid}\)")

    def test_many(self):
        """More than one answer of the daemon has, and no more than the last ones are kept."""
        topic = self.topic()
        self.run_ok("subscription", "create", topic, "bill")
        for _ in range(150):
            self.run_ok("subscription", "pause", topic, "bill")
        found = self.incidents(topic)
        self.assertEqual([one["number"] for one in found], list(range(23, 151)))
        self.assertEqual({one["what"] for one in found}, {"paused"})

    def test_no_such_topic(self):
        """As elsewhere."""
        self.run_failing(5, "no topic", "topic", "incidents", "missing")


class RemoveTest(harness.BusTest):
    def test_rm(self):
        """rm: the topic is gone, and one of the same name is another."""
        topic = self.topic()
        uuid = self.info(topic)["uuid"]
        self.assertEqual(self.run_ok("topic", "rm", topic, "--json").json,
                         {"topic": topic, "removed": True})
        self.run_failing(5, "there is no topic", "topic", "rm", topic)
        self.run_ok("topic", "create", topic)
        self.assertNotEqual(self.info(topic)["uuid"], uuid)

    def test_rm_in_use(self):
        """In use: exit 6, naming who; with --force a subscriber gets the rest, then ends with 5."""
        topic = self.topic()
        self.run_ok("pub", topic, "last words")
        sub = self.start_sub(topic, "--from", "all")
        self.wait_for_output(sub, b"last words\n")
        self.run_failing(6, f"{sub.pid}.* by force: shmbus topic rm {topic} --force\n", "topic", "rm",
                         topic)
        self.run_ok("topic", "rm", topic, "--force")
        done = sub.wait()
        self.assertEqual(done.code, 5)
        self.assertIn(f"topic '{topic}' was removed", done.err)

    def test_rm_ends_a_sub_of_several(self):
        """A sub of several topics ends with the first that is removed: 5, all acknowledged."""
        gone, stays = self.topic(), self.topic(suffix="-stays")
        sub = self.start_sub(gone, stays, "--from", "all")
        self.run_ok("pub", stays, "x")
        self.wait_for_output(sub, b"x\n")
        self.run_ok("topic", "rm", gone, "--force")
        done = sub.wait()
        self.assertEqual((done.code, done.out), (5, b"x\n"))
        self.assertEqual(done.err, f"shmbus: topic '{gone}' was removed\n")

    def test_rm_ends_a_counting_sub(self):
        """Fewer events than --count is 3, whatever the reason."""
        topic = self.topic()
        sub = self.start_sub(topic, "--from", "all", "--count", "5")
        self.run_ok("topic", "rm", topic, "--force")
        done = sub.wait()
        self.assertEqual(done.code, 3)
        self.assertIn("was removed; 0 of 5 events", done.err)


class DrainTest(harness.BusTest):
    def test_drain_and_undo(self):
        """A drained topic takes no events, exit 6 with the remedy, until --undo."""
        topic = self.topic()
        self.assertEqual(self.run_ok("topic", "drain", topic, "--json").json,
                         {"topic": topic, "drained": True})
        self.assertTrue(self.info(topic)["draining"])
        self.assertIn(b"draining", self.run_ok("topic", "ls").out)
        self.run_failing(6, f"is draining.*topic drain {topic} --undo", "pub", topic, "x")
        self.assertEqual(self.run_ok("topic", "drain", topic, "--undo", "--json").json,
                         {"topic": topic, "drained": False})
        self.run_ok("pub", topic, "x")

    def test_drain_waits(self):
        """It waits for who has not acknowledged: says for whom after a second, exit 3 at the end."""
        topic = self.topic()
        self.run_ok("pub", topic, "--lines", stdin=b"1\n2\n")
        sub = self.start_sub(topic, "--from", "all", "--no-ack")
        self.wait_for_output(sub, b"2\n")
        done = self.run_failing(3, f"waiting; pid {sub.pid} .*2 events", "topic", "drain", topic,
                                "--timeout", "1200ms", "--json")
        self.assertEqual(done.json, {"topic": topic, "drained": False})
        self.assertEqual(done.err.count("waiting; "), 2)
        drain = self.start("topic", "drain", topic)
        self.wait_for_note(drain, f"waiting; pid {sub.pid}")
        sub.process.kill()
        self.assertEqual(drain.wait().code, 0)

    def test_drain_interrupted(self):
        """Ctrl-C ends the waiting with 130."""
        topic = self.topic()
        self.run_ok("pub", topic, "1")
        sub = self.start_sub(topic, "--from", "all", "--no-ack")
        self.wait_for_output(sub, b"1\n")
        drain = self.start("topic", "drain", topic)
        self.wait_for_note(drain, "waiting; ")
        drain.send(signal.SIGINT)
        self.assertEqual(drain.wait().code, 130)

    def test_timeout_and_undo_exclude_each_other(self):
        """--undo waits for nothing."""
        self.run_failing(2, "excludes", "topic", "drain", "t", "--undo", "--timeout", "1s")


if __name__ == "__main__":
    harness.main()
