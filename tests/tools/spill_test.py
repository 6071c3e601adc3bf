#!/usr/bin/env python3
"""shmbus spill ls, verify, export: the files of a topic on disk, whole, damaged and being written."""

import os
import shutil
import struct
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import harness  # noqa: E402
from segments import EVENT, FOOTER, HEAD, SYNC_POINT, TWIN, Copy  # noqa: E402

class SpillTest(harness.BusTest):
    def disk_topic(self, *options, suffix=""):
        name = self.id().split(".")[-1].replace("_", "-") + suffix
        self.run_ok("topic", "create", name, "--retention", "disk", *options)
        return name

    def publish_numbers(self, topic, first, last):
        """Durably."""
        lines = b"".join(b"%d\n" % n for n in range(first, last + 1))
        self.run_ok("pub", topic, "--lines", "--wait-durable", stdin=lines)

    def files_of(self, topic):
        return self.directory / "state/topics" / topic

    def copy(self, topic, name):
        """Of one that was filled, and closed in good order."""
        return Copy(self.files_of(topic), self.directory / "copies" / name / topic)

    def restart(self, end):
        end()
        type(self).daemon = harness.Daemon(self.directory)

    def verify(self, target, *damages):
        """These are what it names, as (first, last, reason); the exit code fits."""
        code = 7 if damages else 0
        done = self.run_tool("spill", "verify", str(target))
        self.assertEqual((done.code, done.out.decode()),
                         (code, "".join(f"corrupt {first}..{last}\n" for first, last, _ in damages)))
        count = sum(last - first + 1 for first, last, _ in damages)
        self.assertRegex(done.err, f"{count} sequences? damaged\n$" if damages else "no damage\n$")
        done = self.run_tool("spill", "verify", str(target), "--json")
        self.assertEqual(done.code, code)
        self.assertEqual([(d["first"], d["last"], d["reason"]) for d in done.json], list(damages))
        return done.json

    def numbers(self, target):
        """What export has: numbers, and for a gap (first, last, reason); events are what they were."""
        found = []
        for line in self.run_ok("spill", "export", str(target)).objects:
            if gap := line.get("gap"):
                found.append((gap["first"], gap["last"], gap["reason"]))
            else:
                self.assertEqual(line["payload"], str(line["seq"]))
                found.append(line["seq"])
        return found


