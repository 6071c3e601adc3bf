#!/usr/bin/env python3
"""shmbus at its main job, on real files: several publishers, several subscribers, one killed.

Starts a daemon of its own, streams logs (or the files given, or this tree's sources) line by line and
a large binary in frames through one topic, kills one of the publishers with SIGKILL in the middle, and
compares at the end what each subscriber wrote with what was published, byte for byte.

The last line is "demo: OK events=N subscribers=N identical=yes"; if not, the exit code is 1 and the
first difference is named.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

from compare import FRAME, Difference, Outputs, Stream, compare

TREE = Path(__file__).resolve().parents[2]
TOPIC = "demo"
LINES_PER_SECOND = 15_000  # of each publisher of lines; paced, so that two cores are enough
FRAMES_PER_SECOND = 150
FRAME_SIZES = [100, 4_000, 30_000, 100_000]  # inline and chunks of several sizes
PATIENCE = 40  # seconds that anything here may take at most


class Trouble(Exception):
    """The demo could not be run to its end."""


def say(text):
    print(f"demo: {text}", flush=True)


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def end_by_signal(number, _):
    raise SystemExit(128 + number)


@contextlib.contextmanager
def undisturbed():
    """A signal that comes meanwhile takes effect afterwards: no process is forgotten."""
    came = []
    handlers = {n: signal.signal(n, lambda number, _: came.append(number)) for n in SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if came:
        end_by_signal(came[0], None)


def wait_until(what, condition, each=0.02, patience=PATIENCE):
    """Waits for a condition, and does not go on without it."""
    end = time.monotonic() + patience
    while not (result := condition()):
        if time.monotonic() > end:
            raise Trouble(f"after {patience} s still waiting for {what}")
        time.sleep(each)
    return result


class Bus:
    """A private daemon, and the processes that use it. All of them end with it."""

    def __init__(self, build, directory):
        self.shmbus = build / "tools" / "shmbus"
        self.shmbusd = build / "daemon" / "shmbusd"
        self.directory = directory
        self.environment = {**os.environ, "SHMBUS_SOCKET": str(directory / "bus.sock")}
        self.processes = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with undisturbed():
            for process in reversed(self.processes.values()):
                process.kill()
                process.wait()

    def begin(self):
        log = self.directory / "shmbusd.log"
        state = ["--state-dir", str(self.directory / "state")]
        self.start("shmbusd", [self.shmbusd, *state], stderr=log)
        wait_until("shmbusd to be ready", lambda: self.running("shmbusd")
                   and "ready" in log.read_text(errors="replace").splitlines())

    def start(self, name, command, stdin=os.devnull, stdout=os.devnull, stderr=None):
        """Starts a process in a group of its own: Ctrl-C is ours to handle."""
        with contextlib.ExitStack() as files, undisturbed():
            self.processes[name] = subprocess.Popen(
                command,
                stdin=files.enter_context(open(stdin, "rb")),
                stdout=files.enter_context(open(stdout, "wb")),
                stderr=files.enter_context(open(stderr or self.errors_of(name), "wb")),
                env=self.environment,
                process_group=0,
            )
        return self.processes[name]

    def errors_of(self, name):
        return self.directory / f"{name}.err"

    def running(self, name):
        """True while it runs. @raises Trouble when it has ended badly"""
        code = self.processes[name].poll()
        if code not in (None, 0):
            errors = Path(self.errors_of(name))
            said = errors.read_text(errors="replace").strip() if errors.exists() else ""
            raise Trouble(f"{name} ended with {code}: {said}")
        return code is None

    def ask(self, *arguments):
        """Runs shmbus to its end; returns what it printed."""
        with undisturbed():
            process = self.processes["ask"] = subprocess.Popen(
                [self.shmbus, *arguments], env=self.environment, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0)
        out, err = process.communicate(timeout=PATIENCE)
        if process.returncode:
            raise Trouble(f"shmbus {' '.join(arguments)}: exit {process.returncode}: "
                          f"{err.decode(errors='replace').strip()}")
        return out

    def topic(self):
        return json.loads(self.ask("topic", "info", TOPIC, "--json"))

    def publish(self, stream, rate):
        how = "--framed" if stream.framed else "--lines"
        return self.start(
            stream.key, [self.shmbus, "pub", TOPIC, how, "--key", stream.key, "--rate", str(rate),
                         "--json"],
            stdin=stream.path, stdout=self.directory / f"{stream.key}.report")

    def subscribe(self, name, *arguments):
        path = self.directory / f"{name}.out"
        self.start(name, [self.shmbus, "sub", TOPIC, "--from", "all", *arguments], stdout=path)
        return path


# ---- what is published --------------------------------------------------------------------------


def is_text(path):
    with path.open("rb") as file:
        return b"\0" not in file.read(65536)


def logs():
    """The largest readable logs, the package manager's first."""
    found = []
    for path in Path("/var/log").rglob("*.log"):
        with contextlib.suppress(OSError):
            if path.stat().st_size > 10_000 and os.access(path, os.R_OK) and is_text(path):
                found.append(path)
    return sorted(found, key=lambda p: (p.name != "dpkg.log", -p.stat().st_size))[:3]


