#!/usr/bin/env python3
"""shmbus torture: that it holds, what it prints, that it leaves nothing, and that it can fail."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import harness  # noqa: E402

TARGETS = ["publisher", "subscriber", "consumer", "daemon"]
REASONS = ["aborted", "overrun", "evicted", "lost", "expired", "corrupt"]
DURATION = "10m" if harness.LONG else "8s"
PATIENCE = 1500 if harness.LONG else 240  # the end takes as long as the disk does


class TortureTest(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory(prefix="shmbus-test-")
        self.addCleanup(place.cleanup)
        self.directory = Path(place.name)

    def start(self, *arguments, **env):
        path = f"{harness.SHMBUSD.parent}:{os.environ['PATH']}"
        # What a sanitizer keeps back of freed memory would look like growth.
        env.setdefault("ASAN_OPTIONS", os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=4")
        return subprocess.Popen(
            [harness.SHMBUS, "torture", "--directory", self.directory, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=harness.environment(**{"PATH": path, **env}))

    def end_of(self, process):
        out, err = process.communicate(timeout=PATIENCE)
        return process.returncode, out, err

    def expect_nothing_left(self):
        self.assertEqual(list(self.directory.iterdir()), [])

    def test_holds(self):
        """A run with a known seed: everything is killed and stopped, and every promise kept."""
        arguments = ["--duration", DURATION] + ([] if harness.LONG else ["--seed", "5"])
        code, out, err = self.end_of(self.start(*arguments, "--json"))
        self.assertEqual(code, 0, err + out)
        report = json.loads(out)
        self.assertEqual((report["held"], report["violations"], report["directory"]), (True, [], None))
        self.assertEqual(list(report["kills"]), TARGETS)
        self.assertEqual(list(report["gaps"]), REASONS)
        for target in TARGETS:
            self.assertGreater(report["kills"][target], 0, target)
        self.assertGreater(sum(report["stops"].values()), 0)
        self.assertGreater(report["delivered"], report["published"])
        self.assertGreater(report["published"], 10_000)
        self.assertEqual(report["gaps"]["corrupt"], 0)
        self.assertRegex(err, r"^shmbus: seed \d+, for ")
        self.expect_nothing_left()

    @unittest.skipIf(harness.LONG, "short enough")
    def test_schedule(self):
        """The same seed does the same; for people there is a summary."""
        def deeds(err):
            return re.findall(r"^shmbus: +(\d\.\d+ s +(?:kill|stop|remove) .*)$", err, re.M)

        done = [self.end_of(self.start("--duration", "1s", "--seed", seed, "-v")) for seed in ("7", "7", "8")]
        for code, out, err in done:
            self.assertEqual(code, 0, err + out)
            self.assertRegex(out, r"^seed [78], \d+\.\d s on \w+: all promises were kept\n  published  \d+")
        first, again, other = (deeds(err) for _, _, err in done)
        count = min(len(first), len(again))
        self.assertGreater(count, 5)
        self.assertEqual(first[:count], again[:count])
        self.assertNotEqual(first[:count], other[:count])

    @unittest.skipUnless(harness.LONG, "takes longer than what anybody waits for")
    def test_stopped_itself(self):
        """Its own process stands still: nobody is killed meanwhile, and what waits for that is not to blame."""
        process = self.start("--duration", "10s", "--seed", "5", "--json", "-v")
        harness.wait_until("a bus", lambda: list(self.directory.glob("*/bus.sock")))
        time.sleep(3)
        process.send_signal(signal.SIGSTOP)
        self.addCleanup(process.send_signal, signal.SIGCONT)
        time.sleep(35)
        process.send_signal(signal.SIGCONT)
        code, out, err = self.end_of(process)
        self.assertEqual(code, 0, err + out)
        self.assertRegex(err, r"torture itself stood still for 3\d\.\d s")
        self.assertLess(json.loads(out)["seconds"], 20)

    @unittest.skipIf(harness.LONG, "short enough")
    def test_interrupted(self):
        """Ctrl-C: the report of what was seen until then, 130, and nothing left."""
        process = self.start("--duration", "1h", "--json")
        harness.wait_until("a bus", lambda: list(self.directory.glob("*/bus.sock")))
        process.send_signal(signal.SIGINT)
        code, out, err = self.end_of(process)
        self.assertEqual(code, 130, err + out)
        self.assertEqual(json.loads(out)["interrupted"], True)
        self.expect_nothing_left()

    @unittest.skipIf(harness.LONG, "short enough")
    def test_damage_is_found(self):
        """A daemon that loses what it should have: 7, who saw what, and where to look."""
        stub = self.directory / "bin"
        stub.mkdir()
        forgetful = stub / "shmbusd"  # one that keeps no descriptors for the next one
        forgetful.write_text('#!/bin/sh\nfor a; do shift; [ "$a" = --supervise ] || set -- "$@" "$a"; done\n'
                             f'"{harness.SHMBUSD}" "$@" &\n'
                             'trap "kill $!; wait; exit" TERM\n'
                             f'while wait $!; [ $? -ne 0 ]; do "{harness.SHMBUSD}" "$@" & done\n')
        forgetful.chmod(0o755)
        process = self.start("--duration", "60s", "--seed", "5", "--json",
                             PATH=f"{stub}:{os.environ['PATH']}")
        code, out, err = self.end_of(process)
        self.assertEqual(code, 7, err + out)
        report = json.loads(out)
        self.assertFalse(report["held"])
        kept = Path(report["directory"])
        self.assertTrue((kept / "shmbusd.log").exists())
        self.assertIn(f"are kept in {kept}", err)
        self.assertIn("--seed 5", err)
        for violation in report["violations"]:
            self.assertEqual(list(violation), ["topic", "seq", "what"])

    @unittest.skipIf(harness.LONG, "short enough")
    def test_refusals(self):
        """No daemon, no place: said at once."""
        code, out, err = self.end_of(self.start(PATH="/nonexistent"))
        self.assertEqual((code, out), (1, ""))
        self.assertIn("shmbusd is not in $PATH", err)
        code, _, err = self.end_of(self.start("--duration", "soon"))
        self.assertEqual(code, 2, err)
        self.directory = self.directory / "nowhere"
        code, _, err = self.end_of(self.start())
        self.assertEqual(code, 1)
        self.assertIn("No such file", err)

    @unittest.skipIf(harness.LONG, "short enough")
    def test_worker_is_hidden(self):
        """What torture calls itself is nothing for people."""
        text = subprocess.run([harness.SHMBUS, "--help"], capture_output=True, text=True, check=True).stdout
        self.assertIn("torture ", text)
        self.assertNotIn("torture-worker", text)
        done = subprocess.run([harness.SHMBUS, "torture-worker", "x"], capture_output=True, text=True,
                              check=False, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 1)
        self.assertIn("for `shmbus torture` to call", done.stderr)


if __name__ == "__main__":
    harness.main()