class DamageTest(SpillTest):
    COUNT = 12_000

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        test = cls("fill")
        test.fill()

    def fill(self):
        for topic in ("numbers", "others"):
            self.run_ok("topic", "create", topic, "--retention", "disk")
            for first in range(1, self.COUNT, 1000):
                self.publish_numbers(topic, first, first + 999)
        self.restart(self.daemon.stop)

    def damaged(self, name):
        copy = self.copy("numbers", name)
        self.assertGreaterEqual(len(copy.files), 3)
        return copy

    def check(self, copy, *damages):
        found = self.verify(copy.directory, *damages)
        for damage in found:
            self.assertIn(int(damage["segment"][:-4]), copy.firsts)
        gone = {s for first, last, _ in damages for s in range(first, last + 1)}
        exported = self.numbers(copy.directory)
        self.assertEqual([n for n in exported if isinstance(n, int)],
                         [n for n in range(1, self.COUNT + 1) if n not in gone])
        gaps = [gap for gap in exported if not isinstance(gap, int)]
        self.assertEqual({s for first, last, _ in gaps for s in range(first, last + 1)}, gone)
        self.assertLessEqual({reason for _, _, reason in gaps}, {"corrupt"})

    def test_nothing(self):
        self.check(self.damaged("nothing"))
        self.verify("numbers")

    def test_payload(self):
        copy = self.damaged("payload")
        copy.flip_payload(77)
        self.check(copy, (77, 77, "event"))

    def test_head(self):
        """Each field of a frame's head, checksums included."""
        for name, field in [("checksum", 0), ("body", 8), ("sequence", 16), ("length", 24),
                            ("kind", 28), ("bytes", 30), ("time", 32), ("payload-length", 40)]:
            copy = self.damaged(name)
            copy.flip_head(3000, field)
            self.check(copy, (3000, 3000, "frame"))

    def test_several(self):
        """Neighbours are one; the first and the last of a file, too."""
        copy = self.damaged("several")
        second, third = copy.firsts[1:3]
        for sequence in (1, 10, 11, second, third - 1, self.COUNT):
            copy.flip_payload(sequence)
        copy.flip_head(500, 17)
        copy.flip_head(501, 0)
        self.check(copy, (1, 1, "event"), (10, 11, "event"), (500, 501, "frame"),
                   (second, second, "event"), (third - 1, third - 1, "event"),
                   (self.COUNT, self.COUNT, "event"))

    def test_file_header(self):
        """One copy of it is enough; with both damaged all is, up to the next file."""
        copy = self.damaged("header")
        first, end = copy.firsts[1:3]
        copy.flip(copy.files[1], 40)
        self.check(copy)
        copy.flip(copy.files[1], TWIN)
        self.check(copy, (first, end - 1, "segment"))
        copy.flip(copy.files[0], 0, TWIN)
        self.check(copy, (1, first - 1, "segment"), (first, end - 1, "segment"))

    def test_other_topic(self):
        """A file of another topic is none of this one's, of whatever name."""
        copy, other = self.damaged("other"), self.copy("others", "other")
        first, end = copy.firsts[1:3]
        shutil.copy(other.files[0], copy.files[1])
        self.check(copy, (first, end - 1, "segment"))
        shutil.copy(other.files[0], copy.files[0])
        self.check(copy, (1, first - 1, "segment"), (first, end - 1, "segment"))

    def test_missing(self):
        """A file that is gone, and one that was cut off."""
        copy = self.damaged("missing")
        first, end = copy.firsts[1:3]
        _, frame = copy.find(100)
        copy.files[1].unlink()
        self.check(copy, (first, end - 1, "frame"))
        os.truncate(copy.files[0], frame.offset + 10)
        self.check(copy, (100, end - 1, "frame"))

    def test_last_file_cut_off(self):
        """What a sync point said was on disk has to be there."""
        copy = self.damaged("cut")
        last = copy.files[-1]
        point = [f for f in copy.frames(last) if f.kind == SYNC_POINT][-1]
        durable = struct.unpack_from("<Q", last.read_bytes(), point.offset + HEAD.size + 8)[0]
        copy.flip_payload(durable)
        self.verify(copy.directory, (durable, durable, "event"))
        os.truncate(last, point.end)
        self.verify(copy.directory, (durable, durable, "event"))

    def test_beside_events(self):
        """A damaged sync point or footer costs no event."""
        copy = self.damaged("beside")
        for kind in (SYNC_POINT, FOOTER):
            file, frame = next((file, frame) for file in copy.files for frame in copy.frames(file)
                               if frame.kind == kind)
            copy.flip(file, frame.offset + HEAD.size + 1)
        self.check(copy)

    def test_where_it_lies(self):
        """With the daemon up to the last event that it calls durable, also if no file says so."""
        topic = self.disk_topic()
        self.publish_numbers(topic, 1, 10)
        original = Copy(self.files_of(topic), self.directory / "copies" / topic)
        file, frame = original.find(10)
        original.flip(self.files_of(topic) / file.name, frame.payload)
        self.verify(topic, (10, 10, "event"))