def sources():
    return sorted(p for part in ("libshmbus", "daemon", "tools", "tests")
                  for p in (TREE / part).rglob("*.[ch]pp"))


def largest_binary(build):
    candidates = [build / "libshmbus" / "libshmbus.so", build / "daemon" / "shmbusd",
                  build / "tools" / "shmbus"]
    return max((p for p in candidates if p.is_file()), key=lambda p: p.stat().st_size)


def beginning_of(path):
    """What is in a file, or the first 64 MiB of it; without the last newline."""
    with path.open("rb") as file:
        return file.read(64 << 20).removesuffix(b"\n")


def write_lines(path, originals, count):
    """`count` lines of these files, over and over if they have fewer."""
    lines = [line + b"\n" for file in originals for line in beginning_of(file).split(b"\n")[:count]
             if len(line) < 100_000]
    if not lines:
        raise Trouble(f"no lines in {', '.join(map(str, originals))}")
    path.write_bytes(b"".join(islice(cycle(lines), count)))


def write_frames(path, original, count):
    """`count` frames of this file, over and over if it is small."""
    data = beginning_of(original)
    if not data:
        raise Trouble(f"nothing in {original}")
    at = 0
    with path.open("wb") as out:
        for size in islice(cycle(FRAME_SIZES), count):
            piece = data[at:at + size]
            out.write(FRAME.pack(len(piece)) + piece)
            at = (at + size) % len(data) if at + size < len(data) else 0


def prepare(files, build, directory, seconds):
    """The streams to publish: the lines of up to three inputs, and one binary; all told apart."""
    binaries = [f for f in files if not is_text(f)] or [largest_binary(build)]
    groups = [[f] for f in files if is_text(f)] or [[log] for log in logs()] or [sources()]
    streams = []
    for i, originals in enumerate(islice(cycle(groups), max(2, min(3, len(groups))))):
        stream = Stream(f"lines-{i + 1}", directory / f"lines-{i + 1}.in")
        write_lines(stream.path, originals, int(seconds * LINES_PER_SECOND))
        streams.append(stream)
        many = f"{originals[0]}" + (f" and {len(originals) - 1} more" if len(originals) > 1 else "")
        say(f"{stream.key}: {many}, line by line")
    binary = Stream("binary", directory / "binary.in", framed=True)
    write_frames(binary.path, binaries[0], int(seconds * FRAMES_PER_SECOND))
    say(f"{binary.key}: {binaries[0]}, in frames of {FRAME_SIZES[0]} to {FRAME_SIZES[-1]} bytes")
    # Long enough that it cannot be done when it is killed.
    victim = Stream("victim", directory / "victim.in", killed=True)
    write_lines(victim.path, groups[0], int(PATIENCE * LINES_PER_SECOND))
    say(f"{victim.key}: {groups[0][0]}, line by line, until it is killed")
    return streams, binary, victim


# ---- the show -----------------------------------------------------------------------------------


class Meter:
    """Shows the rates: on one line of a terminal, else a line each second."""

    def __init__(self, bus, output):
        self.bus = bus
        self.output = output  # of a subscriber to everything
        self.start = self.shown = time.monotonic()
        self.head = self.size = 0
        self.live = sys.stdout.isatty()

    def tick(self):
        now = time.monotonic()
        if now - self.shown < (0.2 if self.live else 1):
            return
        topic, size, since = self.bus.topic(), self.output.stat().st_size, now - self.shown
        lag = max((s["lag"] for s in topic["subscribers"]), default=0)
        text = (f"{now - self.start:5.1f} s  publishers {topic['publisher_count']}  "
                f"subscribers {topic['subscriber_count']}  events {topic['head']:9,}  "
                f"{(topic['head'] - self.head) / since:9,.0f} events/s  "
                f"{(size - self.size) / since / 1e6:5.1f} MB/s  lag {lag:,}")
        print(f"\rdemo: {text}  " if self.live else f"demo: {text}", end="" if self.live else "\n",
              flush=True)
        self.shown, self.head, self.size = now, topic["head"], size

    def done(self):
        if self.live:
            print()


