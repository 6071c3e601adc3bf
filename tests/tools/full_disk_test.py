#!/usr/bin/env python3
"""A disk of 8 MiB that runs full: nothing is torn, everybody is told, and it goes on by itself.

Needs to mount: run by root it does so in a mount namespace of its own, else in a user namespace, too.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import harness  # noqa: E402

NO_SPACE = r"no space for a segment of \d+ KiB: \d+ KiB are free, and \d+ KiB are to stay so"
COUNT = 6_000
LINES = [b"%d %s\n" % (n, b"x" * 2_000) for n in range(COUNT)]  # 12 MB


class FullDiskTest(harness.BusTest):
    def setUp(self):
        """A disk of its own, and a daemon."""
        self.disk = self.directory / self.id().split(".")[-1]
        (self.disk / "state").mkdir(parents=True)
        self.mount("size=8m,mode=700")
        self.addCleanup(subprocess.run, ["umount", self.disk / "state"], check=True)
        self.start_daemon()

    def mount(self, options):
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", self.disk / "state"], check=True)

    def make_room(self):
        self.mount("remount,size=64m")

    def start_daemon(self):
        self.small = harness.Daemon(self.disk)
        self.addCleanup(self.small.kill)
        self.env = harness.environment(SHMBUS_SOCKET=str(self.small.socket))

    def disk_topic(self, *options):
        self.run_ok("topic", "create", "t", "--retention", "disk", "--capacity", "256", *options)

    def fill(self, *options):
        """Publishes more than there is room for, and returns who waits."""
        publisher = self.start("pub", "t", "--lines", *options, stdin=self.file(b"".join(LINES)))
        self.wait_for_trouble()
        return publisher

    def wait_for_trouble(self):
        trouble = harness.wait_until("trouble", lambda: self.info("t")["trouble"])
        self.assertRegex(trouble, NO_SPACE)

    def wait_for_the_end_of_trouble(self):
        harness.wait_until("the end of it", lambda: not self.info("t")["trouble"])

    def head(self):
        return self.info("t")["head"]

    def expect_all(self, count):
        """The lines, from the first to the last, and no damage in the files."""
        self.assertEqual(self.head(), count)
        done = self.run_ok("sub", "t", "--from", "all", "--count", str(count), "--timeout", "20s")
        self.assertEqual(done.out, b"".join(LINES[:count]))
        self.assertIn("no damage", self.run_ok("spill", "verify", "t").err)

    def expect_all_after_restart(self, count):
        self.assertEqual(self.small.stop(), 0)
        self.start_daemon()
        self.expect_all(count)

    def test_block(self):
        """Publishers wait, and say for what; subscribers read on; with room all of it arrives."""
        for sync in ("group", "none", "interval:10") if harness.LONG else ("group",):
            with self.subTest(sync):
                self.disk_topic("--sync", sync)
                reader = self.start_sub("t", "--from", "all")
                publisher = self.fill()
                self.wait_for_note(publisher, "the disk takes no events: " + NO_SPACE)
                self.assertRegex(self.run_ok("topic", "info", "t").out.decode(), "trouble +" + NO_SPACE)
                head = self.head()
                harness.wait_until("the reader", lambda: reader.out.count(b"\n") == head)
                self.assertEqual(reader.out, b"".join(LINES[:head]))
                self.run_failing(3, "the disk takes no events", "pub", "t", "x", "--timeout", "300ms")
                self.assertIn("no damage", self.run_ok("spill", "verify", "t").err)
                self.make_room()
                self.assertEqual(publisher.wait().code, 0)
                self.wait_for_the_end_of_trouble()
                self.expect_all(COUNT)
                harness.wait_until("the reader", lambda: reader.out == b"".join(LINES))
                reader.process.kill()
                reader.wait()
                self.expect_all_after_restart(COUNT)
                self.run_ok("topic", "rm", "t")
                harness.wait_until("the files to go", lambda: not list(
                    (self.disk / "state/removed").iterdir()))
                self.mount("remount,size=8m")

    def publish_until_refused(self):
        """A few at a time, so that it is the disk and not the ring that is full; how many were."""
        count = 0
        while count < COUNT:
            done = self.run_tool("pub", "t", "--lines", "--json", stdin=b"".join(LINES[count:count + 50]))
            count += done.json["count"]
            if done.code != 0:
                self.assertEqual(done.code, 6, done.err)
                self.assertRegex(done.err, "topic 't' is full; the disk takes no events: " + NO_SPACE)
                return count
            harness.wait_until("the disk", lambda: self.info("t")["trouble"]
                               or self.info("t")["durable"] == self.head())
        raise AssertionError("never refused")

    def wait_for_incident(self, what):
        harness.wait_until(what, lambda: what in [
            one["what"] for one in self.run_ok("topic", "incidents", "t", "--json").json])

    def test_reject(self):
        """Publishers are refused; what they could publish is there, and with room it goes on."""
        self.disk_topic("--full", "reject")
        count = self.publish_until_refused()
        self.wait_for_trouble()
        self.expect_all(count)
        self.wait_for_incident("degraded")
        self.make_room()
        self.wait_for_the_end_of_trouble()
        self.wait_for_incident("recovered")
        self.run_ok("pub", "t", "--lines", "--wait-durable", stdin=LINES[count])
        self.expect_all_after_restart(count + 1)

    def test_drop_oldest(self):
        """Nobody waits; what the disk could not take in time is one gap."""
        self.disk_topic("--full", "drop-oldest")
        publisher = self.fill("--rate", "3000")
        durable = self.info("t")["durable"]
        self.assertEqual(publisher.wait().code, 0)
        self.assertEqual(self.head(), COUNT)
        self.make_room()
        self.wait_for_the_end_of_trouble()
        harness.wait_until("the disk", lambda: self.info("t")["durable"] == COUNT)
        objects = self.run_failing(3, "", "sub", "t", "--from", "all", "--json", "--timeout", "1s").objects
        gaps = [one["gap"] for one in objects if "gap" in one]
        self.assertEqual({gap["reason"] for gap in gaps}, {"lost"})
        lost = {s for gap in gaps for s in range(gap["first"], gap["last"] + 1)}
        self.assertIn(COUNT // 2, lost - set(range(durable + 1)))
        self.assertEqual([one["seq"] for one in objects if "seq" in one],
                         [s for s in range(1, COUNT + 1) if s not in lost])

    def test_room_from_what_nobody_needs_any_more(self):
        """What was held for a subscription goes when it has been acknowledged, and that is room enough."""
        self.disk_topic("--keep-bytes", "2M", "--hold")
        self.run_ok("subscription", "create", "t", "worker")
        publisher = self.fill()
        worker = self.start("sub", "t", "--name", "worker", "--count", str(COUNT))
        self.assertEqual(worker.wait().out, b"".join(LINES))
        self.assertEqual(publisher.wait().code, 0)
        self.wait_for_the_end_of_trouble()

    def take_what_is_left(self):
        with (self.disk / "state/ballast").open("wb", buffering=0) as ballast, \
                contextlib.suppress(OSError):
            while ballast.write(bytes(4096)):
                pass

    def test_start(self):
        """Without a byte to spare the topic is there, all of it, and takes what fits into its ring."""
        self.disk_topic()
        publisher = self.fill()
        durable = self.info("t")["durable"]
        self.small.kill()
        publisher.send(signal.SIGKILL)
        self.take_what_is_left()
        self.start_daemon()
        self.run_ok("sub", "t", "--from", "all", "--count", "1") # wakes it up
        self.wait_for_trouble()
        self.run_failing(6, "No space left on device", "topic", "create", "u", "--retention", "disk")
        done = self.run_ok("sub", "t", "--from", "all", "--count", str(durable), "--timeout", "20s")
        self.assertEqual(done.out, b"".join(LINES[:durable]))
        reader = self.start_sub("t", "--from", "all", "--json")
        last = self.run_ok("pub", "t", "new", "--json").json["last"]
        self.run_failing(3, "the disk takes no events", "pub", "t", "newer", "--wait-durable", "--timeout",
                         "300ms")
        self.make_room()
        self.run_ok("pub", "t", "newest", "--wait-durable")
        self.wait_for_the_end_of_trouble()
        harness.wait_until("all of it", lambda: b"newest" in reader.out)
        objects = [json.loads(line) for line in reader.out.splitlines()]
        (gap,) = (one["gap"] for one in objects if "gap" in one)
        # The disk may have taken more than it had synced when it was full.
        self.assertGreaterEqual(gap["first"], durable + 1)
        self.assertEqual(gap, {"first": gap["first"], "last": last - 1, "reason": "lost"})
        self.assertEqual([one["seq"] for one in objects if "seq" in one],
                         [*range(1, gap["first"]), last, last + 1, last + 2])
        self.assertIn("no damage", self.run_ok("spill", "verify", "t").err)


if __name__ == "__main__":
    if "SHMBUS_MAY_MOUNT" not in os.environ:
        os.environ["SHMBUS_MAY_MOUNT"] = "1"
        namespaces = ["--mount"] if os.getuid() == 0 else ["--mount", "--user", "--map-root-user"]
        os.execvp("unshare", ["unshare", *namespaces, sys.executable, *sys.argv])
    harness.main()