class LifeTest(SpillTest):
    def test_torn_tail(self):
        """After a kill, whatever the end of the last file has become: no damage."""
        topic = self.disk_topic("--sync", "none")
        lines = self.file(b"".join(b"%d\n" % n for n in range(1, 200_001)))
        self.start("pub", topic, "--lines", stdin=lines)
        harness.wait_until("some events", lambda: self.info(topic)["written"] > 10_000)
        self.restart(self.daemon.kill)
        # The new daemon has seen to the tail: this is what the files were before.
        copy = self.copy(topic, "torn")
        self.verify(copy.directory)
        found = [n for n in self.numbers(copy.directory) if isinstance(n, int)]
        self.assertEqual(found, list(range(1, len(found) + 1)))

    def test_torn_at_every_byte(self):
        """What a kill leaves of the last event."""
        topic = self.disk_topic("--sync", "none")
        self.publish_not_durably(topic, 20)
        whole = Copy(self.files_of(topic), self.directory / "copies" / "every-byte")
        frame = [f for f in whole.frames(whole.files[-1]) if f.kind == EVENT][-1]
        self.assertEqual(frame.sequence, 20)
        for cut in range(frame.offset, frame.payload + 2, 7):
            os.truncate(whole.files[-1], cut)
            self.verify(whole.directory)
            self.assertEqual(self.numbers(whole.directory), list(range(1, 20)))
            self.assertEqual(self.run_ok("spill", "ls", f"{whole.directory}/", "--json").json[-1]["last"],
                             19)
            os.truncate(whole.files[-1], frame.end + 1000)  # zeros, as after a power loss
            self.verify(whole.directory)

    def expect_whole(self, numbers, reason):
        """Every sequence from the first to the last is a number, or in a gap of this reason."""
        expected = None
        for one in numbers:
            first, last, why = one if isinstance(one, tuple) else (one, one, reason)
            self.assertEqual((first, why), (expected or first, reason))
            expected = last + 1
        return expected - 1

    def publish_not_durably(self, topic, count):
        self.run_ok("pub", topic, "--lines", stdin=b"".join(b"%d\n" % n for n in range(1, count + 1)))
        harness.wait_until("the files", lambda: self.info(topic)["written"] == count)

    def test_while_events_come(self):
        """Files grow, are sealed and expire: never damage, and what is there is without a hole."""
        for sync in ("group", "none", "interval:5"):
            topic = self.disk_topic("--sync", sync, "--keep-bytes", "2M", suffix="-" + sync[:4])
            lines = self.file(b"".join(b"%d\n" % n for n in range(1, 400_001)))
            publisher = self.start("pub", topic, "--lines", stdin=lines)
            harness.wait_until("an event", lambda t=topic: self.info(t)["written"])
            looks = 0
            while publisher.process.poll() is None or looks < 5:
                self.verify(topic)
                self.verify(self.files_of(topic))
                self.expect_whole(self.numbers(topic), "expired")
                looks += 1
            self.assertEqual(publisher.wait().code, 0)

    def test_files_taken_away(self):
        """Under a daemon that has them: what was in them is a gap, and nothing waits for it, or is passed over."""
        topic = self.disk_topic("--capacity", "64")
        count = 30_000
        self.publish_numbers(topic, 1, count)
        awake = self.start("pub", topic, "--lines", stdin=subprocess.PIPE)
        self.addCleanup(awake.process.stdin.close)
        harness.wait_until("the publisher", lambda: self.info(topic)["publisher_count"] == 1)
        files = sorted(self.files_of(topic).glob("*.seg"))
        self.assertGreater(len(files), 3)
        firsts = [int(file.stem) for file in files]
        for taken in (0, 2):
            files[taken].unlink()
        objects = self.run_ok("sub", topic, "--from", "all", "--count", str(count - firsts[1] + 1
                                                                           - (firsts[3] - firsts[2])), "--json").objects
        self.assertEqual([one["gap"] for one in objects if "gap" in one],
                         [{"first": 1, "last": firsts[1] - 1, "reason": "corrupt"},
                          {"first": firsts[2], "last": firsts[3] - 1, "reason": "corrupt"}])
        seen = [one["seq"] for one in objects if "seq" in one]
        self.assertEqual(seen, [*range(firsts[1], firsts[2]), *range(firsts[3], count + 1)])

    def test_after_kills(self):
        """What a new daemon makes of the tail overlaps with what was there; nothing comes twice."""
        topic = self.disk_topic("--capacity", "64")
        for _ in range(3):
            self.publish_numbers(topic, head := self.info(topic)["head"] + 1, head + 300)
            self.restart(self.daemon.kill)
        self.run_ok("sub", topic, "--from", "all", "--count", "1") # wakes it up
        self.verify(topic)
        self.verify(self.files_of(topic))
        found = self.numbers(topic)
        self.assertEqual(found[0], 1)
        self.assertEqual(self.expect_whole(found, "lost"), self.info(topic)["head"])


