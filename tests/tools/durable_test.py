#!/usr/bin/env python3
"""Durable subscriptions: sub --name, and the verbs of subscription."""

import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import harness  # noqa: E402


class DurableTest(harness.BusTest):
    def filled(self, last=10):
        """A topic on disk with the numbers from 1 to last."""
        name = self.id().split(".")[-1].replace("_", "-")
        self.run_ok("topic", "create", name, "--retention", "disk")
        self.run_ok("pub", name, "--lines", stdin=b"".join(b"%d\n" % n for n in range(1, last + 1)))
        return name

    def take(self, topic, count, *options):
        done = self.run_ok("sub", topic, "--name", "worker", "--count", str(count), *options)
        return [int(line) for line in done.out.split()]

    def one(self, topic):
        return self.run_ok("subscription", "info", topic, "worker", "--json").json

    def test_goes_on(self):
        """A new name starts with everything; the next run goes on behind the last one."""
        topic = self.filled()
        self.assertEqual(self.take(topic, 3), [1, 2, 3])
        self.assertEqual(self.take(topic, 2), [4, 5])
        self.assertEqual(self.take(topic, 1, "--from", "9"), [6])
        self.assertEqual((self.one(topic)["cursor"], self.one(topic)["lag"]), (6, 4))

    def test_after_kill_and_restart(self):
        """kill -9 of the consumer, then a new daemon: nothing that was acknowledged comes again."""
        topic = self.filled()
        sub = self.start("sub", topic, "--name", "worker")
        self.wait_for_output(sub, b"10\n")
        harness.wait_until("the cursor", lambda: self.one(topic)["cursor"] == 10)
        sub.send(signal.SIGKILL)
        sub.wait()
        self.assertEqual(self.daemon.stop(), 0)
        type(self).daemon = harness.Daemon(self.directory)
        self.run_ok("pub", topic, "11")
        self.assertEqual(self.take(topic, 1), [11])

    def test_one_holder(self):
        """A second one is refused with 6, or takes it over; the first then ends with 6."""
        topic = self.filled(1)
        first = self.start("sub", topic, "--name", "worker")
        self.wait_for_output(first, b"1\n")
        self.run_failing(6, f"held by shmbus .pid {first.pid}.*--steal", "sub", topic, "--name", "worker")
        self.assertEqual(self.one(topic)["holder"]["pid"], first.pid)
        second = self.start("sub", topic, "--name", "worker", "--steal")
        done = first.wait()
        self.assertEqual(done.code, 6)
        self.assertIn("took the subscription over", done.err)
        self.run_ok("pub", topic, "2")
        self.wait_for_output(second, b"2\n")
        second.send(signal.SIGINT)
        self.assertEqual(second.wait().code, 130)

    def test_verbs(self):
        """create, ls, seek, pause, resume and rm."""
        topic = self.filled()
        self.run_ok("subscription", "create", topic, "worker", "--from", "4")
        self.run_failing(6, "exists already", "subscription", "create", topic, "worker")
        self.assertEqual(self.take(topic, 1), [4])
        self.run_ok("subs", "seek", topic, "worker", "--to", "8")
        self.assertEqual(self.take(topic, 1), [8])
        self.run_ok("subscription", "pause", topic, "worker")
        self.assertEqual(self.one(topic)["state"], "paused")
        self.run_failing(3, "no event for 200ms", "sub", topic, "--name", "worker", "--timeout", "200ms")
        done = self.run_ok("subscription", "resume", topic, "worker", "--json")
        self.assertEqual(done.json, {"topic": topic, "subscription": "worker", "resumed": True})
        self.assertEqual(self.take(topic, 1), [9])
        text = self.run_ok("subscription", "ls", topic).out.decode()
        self.assertRegex(text, r"TOPIC +SUBSCRIPTION +CURSOR +LAG +STATE +HOLDER\n"
                               rf"{topic} +worker +9 +1 +idle +-\n")
        listed = self.run_ok("subscription", "ls", "--json").json
        self.assertIn((topic, "worker", 9), [(s["topic"], s["name"], s["cursor"]) for s in listed])
        self.run_ok("subscription", "rm", topic, "worker")
        self.run_failing(5, "no subscription 'worker'", "subscription", "info", topic, "worker")
        self.run_failing(5, "no subscription worker", "subscription", "rm", topic, "worker")

    def test_usage(self):
        """What cannot be: exit 2, or 5 where there is no such topic."""
        self.run_failing(2, "", "subscription")
        self.run_failing(2, "--to", "subscription", "seek", "t", "n")
        self.run_failing(2, "--steal", "sub", "t", "--steal")
        self.run_failing(2, "subscription", "sub", "t", "--name", "a b")
        self.run_failing(5, "no topic 'none'", "subscription", "ls", "none")
        self.run_failing(5, "no topic 'none'", "subscription", "rm", "none", "n")


if __name__ == "__main__":
    harness.main()
