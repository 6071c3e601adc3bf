#!/usr/bin/env python3
"""Flipped bits and torn ends in the files of a topic: the daemon starts, and serves everything else.

What must be missing is worked out from where the frames are, and compared with what `spill verify` names
and with what `sub` gets. With --long: 10,000 flipped bits, 400 torn ends.
"""

import contextlib
import random
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import harness  # noqa: E402
from segments import EVENT, FOOTER, HEADER, HEADER_BYTES, TOMBSTONE, TWIN, frames_of  # noqa: E402

ROUNDS, FLIPS = (200, 50) if harness.LONG else (6, 40)
TEARS = 400 if harness.LONG else 8
COUNT = 1_500
TORN_BYTES = 65_536


def payload_of(number):
    size = 100_000 if number % 397 == 3 else 5_000 if number % 50 == 7 else number * 37 % 300
    return b"%d:" % number + b"abcdefgh"[number % 8:number % 8 + 1] * size


class Past:
    """What sub or export printed: each event's payload, and the reason of each sequence in a gap."""

    def __init__(self, objects):
        self.events, self.gaps, expected = {}, {}, None
        for one in objects:
            first, last = (one["gap"]["first"], one["gap"]["last"]) if "gap" in one else 2 * (one["seq"],)
            if first != (expected or first):
                raise AssertionError(f"{first} comes after {expected - 1}")
            expected = last + 1
            if "gap" in one:
                self.gaps |= dict.fromkeys(range(first, last + 1), one["gap"]["reason"])
            else:
                self.events[first] = one["payload"]


class Damage:
    """A copy of a state directory, to be damaged; `hit` are the sequences whose bytes were."""

    def __init__(self, whole, directory):
        shutil.copytree(whole / "state", directory / "state")
        (directory / "state/socket").unlink() # it is another bus
        self.directory = directory
        self.topic = directory / "state/topics/numbers"
        self.files = {file: bytearray(file.read_bytes()) for file in sorted(self.topic.glob("*.seg"))}
        self.hit = set()

    def frames(self, file):
        """Where segments overlap the later one counts."""
        later = [int(other.stem) for other in self.files if other > file]
        return [frame for frame in frames_of(self.files[file])
                if frame.kind not in (EVENT, TOMBSTONE) or frame.sequence < min(later, default=1 << 63)]

    def flip(self, chance, count):
        """So many bits, anywhere in the segments, and one in each of the small files beside them."""
        frames = {file: self.frames(file) for file in self.files}
        files, sizes = list(self.files), [len(data) for data in self.files.values()]
        headers, flipped = set(), set()
        while len(flipped) < count:
            file = chance.choices(files, sizes)[0]
            at, bit = chance.randrange(len(self.files[file])), chance.randrange(8)
            frame = next((f for f in frames[file] if f.offset <= at < f.used_end), None)
            # One of a header's two copies is enough, and neither is not. The last footer is what says,
            # to who has nothing but the files, that their end has to be there.
            is_header = at < HEADER and at % TWIN < HEADER_BYTES
            is_last_footer = file == files[-1] and frame and frame.kind == FOOTER
            if (file, at, bit) in flipped or (is_header and file in headers) or is_last_footer:
                continue
            if is_header:
                headers.add(file)
            flipped.add((file, at, bit))
            self.files[file][at] ^= 1 << bit
            if frame and frame.kind == EVENT:
                self.hit.add(frame.sequence)
            if frame and frame.kind == TOMBSTONE:
                last = int.from_bytes(self.files[file][frame.offset + 32:frame.offset + 40], "little")
                self.hit |= set(range(frame.sequence, last + 1))
        for small in (self.directory / "state/bus", self.topic / "topic", self.topic / "log.state"):
            data = bytearray(small.read_bytes())
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            small.write_bytes(data)
        self.write()

    def tear(self, chance):
        """The last file, somewhere near its end: cut off, zeros or anything."""
        file = list(self.files)[-1]
        frames = self.frames(file)
        end = frames[-1].end
        at = chance.randrange(max(end - TORN_BYTES, HEADER), end)
        rest = {"cut": b"", "zeros": bytes(len(self.files[file]) - at),
                "noise": chance.randbytes(len(self.files[file]) - at)}
        kind = chance.choice(list(rest))
        self.files[file][at:] = rest[kind]
        self.hit = {f.sequence for f in frames if f.kind == EVENT and f.end > at}
        self.write()
        return f"{kind} from byte {at} of {end}"

    def write(self):
        for file, data in self.files.items():
            file.write_bytes(data)


