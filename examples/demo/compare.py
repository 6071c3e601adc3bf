"""Compares what the subscribers of a demo wrote with each other and with what was published.

Files in, one verdict out: compare() returns what it counted, or raises Difference with the first
thing that is not as it must be. It knows nothing of processes, so tests can hand it doctored files.
"""

import base64
import json
import struct
from dataclasses import dataclass, field
from pathlib import Path

FRAME = struct.Struct("<I")


class Difference(Exception):
    """The first thing that differs."""


@dataclass
class Stream:
    """What one publisher was given to publish, told apart by its key."""

    key: str
    path: Path
    framed: bool = False
    killed: bool = False  # then a prefix of it is enough, and what follows is at most one tombstone
    report: dict = field(default_factory=dict)  # what `shmbus pub --json` said at its end

    def payloads(self):
        with self.path.open("rb") as file:
            if self.framed:
                while head := file.read(FRAME.size):
                    yield file.read(FRAME.unpack(head)[0])
            else:
                for line in file:
                    yield line.removesuffix(b"\n")

    def text_of(self, payloads):
        """The bytes that `shmbus sub --key KEY` prints for these payloads: raw, or as lines."""
        return b"".join(payloads) if self.framed else b"".join(p + b"\n" for p in payloads)


@dataclass
class Outputs:
    """Where the subscribers wrote."""

    json: Path  # of everything, one object a line
    framed: list  # of everything, --format framed
    by_key: dict  # key: path, --key KEY --format lines or, for a framed stream, raw


@dataclass
class Verdict:
    events: int = 0
    bytes: int = 0
    tombstones: list = field(default_factory=list)


def excerpt(data):
    return repr(data[:60]) + ("…" if len(data) > 60 else "")


def payload_of(event):
    if "payload" in event:
        return event["payload"].encode()
    return base64.b64decode(event["payload_base64"])


def events_in_order(path, verdict):
    """The events of the JSON subscriber; every sequence from 1 up is one, or a tombstone."""
    expected = 1
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                event = json.loads(line)
                gap = event.get("gap") or {"first": event["seq"], "last": event["seq"]}
            except (ValueError, KeyError, AttributeError) as error:
                raise Difference(f"{path.name}:{number}: {error}: {excerpt(line)}") from None
            if gap["first"] != expected:
                raise Difference(f"{path.name}:{number}: sequence {gap['first']} where {expected} is due")
            if "gap" in event:
                if gap["reason"] != "aborted":
                    raise Difference(f"{path.name}:{number}: a gap that is no tombstone: {gap}")
                verdict.tombstones += range(gap["first"], gap["last"] + 1)
            else:
                yield event["seq"], event["key"], payload_of(event)
            expected = gap["last"] + 1


class Progress:
    """How much of a stream has come."""

    def __init__(self, stream):
        self.stream = stream
        self.due = stream.payloads()
        self.first = self.last = None
        self.count = 0

    def take(self, sequence, payload):
        due = next(self.due, None)
        if payload != due:
            raise Difference(
                f"sequence {sequence}: event {self.count + 1} of '{self.stream.key}' is "
                f"{excerpt(payload)}, published was {'nothing more' if due is None else excerpt(due)}"
            )
        self.count += 1
        self.first = self.first or sequence
        self.last = sequence

    def finish(self):
        stream, report = self.stream, self.stream.report
        came = {"first": self.first, "last": self.last, "count": self.count}
        if stream.killed:
            if not self.count:
                raise Difference(f"nothing came of '{stream.key}' before it was killed")
            return
        if next(self.due, None) is not None:
            raise Difference(f"of '{stream.key}' only {self.count} events came")
        if any(report.get(name) != value for name, value in came.items()):
            raise Difference(f"'{stream.key}' reported {report}, what came was {came}")


def compare_bytes(name, actual, expected):
    if actual == expected:
        return
    at = next((i for i, (a, b) in enumerate(zip(actual, expected)) if a != b),
              min(len(actual), len(expected)))
    raise Difference(
        f"{name} differs at byte {at} of {len(expected)}: {excerpt(actual[at:])}, "
        f"expected {excerpt(expected[at:])}"
    )


def compare(streams, outputs):
    """Checks all outputs against all streams. @raises Difference"""
    verdict = Verdict()
    progress = {stream.key: Progress(stream) for stream in streams}
    frames = outputs.framed[0].read_bytes()
    at = 0
    for sequence, key, payload in events_in_order(outputs.json, verdict):
        if key not in progress:
            raise Difference(f"sequence {sequence}: nobody published with the key {key!r}")
        progress[key].take(sequence, payload)
        frame = FRAME.pack(len(payload)) + payload
        if not frames.startswith(frame, at):
            compare_bytes(f"{outputs.framed[0].name}, sequence {sequence},",
                          frames[at:at + len(frame)], frame)
        at += len(frame)
        verdict.events += 1
        verdict.bytes += len(payload)
    if at != len(frames):
        raise Difference(f"{outputs.framed[0].name}: {len(frames) - at} bytes after the last event")
    for other in outputs.framed[1:]:
        compare_bytes(other.name, other.read_bytes(), frames)
    for one in progress.values():
        one.finish()
    for key, path in outputs.by_key.items():
        one = progress[key]
        payloads = (p for _, p in zip(range(one.count), one.stream.payloads()))
        compare_bytes(path.name, path.read_bytes(), one.stream.text_of(payloads))
    return verdict