def kill_in_the_middle(bus, victim, output):
    """SIGKILL for a publisher that has published and is not done."""
    process = bus.processes[victim.key]
    wait_until("the victim's events", lambda: bus.running(victim.key) and output.stat().st_size > 0)
    process.send_signal(signal.SIGKILL)
    if process.wait() != -signal.SIGKILL:
        raise Trouble(f"the victim ended by itself, with {process.returncode}")


def stream_all(bus, streams, binary, victim, outputs, seconds):
    """Everything flows; the victim is killed on the way and another one takes over from it."""
    for stream in streams:
        bus.publish(stream, LINES_PER_SECOND)
    bus.publish(binary, FRAMES_PER_SECOND)
    bus.publish(victim, LINES_PER_SECOND)
    half = seconds * (len(streams) + 1) * LINES_PER_SECOND / 2
    meter = Meter(bus, outputs.framed[0])
    wait_until("half of the events",
               lambda: meter.tick() or bus.topic()["head"] >= half, each=0.05)
    kill_in_the_middle(bus, victim, outputs.by_key[victim.key])
    meter.done()
    say("victim: killed with SIGKILL; its successor begins")
    successor = Stream("successor", bus.directory / "successor.in")
    write_lines(successor.path, [victim.path], int(seconds * LINES_PER_SECOND / 2))
    bus.publish(successor, LINES_PER_SECOND)
    orderly = [*streams, binary, successor]
    for stream in orderly:
        wait_until(f"{stream.key} to end", lambda: meter.tick() or not bus.running(stream.key))
        stream.report = json.loads((bus.directory / f"{stream.key}.report").read_bytes())
    meter.done()
    return [*orderly, victim]


def end_subscribers(bus, names):
    """Once all is acknowledged, hence written out, Ctrl-C for each subscriber."""
    bus.ask("topic", "drain", TOPIC, "--timeout", f"{PATIENCE}s")
    for name in names:
        if not bus.running(name):
            raise Trouble(f"subscriber {name} ended too early")
        bus.processes[name].send_signal(signal.SIGINT)
    for name in names:
        code = bus.processes[name].wait(PATIENCE)
        if code != 130:
            raise Trouble(f"subscriber {name} ended with {code}, not 130")


def run(options, directory):
    with Bus(options.build, directory) as bus:
        bus.begin()
        streams, binary, victim = prepare(options.files, options.build, directory, options.seconds)
        bus.ask("topic", "create", TOPIC, "--retention", "memory", "--max-event", "1M")
        by_key = {
            binary.key: bus.subscribe("only-binary", "--key", binary.key, "--format", "raw"),
            victim.key: bus.subscribe("only-victim", "--key", victim.key, "--format", "lines"),
        }
        outputs = Outputs(
            json=bus.subscribe("json", "--json"),
            framed=[bus.subscribe(name, "--format", "framed") for name in ("framed-1", "framed-2")],
            by_key=by_key,
        )
        names = ["json", "framed-1", "framed-2", "only-binary", "only-victim"]
        wait_until("the subscribers", lambda: all(map(bus.running, names))
                   and bus.topic()["subscriber_count"] == len(names))
        streams = stream_all(bus, streams, binary, victim, outputs, options.seconds)
        end_subscribers(bus, names)
        verdict = compare(streams, outputs)
        say(f"{verdict.bytes:,} bytes in {verdict.events:,} events; tombstones: "
            f"{verdict.tombstones or 'none'}; every subscriber wrote what was published, in one order")
        say(f"OK events={verdict.events} subscribers={len(names)} identical=yes")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, help="what to stream (logs of this machine)")
    parser.add_argument("--build", type=Path, default=TREE / "build", help="where shmbus was built")
    parser.add_argument("--seconds", type=float, default=5, help="how long to stream (5)")
    options = parser.parse_args()
    options.build = options.build.resolve()
    for number in SIGNALS:
        signal.signal(number, end_by_signal)
    directory = Path(tempfile.mkdtemp(prefix="shmbus-demo-"))
    try:
        run(options, directory)
    except Difference as difference:
        say(f"DIFFERENT {difference}")
        return 1
    except (Trouble, OSError, subprocess.SubprocessError) as trouble:
        say(f"FAILED {trouble}")
        return 1
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
