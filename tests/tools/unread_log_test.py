#!/usr/bin/env python3
"""shmbusd goes on when whoever was to read its log has stopped, and says later what that missed."""

import fcntl
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import harness  # noqa: E402


class UnreadLogTest(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory(prefix="shmbus-test-")
        self.addCleanup(place.cleanup)
        self.socket = Path(place.name) / "socket"
        self.reader, writer = os.pipe()
        self.addCleanup(os.close, self.reader)
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        self.daemon = subprocess.Popen(
            [harness.SHMBUSD, "--memory-only", "--socket", self.socket], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=writer, env=harness.environment())
        self.addCleanup(self.daemon.wait)
        self.addCleanup(self.daemon.kill)
        os.close(writer)

    def log(self):
        return os.read(self.reader, 4096).decode()

    def shmbus(self, *arguments):
        subprocess.run([harness.SHMBUS, *arguments, "--socket", self.socket], check=True,
                       timeout=harness.PATIENCE, env=harness.environment())

    def test_goes_on(self):
        log = self.log()
        while not log.endswith("ready\n"):
            log += self.log()
        for i in range(20):  # a line each, and the pipe has room for one
            self.shmbus("topic", "create", f"{'x' * 100}{i}", "--profile", "fast", "--capacity", "16",
                        "--max-event", "64", "--pool", "0")
        self.assertRegex(self.log(), r"^shmbusd: session 1: .*\n$")
        self.daemon.terminate()
        self.assertEqual(self.daemon.wait(harness.PATIENCE), 0)
        self.assertRegex(
            self.log(), r"^shmbusd: \d+ lines left out, as nobody read them\nshmbusd: stopping\n")


if __name__ == "__main__":
    harness.main()
