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
    def test_goes_on(self):
        with tempfile.TemporaryDirectory(prefix="shmbus-test-") as place:
            socket = Path(place) / "socket"
            reader, writer = os.pipe()
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
            daemon = subprocess.Popen(
                [harness.SHMBUSD, "--memory-only", "--socket", socket],
                stdin=subprocess.DEVNULL, stderr=writer, env=harness.environment())
            os.close(writer)
            log = os.read(reader, 4096).decode()
            while not log.endswith("ready\n"):
                log += os.read(reader, 4096).decode()

            def shmbus(*arguments):
                subprocess.run([harness.SHMBUS, *arguments, "--socket", socket], check=True,
                               timeout=harness.PATIENCE, env=harness.environment())

            for i in range(40):  # a line each
                shmbus("topic", "create", f"{'long' * 50}.{i}", "--profile", "fast",
                       "--capacity", "16", "--pool", "0")
            self.assertIn(b"longlong", os.read(reader, 4096))
            daemon.terminate()
            self.assertEqual(daemon.wait(harness.PATIENCE), 0)
            self.assertRegex(os.read(reader, 4096).decode(),
                             r"^shmbusd: \d+ lines left out, as nobody read them\nshmbusd: stopping\n")
            os.close(reader)


if __name__ == "__main__":
    harness.main()