class DamageTest(harness.BusTest):
    @classmethod
    def setUpClass(cls):
        """Two directories: one left in good order, and one not; both have a kill in their past."""
        super().setUpClass()
        cls("fill").fill()

    def fill(self):
        self.run_ok("topic", "create", "numbers", "--retention", "disk", "--capacity", "64")
        self.publish_durably(*range(COUNT // 2))
        self.daemon.kill()
        type(self).daemon = harness.Daemon(self.directory)
        self.publish_durably(*range(COUNT // 2, COUNT))
        self.daemon.kill()
        shutil.copytree(self.directory / "state", self.directory / "killed/state")
        type(self).daemon = harness.Daemon(self.directory)
        self.run_ok("sub", "numbers", "--from", "all", "--count", "1") # wakes it up
        self.daemon.stop()
        shutil.copytree(self.directory / "state", self.directory / "closed/state")
        type(self).whole = Past(self.export(self.directory / "closed"))
        self.assertEqual([text.encode() for text in self.whole.events.values()],
                         list(map(payload_of, range(COUNT))))
        type(self).daemon = harness.Daemon(self.directory)

    def publish_durably(self, *numbers):
        self.run_ok("pub", "numbers", "--framed", "--wait-durable",
                    stdin=harness.frames(*map(payload_of, numbers)))

    def export(self, directory):
        return self.run_ok("spill", "export", f"{directory}/state/topics/numbers").objects

    def verify(self, damage):
        """The sequences that are damaged, says verify."""
        done = self.run_tool("spill", "verify", f"{damage.topic}", "--json")
        found = {s for one in done.json for s in range(one["first"], one["last"] + 1)}
        self.assertEqual(done.code, 7 if found else 0, done.err)
        return found

    def serve(self, damage, expected):
        """A daemon on these files, and one event more: what it has then, and that one's sequence."""
        daemon = harness.Daemon(damage.directory)
        try:
            bus = ("--socket", str(daemon.socket))
            last = self.run_ok(*bus, "pub", "numbers", "end", "--wait-durable", "--json").json["last"]
            served = Past(self.run_ok(*bus, "sub", "numbers", "--from", "all", "--json", "--count",
                                      str(expected + 1), "--timeout", "20s").objects)
            self.assertEqual(served.events.pop(last), "end")
            self.assertEqual(daemon.stop(), 0)
            return served, last
        finally:
            daemon.kill()

    @contextlib.contextmanager
    def round(self, number, whole):
        directory = self.directory / f"round-{number}"
        with self.subTest(round=number):
            yield random.Random(number), Damage(self.directory / whole, directory)
        shutil.rmtree(directory)

    def expect_unharmed(self, served, harmed):
        for sequence, text in self.whole.events.items():
            if sequence in served.events:
                self.assertEqual(served.events[sequence], text)
            else:
                self.assertIn(sequence, harmed)
                self.assertIn(sequence, served.gaps)
        self.assertLessEqual(served.events.keys(), self.whole.events.keys())

    def test_flipped_bits(self):
        """Cost the events they are in, the same for verify and for a subscriber."""
        hit = 0
        for number in range(ROUNDS):
            with self.round(number, "closed") as (chance, damage):
                damage.flip(chance, FLIPS)
                self.assertEqual(self.verify(damage), damage.hit)
                left = self.whole.events.keys() - damage.hit
                served, _ = self.serve(damage, len(left))
                self.expect_unharmed(served, damage.hit)
                self.assertEqual(served.events.keys(), left)
                self.assertEqual(served.gaps, self.whole.gaps | dict.fromkeys(damage.hit, "corrupt"))
                hit += len(damage.hit & self.whole.events.keys())
        print(f"{ROUNDS * FLIPS} bits flipped, {hit} events hit")
        self.assertGreater(hit, ROUNDS * FLIPS // 10)

    def test_torn_end(self):
        """Costs what was behind the tear; no sequence is used again."""
        torn = 0
        for number in range(TEARS):
            with self.round(number, "killed") as (chance, damage):
                how = damage.tear(chance)
                before = self.whole.events.keys() - damage.hit
                self.assertLessEqual(self.verify(damage), damage.hit | self.whole.gaps.keys(), how)
                found = Past(self.export(damage.directory)).events
                served, last = self.serve(damage, len(found))
                self.expect_unharmed(served, damage.hit)
                self.assertLessEqual(before, served.events.keys(), how)
                self.assertGreater(last, max(self.whole.events))
                torn += len(damage.hit)
        print(f"{TEARS} torn ends, {torn} events behind them")
        self.assertGreater(torn, TEARS)


if __name__ == "__main__":
    harness.main()
