#!/usr/bin/env python3
"""shmbus scale as far as it goes without a systemd; what it does with one is in tests/systemd/scale_test.py."""

import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import harness  # noqa: E402


class ScaleTest(harness.BusTest):
    def setUp(self):
        nowhere = f"unix:path={self.directory}/none"
        self.env = {**self.env, "DBUS_SYSTEM_BUS_ADDRESS": nowhere, "DBUS_SESSION_BUS_ADDRESS": nowhere}

    def subscription(self):
        topic = self.topic()
        self.run_ok("subscription", "create", topic, "workers")
        return f"{topic}/workers"

    def scale(self, subscription, *more):
        return ("scale", subscription, "--unit", "worker@", *more)

    def test_wrong_usage(self):
        one = self.subscription()
        for pattern, arguments in (
                ("--unit is required", ("scale", one, "--max", "4")),
                ("--max is required", self.scale(one)),
                ("'orders' is no TOPIC/NAME", self.scale("orders", "--max", "4")),
                ("'' .*name", self.scale("orders/", "--max", "4")),
                ("'a/b' .*name", self.scale("orders/a/b", "--max", "4")),
                ("'worker' is no template of a service: write NAME@",
                 ("scale", one, "--unit", "worker", "--max", "4")),
                ("--max", self.scale(one, "--max", "0")),
                ("--max", self.scale(one, "--max", "257")),
                ("--min is more than --max", self.scale(one, "--max", "2", "--min", "3")),
                ("--lag", self.scale(one, "--max", "2", "--lag", "0")),
                ("--interval.* at least 10ms", self.scale(one, "--max", "2", "--interval", "1ms"))):
            self.run_failing(2, pattern, *arguments)

    def test_what_is_not_there(self):
        self.run_failing(5, "no topic 'nowhere'", *self.scale("nowhere/workers", "--max", "1"))
        topic = self.topic()
        self.run_failing(5, f"topic '{topic}' has no subscription 'workers'; to make it: ",
                         *self.scale(f"{topic}/workers", "--max", "1"))

    def test_one_that_is_removed_ends_it(self):
        one = self.subscription()
        running = self.start(*self.scale(one, "--max", "1", "--interval", "10ms"))
        self.wait_for_note(running, "no .*D-Bus")
        self.run_ok("subscription", "rm", *one.split("/"))
        self.assertEqual(running.wait().code, 5)

    def test_without_systemd(self):
        """Says so once, and goes on trying until it is told to end."""
        running = self.start(*self.scale(self.subscription(), "--max", "1", "--interval", "10ms"))
        self.wait_for_note(running, "there is no .*D-Bus.*; trying again")
        running.send(signal.SIGINT)
        done = running.wait()
        self.assertEqual((done.code, done.out), (130, b""))
        self.assertEqual(len(done.err.splitlines()), 1, done.err)

    def test_ends_in_time(self):
        done = self.run_ok(*self.scale(self.subscription(), "--max", "1", "--duration", "50ms"))
        self.assertEqual(done.out, b"")

    def test_one_that_is_no_group(self):
        done = self.run_ok(*self.scale(self.subscription(), "--max", "4", "--duration", "0"))
        self.assertRegex(done.err, "'workers' is no group, so one process at a time .*--max 1 is meant")

    def test_the_daemon_may_go_and_come_back(self):
        topic = self.topic(memory=False)
        self.run_ok("subscription", "create", topic, "workers")
        running = self.start(*self.scale(f"{topic}/workers", "--max", "1", "--interval", "10ms"))
        self.wait_for_note(running, "no .*D-Bus")
        cls = type(self)
        self.assertEqual(cls.daemon.stop(), 0)
        self.wait_for_note(running, "(?s)D-Bus.*no daemon.*trying again")
        cls.daemon = harness.Daemon(cls.directory)
        cls.addClassCleanup(cls.daemon.kill)
        self.wait_for_note(running, "(?s)D-Bus.*no daemon.*D-Bus")
        self.assertIsNone(running.process.poll())


if __name__ == "__main__":
    harness.main()