class ListTest(SpillTest):
    def test_ls(self):
        """A line for each file, and the same in JSON."""
        topic = self.disk_topic("--capacity", "64")
        self.assertRegex(self.run_ok("spill", "ls", topic).err, "no segments in .*/test-ls\n")
        self.assertEqual(self.run_ok("spill", "ls", topic, "--json").json, [])
        self.verify(topic)
        self.publish_numbers(topic, 1, 5000)
        segments = self.run_ok("spill", "ls", topic, "--json").json
        files = sorted(self.files_of(topic).glob("*.seg"))
        self.assertEqual([s["segment"] for s in segments], [file.name for file in files])
        self.assertEqual([s["bytes"] for s in segments], [file.stat().st_size for file in files])
        self.assertEqual([s["sealed"] for s in segments], [True] * (len(files) - 1) + [False])
        self.assertEqual((segments[0]["first"], segments[-1]["last"]), (1, 5000))
        self.assertEqual([s["first"] for s in segments[1:]], [s["last"] + 1 for s in segments[:-1]])
        self.assertEqual(sum(s["events"] for s in segments), 5000)
        self.assertEqual([s["gaps"] for s in segments], [[]] * len(files))
        for s in segments:
            self.assertLessEqual(s["oldest"], s["newest"])
            self.assertRegex(s["created"], r"^\d{4}-\d\d-\d\dT[\d:.]+Z$")
        self.restart(self.daemon.kill)
        self.publish_numbers(topic, head := self.info(topic)["head"] + 1, head)
        last = self.run_ok("spill", "ls", topic, "--json").json[-1]
        self.assertEqual(last["gaps"], [{"first": 5001, "last": head - 1, "reason": "lost"}])
        text = self.run_ok("spill", "ls", self.files_of(topic)).out.decode()
        self.assertRegex(text, r"^FIRST +LAST +EVENTS +BYTES +STATE +CREATED +OLDEST +NEWEST +GAPS\n")
        self.assertRegex(text, r"\n +1 +\d+ +\d+ +25\d\.?\d*K +sealed ")
        self.assertRegex(text, rf"open .* {head - 5001} lost\n$")

    def test_export_is_what_sub_prints(self):
        """Byte for byte: attributes, payloads of every kind and size."""
        topic = self.disk_topic()
        self.publish(topic, b"text", b"\xff\x00", b"", b"x" * 200_000)
        self.publish(topic, b"with", key="k\u00e4y", type=7, correlation="new", cause="other:12",
                     header="a=b")
        printed = self.run_ok("sub", topic, "--from", "all", "--count", "5", "--json").out
        self.assertEqual(self.run_ok("spill", "export", topic).out, printed)
        self.assertEqual(self.run_ok("spill", "export", f"{self.files_of(topic)}///", "--json").out,
                         printed)

    def test_without_a_daemon(self):
        """A directory, however it is written, needs none; a name does, and says so."""
        topic = self.disk_topic()
        self.publish_numbers(topic, 1, 10)
        env = harness.environment(SHMBUS_SOCKET=str(self.directory / "nowhere.sock"))
        self.run_failing(4, "nowhere.sock.*give the topic's directory", "spill", "ls", topic, env=env)
        done = subprocess.run([harness.SHMBUS, "spill", "export", "./"], cwd=self.files_of(topic),
                              env=env, capture_output=True, check=True)
        self.assertEqual(done.stdout.count(b'"topic":"%s"' % topic.encode()), 10)

    def test_refused(self):
        """What has no files, or none for us."""
        for verb in ("ls", "verify", "export"):
            self.run_failing(2, r"TOPIC\|DIR is required", "spill", verb)
            self.run_failing(2, "is not a name for a topic", "spill", verb, "_a")
            self.run_failing(5, "no topic 'nobody'", "spill", verb, "nobody")
            self.run_failing(1, "/no/where: No such file", "spill", verb, "/no/where")
        self.run_failing(2, "There are ls, verify, export", "spill")
        self.run_failing(6, "is in memory and has no files", "spill", "ls", self.topic())

    def test_not_ours(self):
        """The files belong to the daemon's user: whoever else asks is told so."""
        topic = self.disk_topic()
        remedy = "Permission denied; .*as that user, or as root"
        if os.getuid() != 0:
            self.files_of(topic).chmod(0)
            self.addCleanup(self.files_of(topic).chmod, 0o700)
            self.run_failing(6, remedy, "spill", "ls", self.files_of(topic))
            return
        try:
            done = subprocess.run([harness.SHMBUS, "spill", "ls", self.files_of(topic)], user=65534,
                                  extra_groups=[], cwd="/", env=self.env, capture_output=True, check=False)
        except PermissionError:
            raise unittest.SkipTest("the program is where nobody else can run it") from None
        self.assertRegex(done.stderr.decode(), remedy)
        self.assertEqual(done.returncode, 6)


if __name__ == "__main__":
    harness.main()
