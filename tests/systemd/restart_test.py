#!/usr/bin/env python3
"""However systemd ends the daemon and starts the next one, clients go on, and nothing is lost of any topic."""

import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import box
from box import wait_until


class Load:
    """Somebody who publishes numbers from 1 on, and somebody who prints them."""

    def __init__(self, test, topic):
        self.test = test
        self.sub = test.start_sub(topic, "--from", "all", "--format", "%s %p")
        self.pub = test.start("pub", topic, "--lines", stdin=subprocess.PIPE)
        self.last = 0
        self.enough = threading.Event()
        self.feeder = threading.Thread(target=self.feed)
        self.feeder.start()
        test.addCleanup(self.enough.set)

    def feed(self):
        with self.pub.process.stdin as stdin:
            while not self.enough.is_set():
                stdin.write(b"".join(b"%d\n" % n for n in range(self.last + 1, self.last + 11)))
                stdin.flush()
                self.last += 10
                time.sleep(0.002)  # as fast as a busy publisher, and no more than it takes to look at

    def received(self):
        return [tuple(map(int, line.split())) for line in self.sub.out.splitlines(keepends=True)
                if line.endswith(b"\n")]

    def last_received(self):
        received = self.received()
        return received[-1][1] if received else 0

    def goes_on(self):
        """Events published from now on arrive."""
        from_here = self.last
        wait_until("events", lambda: self.last_received() > from_here)

    def end(self):
        """All there, in order, once; @returns their sequences."""
        self.enough.set()
        self.feeder.join()
        done = self.pub.wait()
        self.test.assertEqual(done.code, 0, done.err)
        wait_until("the last event", lambda: self.last_received() == self.last)
        self.sub.send(signal.SIGINT)
        self.sub.wait()
        sequences, numbers = zip(*self.received())
        self.test.assertEqual(list(numbers), list(range(1, self.last + 1)))
        self.test.assertEqual(list(sequences), sorted(sequences))
        return sequences


class RestartTest(box.BoxTest):
    def under_load(self, *acts):
        """Does each while both kinds of topics are in use, which go on after it."""
        loads = [Load(self, self.topic(suffix=f"-{memory}", memory=memory)) for memory in (True, False)]
        for act in acts:
            for load in loads:
                load.goes_on()
            before = box.main_pid()
            act()
            wait_until("another daemon", lambda pid=before: box.main_pid() not in (0, pid))
            for load in loads:
                load.goes_on()
        return [load.end() for load in loads]

    def assert_dense(self, all_sequences):
        for sequences in all_sequences:
            self.assertEqual(list(sequences), list(range(1, len(sequences) + 1)))

    def test_killed(self):
        """Not one sequence is lost, again and again."""
        self.assert_dense(self.under_load(*[lambda: os.kill(box.main_pid(), signal.SIGKILL)] * 4))

    def test_killed_while_nobody_is_there(self):
        """The rings are in systemd's keeping: what was published before is there, in memory and on disk."""
        topics = [self.topic(suffix=f"-{memory}", memory=memory) for memory in (True, False)]
        for topic in topics:
            self.run_ok("pub", topic, "--lines", stdin=b"a\nb\nc\n")
        before = box.main_pid()
        os.kill(before, signal.SIGKILL)
        wait_until("another daemon", lambda: box.main_pid() not in (0, before))
        for topic in topics:
            done = self.run_ok("sub", topic, "--from", "all", "--count", "3")
            self.assertEqual(done.out, b"a\nb\nc\n")

    def watched(self):
        """The service, as it is, but hanging is found out soon."""
        box.drop_in("watchdog", "WatchdogSec=1s")
        box.systemctl("restart", box.SERVICE)

    def test_hanging(self):
        """One that is stopped is replaced like one that was killed."""
        self.watched()
        self.assert_dense(self.under_load(*[lambda: os.kill(box.main_pid(), signal.SIGSTOP)] * 2))
        self.assertTrue(box.journal("-u", box.SERVICE, "UNIT_RESULT=watchdog"))

    def test_a_slow_disk_is_no_reason(self):
        """A sync takes longer than the watchdog allows, and a topic is made all the same."""
        self.watched()
        pid = box.main_pid()
        with (self.directory / "strace").open("wb") as log:
            strace = subprocess.Popen(
                ["strace", "-f", "-p", str(pid), "-e", "trace=fdatasync", "-e",
                 "inject=fdatasync:delay_enter=3000000:when=1"], stderr=log)
        self.addCleanup(strace.wait)
        self.addCleanup(strace.terminate)
        wait_until("strace to be there", lambda: b"attached" in (self.directory / "strace").read_bytes())
        began = time.monotonic()
        self.topic(memory=False)
        self.assertGreater(time.monotonic() - began, 3)
        self.assertEqual(box.main_pid(), pid)

    def test_restarted(self):
        self.under_load(*[lambda: box.systemctl("restart", box.SERVICE)] * 2)

    def test_stopped_and_started(self):
        """systemd drops what it keeps; clients hand it back."""
        def stop_and_start():
            box.systemctl("stop", box.SOCKET, box.SERVICE)
            self.assertEqual(box.main_pid(), 0)
            box.systemctl("start", box.SOCKET, box.SERVICE)

        self.under_load(stop_and_start)

    def test_upgraded(self):
        """A newer program in its place, and a restart or a kill, whichever comes handy."""
        path = Path(shutil.which("shmbusd"))

        def is_new():
            try:
                return os.path.samefile(f"/proc/{box.main_pid()}/exe", path)
            except OSError:  # there is none just now
                return False

        def upgrade(end):
            shutil.copy2(path, path.with_suffix(".new"))
            os.rename(path.with_suffix(".new"), path)
            self.assertFalse(is_new())
            end()
            wait_until("the new program to run", is_new)

        self.under_load(lambda: upgrade(lambda: box.systemctl("restart", box.SERVICE)),
                        lambda: upgrade(lambda: os.kill(box.main_pid(), signal.SIGKILL)))


if __name__ == "__main__":
    box.main()
