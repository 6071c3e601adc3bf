"""A private bus for tests of the programs: a daemon with its own socket in a temporary directory.

    class SubTest(harness.BusTest):
        def test_prints_events(self):
            topic = self.topic()
            self.run_ok("pub", topic, "hello")
            self.assertEqual(self.run_ok("sub", topic, "--from", "all", "--count", "1").out, b"hello\n")

    if __name__ == "__main__":
        harness.main()

Everything that a test starts is killed when it ends, and the daemon when its class ends; that also
shows whether the daemon is still well. No test sleeps and hopes: wait_until() is for that.
"""

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import uuid
from dataclasses import dataclass
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("SHMBUS_BUILD", TREE / "build"))
SHMBUS = BUILD / "tools" / "shmbus"
SHMBUSD = BUILD / "daemon" / "shmbusd"
LONG = "--long" in sys.argv  # the full form of what takes long
PATIENCE = 60  # seconds for what must come: beyond any noise of the machine


@dataclass
class Done:
    """What became of a program."""

    code: int
    out: bytes
    err: str

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def objects(self):
        return [json.loads(line) for line in self.out.splitlines()]


def wait_until(what, condition):
    """Waits until the condition holds; returns what it returned."""
    end = time.monotonic() + PATIENCE
    while not (result := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"after {PATIENCE} s still waiting for {what}")
        time.sleep(0.01)
    return result


class Daemon:
    """A shmbusd. @raises AssertionError when it does not become ready"""

    def __init__(self, directory, state=True):
        self.socket = directory / "bus.sock"
        self.log = directory / "shmbusd.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [SHMBUSD, "--socket", self.socket,
                 *(("--state-dir", directory / "state") if state else ("--memory-only",))],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
                env=environment())
        wait_until("shmbusd to be ready", self.is_ready)

    def is_ready(self):
        text = self.log.read_text(errors="replace")
        if self.process.poll() is not None:
            raise AssertionError(f"shmbusd ended with {self.process.returncode}: {text}")
        return "ready" in text.splitlines()

    def stop(self):
        """Ends it in good order; its exit code."""
        self.process.terminate()
        return self.process.wait(PATIENCE)

    def kill(self):
        self.process.kill()
        self.process.wait()


def run_daemon(*arguments):
    """One that is expected to end by itself."""
    return subprocess.run([SHMBUSD, *arguments], capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL, timeout=PATIENCE, env=environment())


def environment(**more):
    """Ours without what changes where a bus is found, or how things look."""
    ours = ("SHMBUS_SOCKET", "NOTIFY_SOCKET", "NO_COLOR")
    return {**{k: v for k, v in os.environ.items() if k not in ours}, "TERM": "dumb", **more}


class Running:
    """A program that was started and not waited for; its outputs go to files."""

    def __init__(self, directory, arguments, stdin, stdout, env):
        self.out_path, self.err_path = (directory / f"{uuid.uuid4()}.{kind}" for kind in ("out", "err"))
        with self.out_path.open("wb") as out, self.err_path.open("wb") as err:
            self.process = subprocess.Popen(
                [SHMBUS, *arguments], stdin=stdin, stdout=stdout or out, stderr=err, env=env)
        self.pid = self.process.pid

    @property
    def out(self):
        return self.out_path.read_bytes()

    @property
    def err(self):
        return self.err_path.read_text(errors="replace")

    def send(self, number):
        self.process.send_signal(number)

    def wait(self):
        code = self.process.wait(PATIENCE)
        return Done(code, self.out, self.err)


class BusTest(unittest.TestCase):
    """Tests that share a daemon; each has topics of its own."""

    @classmethod
    def setUpClass(cls):
        cls.directory = Path(tempfile.mkdtemp(prefix="shmbus-test-"))
        cls.addClassCleanup(shutil.rmtree, cls.directory, ignore_errors=True)
        cls.daemon = Daemon(cls.directory)
        cls.addClassCleanup(cls.daemon.kill)
        cls.env = environment(SHMBUS_SOCKET=str(cls.daemon.socket))

    @classmethod
    def tearDownClass(cls):
        code = cls.daemon.stop()
        if code != 0:
            raise AssertionError(f"shmbusd ended with {code}: {cls.daemon.log.read_text()}")

    def topic(self, *options, suffix="", memory=True):
        """A fresh topic, named after the test."""
        name = re.sub(r"\W", "-", self.id().split(".")[-1])[:100] + suffix
        self.run_ok("topic", "create", name, *(("--retention", "memory") if memory else ()), *options)
        return name

    def run_tool(self, *arguments, stdin=b"", env=None):
        done = subprocess.run([SHMBUS, *arguments], input=stdin, capture_output=True, check=False,
                              env=env or self.env, timeout=PATIENCE)
        return Done(done.returncode, done.stdout, done.stderr.decode(errors="replace"))

    def run_ok(self, *arguments, **more):
        done = self.run_tool(*arguments, **more)
        self.assertEqual(done.code, 0, f"shmbus {' '.join(map(str, arguments))}: {done.err}")
        return done

    def run_failing(self, code, pattern, *arguments, **more):
        """Runs a command line that must fail, and say on stderr what the pattern, if any, says."""
        done = self.run_tool(*arguments, **more)
        command = f"shmbus {' '.join(map(str, arguments))}"
        self.assertEqual(done.code, code, f"{command}: {done.err}")
        if pattern:
            self.assertRegex(done.err, pattern, command)
        return done

    def start(self, *arguments, stdin=subprocess.DEVNULL, stdout=None, env=None):
        running = Running(self.directory, arguments, stdin, stdout, env or self.env)
        self.addCleanup(running.process.wait)
        self.addCleanup(running.process.kill)
        self.addCleanup(running.process.send_signal, signal.SIGCONT)
        return running

    def start_sub(self, *arguments, **more):
        """Starts `shmbus sub` and waits until the bus knows it. It may not have joined yet: without
        --from all, wait for its hint at older events too."""
        running = self.start("sub", *arguments, **more)
        for topic in itertools.takewhile(lambda a: not a.startswith("-"), arguments):
            wait_until(f"a subscriber of {topic}", lambda t=topic: running.pid in self.pids(t))
        return running

    def publish(self, topic, *payloads, **attributes):
        """Payloads of any bytes, with the same --key, --type, …"""
        options = [part for name, value in attributes.items() for part in (f"--{name}", str(value))]
        self.run_ok("pub", topic, "--framed", *options, stdin=frames(*payloads))

    def file(self, data):
        """An open file with these bytes, for somebody's stdin."""
        file = tempfile.TemporaryFile()
        self.addCleanup(file.close)
        file.write(data)
        file.seek(0)
        return file

    def info(self, topic):
        return self.run_ok("topic", "info", topic, "--json").json

    def pids(self, topic):
        return [peer["pid"] for peer in self.info(topic)["subscribers"]]

    def wait_for_output(self, running, text):
        wait_until(f"{text!r} in the output", lambda: text in running.out)

    def wait_for_note(self, running, pattern):
        wait_until(f"{pattern} on stderr", lambda: re.search(pattern, running.err))


def frames(*payloads):
    return b"".join(len(p).to_bytes(4, "little") + p for p in payloads)


def main():
    sys.stdout.reconfigure(line_buffering=True)
    unittest.main(argv=[a for a in sys.argv if a != "--long"], verbosity=2)
