#!/usr/bin/env python3
"""shmbus bench: the shape of what it prints, that it cleans up, and what it needs. No timings."""

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import harness  # noqa: E402

CONTRACT = ["case", "bytes", "p50_ns", "p99_ns", "p999_ns", "events_per_s", "raw", "ratio"]
TIMES = ["p50_ns", "p99_ns", "p999_ns"]
MEASURED = ["events_per_s", "raw", "ratio", "ratio_low", "ratio_high"]


class BenchTest(harness.BusTest):
    def tearDown(self):
        self.assertEqual(self.run_ok("topic", "ls", "--json").json, [], "topics are left")

    def disk_directory(self):
        """Where the disk's cases are to leave nothing."""
        directory = self.directory / self.id()
        directory.mkdir()
        self.addCleanup(lambda: self.assertEqual(list(directory.iterdir()), []))
        return directory

    def disk_env(self, **more):
        """No bus is needed, but the daemon's program."""
        path = f"{harness.SHMBUSD.parent}:{os.environ['PATH']}"
        return harness.environment(**{"SHMBUS_SOCKET": "/nonexistent", "PATH": path, **more})

    def check_row(self, row, on_disk=False):
        self.assertEqual(list(row)[:len(CONTRACT)], CONTRACT)
        self.assertEqual(row["file_system"] is not None, on_disk)
        self.assertIsInstance(row["case"], str)
        self.assertIsInstance(row["bytes"], int)
        self.assertEqual(row["enough"], row["slices"] >= 10)
        if row["slices"] == 0:  # a busy machine: it says so, and pretends nothing
            self.assertEqual({row[name] for name in TIMES + MEASURED}, {None})
            return
        for name in MEASURED:
            self.assertGreater(row[name], 0, name)
        self.assertLessEqual(row["ratio_low"], row["ratio"])
        self.assertLessEqual(row["ratio"], row["ratio_high"])

    def check_note(self, done):
        """stderr says whether there were too few slices, and only then."""
        few = sum(not row["enough"] for row in done.json)
        self.assertEqual("undisturbed" in done.err, few > 0, done.err)

    def test_rates(self):
        """A case of rates: no percentiles."""
        done = self.run_ok("bench", "fanout", "--quick", "--json")
        (row,) = done.json
        self.assertEqual((row["case"], row["bytes"]), ("publish, 64 subscribers", 64))
        self.assertEqual([row[name] for name in TIMES], [None] * 3)
        self.check_row(row)
        self.check_note(done)

    def test_groups(self):
        """Members of groups beside a plain subscription: rates."""
        done = self.run_ok("bench", "group", "--quick", "--json")
        self.assertEqual([(row["case"], row["bytes"]) for row in done.json],
                         [("group of 1", 64), ("group of 2, 1 us each", 64)])
        for row in done.json:
            self.assertEqual([row[name] for name in TIMES], [None] * 3)
            self.check_row(row)
        self.check_note(done)

    def test_latencies(self):
        """Cases of latencies: percentiles that go up."""
        done = self.run_ok("bench", "latency", "--quick", "--json")
        self.assertEqual([(row["case"], row["bytes"]) for row in done.json],
                         [("latency, spinning", 64), ("latency, exclusive", 64),
                          ("latency, parked", 64), ("latency, loan untouched", 4 << 20)])
        for row in done.json:
            self.check_row(row)
            if row["slices"] > 0:
                self.assertGreater(row["p50_ns"], 0)
                self.assertLessEqual(row["p50_ns"], row["p99_ns"])
                self.assertLessEqual(row["p99_ns"], row["p999_ns"])
        self.check_note(done)

    def test_disk(self):
        """Cases of topics on disk: with a bus and a directory of their own."""
        directory = self.disk_directory()
        done = self.run_ok("bench", "spill", "--quick", "--json", "--directory", directory,
                           env=self.disk_env())
        self.assertEqual([(row["case"], row["bytes"]) for row in done.json],
                         [("store, sync group", 256), ("store until durable", 256),
                          ("catch up", 100), ("recover", 16 << 20)])
        for row in done.json:
            self.check_row(row, on_disk=True)
            is_rate = row["case"] in ("store, sync group", "catch up")
            self.assertEqual(row["p50_ns"] is None, is_rate or row["slices"] == 0)
            self.assertIn(f"topics on disk are in {directory}: {row['file_system']}\n", done.err)
        self.check_note(done)

    def test_disk_is_left_clean(self):
        """Interrupted, it leaves nothing there."""
        directory = self.disk_directory()
        running = self.start("bench", "spill", "--quick", env=self.disk_env(TMPDIR=str(directory)))
        harness.wait_until("a bus there", lambda: list(directory.glob("*/bus.sock")))
        running.send(signal.SIGINT)
        done = running.wait()
        self.assertEqual((done.code, done.out), (130, b""), done.err)
        self.assertEqual(list(directory.iterdir()), [])

    def test_disk_needs_a_directory(self):
        """Said before anything is measured."""
        done = self.run_failing(1, "/nonexistent/shmbus-bench-.*: No such file", "bench", "all",
                                "--directory", "/nonexistent", env=self.disk_env(
                                    SHMBUS_SOCKET=str(self.daemon.socket)))
        self.assertNotIn("…", done.err)

    def test_table(self):
        """For people: a title, a line for each case."""
        done = self.run_ok("bench", "fanout", "--quick")
        title, line = done.out.decode().splitlines()
        self.assertEqual(title.split()[:3], ["case", "bytes", "p50"])
        self.assertRegex(line, r"^publish, 64 subscribers +64 .*\d+( of 10)?$")
        self.assertIn("publish, 64 subscribers, 64 …", done.err)

    def test_needs_two_cores(self):
        """With one core there is nothing to measure between two."""
        cores = os.sched_getaffinity(0)
        self.addCleanup(os.sched_setaffinity, 0, cores)
        os.sched_setaffinity(0, {min(cores)})
        done = self.run_failing(1, "needs two cores", "bench", "fanout", "--quick", "--json")
        self.assertEqual(done.out, b"")

    def test_wrong_usage(self):
        self.run_failing(2, "latency", "bench", "latencies")


if __name__ == "__main__":
    harness.main()
