#!/usr/bin/env python3
"""A disk that fails: the calls of a real daemon are made to, one after the other, by strace.

Publishers wait for their events to be durable; then the daemon is killed. Whatever failed, the next one
has every event once, as it was published. With --long: each call of each kind.
"""

import itertools
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import harness  # noqa: E402

# Everything that the disk's thread does to files. In the short form the calls of these numbers fail.
FAULTS = [("fdatasync", "EIO", (1, 2, 5)), ("fdatasync", "ENOSPC", (3,)), ("pwrite64", "EIO", (1, 4)),
          ("pwrite64", "ENOSPC", (2, 7)), ("fallocate", "ENOSPC", (1, 2)), ("fallocate", "EIO", (1,)),
          ("renameat", "EIO", (1, 2)), ("fsync", "EIO", (1, 2)), ("ftruncate", "EIO", (1,)),
          ("openat", "EIO", (1, 3))]
ROUNDS, EACH = 6, 300
LINES = [b"%d %s\n" % (n, b"abcdefg"[n % 7:n % 7 + 1] * 300) for n in range(ROUNDS * EACH)]  # 3 segments


class Fault:
    """Makes calls of the disk's thread fail as long as it lasts."""

    def __init__(self, directory, daemon, call, error, when):
        self.log = directory / "strace.log"
        tasks = Path(f"/proc/{daemon.process.pid}/task")
        # A thread names itself, and nobody waits for that.
        thread = harness.wait_until("the disk's thread", lambda: next(
            (task.name for task in tasks.iterdir() if (task / "comm").read_text() == "shmbus-disk\n"), None))
        self.strace = subprocess.Popen(
            ["strace", "-qq", "-o", self.log, "-e", f"trace={call}", "-e",
             f"inject={call}:error={error}:when={when}", "-p", thread], stdin=subprocess.DEVNULL)
        status = tasks / thread / "status"
        harness.wait_until("strace", lambda: f"TracerPid:\t{self.strace.pid}\n" in status.read_text())

    def stop(self):
        if self.strace.poll() is None:
            self.strace.terminate()
        self.strace.wait(harness.PATIENCE)

    def end(self):
        """How many calls failed."""
        self.stop()
        return self.log.read_text().count("(INJECTED)")


class FailingDiskTest(harness.BusTest):
    def start_on(self, name):
        """A daemon with a directory of its own."""
        self.disk = self.directory / name
        self.disk.mkdir()
        self.start_daemon()

    def start_daemon(self):
        self.failing = harness.Daemon(self.disk)
        self.addCleanup(self.failing.kill)
        self.env = harness.environment(SHMBUS_SOCKET=str(self.failing.socket))

    def fault(self, call, error, when):
        fault = Fault(self.disk, self.failing, call, error, when)
        self.addCleanup(fault.stop)
        return fault

    def publish(self, lines):
        self.run_ok("pub", "t", "--lines", "--wait-durable", stdin=b"".join(lines))

    def expect_all_after_a_kill(self, lines):
        self.failing.kill()
        self.start_daemon()
        done = self.run_ok("sub", "t", "--from", "all", "--count", str(len(lines)), "--timeout", "20s")
        self.assertEqual(done.out, b"".join(lines))
        self.assertNotIn("gap", done.err)
        self.assertIn("no damage", self.run_ok("spill", "verify", "t").err)

    def survive(self, call, error, number):
        """Whether there was such a call to fail."""
        self.start_on(f"{call}-{error}-{number}")
        self.run_ok("topic", "create", "t", "--retention", "disk", "--capacity", "512")
        fault = self.fault(call, error, number)
        for first in range(0, len(LINES), EACH):
            self.publish(LINES[first:first + EACH])
        failed = fault.end()
        self.assertFalse(self.info("t")["trouble"])
        self.expect_all_after_a_kill(LINES)
        self.assertEqual(self.failing.stop(), 0)
        shutil.rmtree(self.disk)
        return failed > 0

    def test_any_call_once(self):
        """Nobody but the daemon's log ever hears of it."""
        failed = 0
        for call, error, numbers in FAULTS:
            for number in itertools.count(1) if harness.LONG else numbers:
                with self.subTest(f"{call} no. {number}: {error}"):
                    if self.survive(call, error, number):
                        failed += 1
                    else:
                        self.assertTrue(harness.LONG, "there was no such call")
                        break
        print(f"{failed} calls failed")

    def test_for_a_while(self):
        """No sync works: publishers wait and are told why, nothing is durable; then it goes on by itself."""
        self.start_on("for-a-while")
        self.run_ok("topic", "create", "t", "--retention", "disk", "--capacity", "64")
        self.publish(LINES[:100])
        fault = self.fault("fdatasync", "EIO", "1+")
        publisher = self.start("pub", "t", "--lines", "--wait-durable",
                               stdin=self.file(b"".join(LINES[100:])))
        self.wait_for_note(publisher, "the disk takes no events: syncing .*: Input/output error")
        harness.wait_until("trouble", lambda: "Input/output error" in self.info("t")["trouble"])
        done = self.run_ok("sub", "t", "--from", "all", "--count", "164", "--timeout", "20s")
        self.assertEqual(done.out, b"".join(LINES[:164]), "what is in the ring can be read")
        self.assertLess(self.info("t")["durable"], 101)
        self.assertGreater(fault.end(), 1)
        self.assertEqual(publisher.wait().code, 0)
        harness.wait_until("the end of it", lambda: not self.info("t")["trouble"])
        self.expect_all_after_a_kill(LINES)


if __name__ == "__main__":
    harness.main()
