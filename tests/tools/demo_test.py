#!/usr/bin/env python3
"""The demo: a short run of it ends well and leaves nothing behind; what differs is found."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import harness  # noqa: E402

DEMO = harness.TREE / "examples" / "demo"
sys.path.insert(0, str(DEMO))
from compare import Difference, Outputs, Stream, compare  # noqa: E402


class CompareTest(unittest.TestCase):
    """Doctored outputs: each must be told from what it should be."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        lines = self.file("lines.in", b"one\ntwo\nthree\n")
        binary = self.file("binary.in", harness.frames(b"\xff\xfe", b""))
        victim = self.file("victim.in", b"v1\nv2\nv3\n")
        self.streams = [
            Stream("lines", lines, report={"first": 1, "last": 6, "count": 3}),
            Stream("binary", binary, framed=True, report={"first": 2, "last": 7, "count": 2}),
            Stream("victim", victim, killed=True),
        ]
        self.events = [(1, "lines", b"one"), (2, "binary", b"\xff\xfe"), (3, "victim", b"v1"),
                       (4, "lines", b"two"), None, (6, "lines", b"three"), (7, "binary", b"")]

    def file(self, name, data):
        path = self.directory / name
        path.write_bytes(data)
        return path

    def outputs(self):
        """What five subscribers print of self.events; None is a tombstone."""
        text, frames = "", b""
        for sequence, event in enumerate(self.events, 1):
            if event is None:
                gap = {"first": sequence, "last": sequence, "reason": "aborted"}
                text += json.dumps({"topic": "demo", "gap": gap}) + "\n"
                continue
            number, key, data = event
            payload = {"payload_base64": "//4="} if data == b"\xff\xfe" else {"payload": data.decode()}
            text += json.dumps({"seq": number, "key": key, **payload}) + "\n"
            frames += harness.frames(data)
        return Outputs(
            json=self.file("json.out", text.encode()),
            framed=[self.file("framed-1.out", frames), self.file("framed-2.out", frames)],
            by_key={"binary": self.file("only-binary.out", b"\xff\xfe"),
                    "victim": self.file("only-victim.out", b"v1\n")})

    def assert_differs(self, pattern, outputs):
        with self.assertRaisesRegex(Difference, pattern):
            compare(self.streams, outputs)

    def test_identical(self):
        """What is as it must be is accepted, and counted."""
        verdict = compare(self.streams, self.outputs())
        self.assertEqual((verdict.events, verdict.bytes, verdict.tombstones), (6, 15, [5]))

    def test_order_and_sequences(self):
        """A lost, doubled, exchanged or foreign event; a gap that is no tombstone."""
        whole = list(self.events)
        for pattern, events in [
            ("json.out:4: sequence 5 where 4 is due", whole[:3] + whole[4:]),
            ("json.out:2: sequence 1 where 2 is due", whole[:1] + whole),
            ("json.out:3: sequence 4 where 3 is due", whole[:2] + [whole[3], whole[2]] + whole[4:]),
            ("nobody published with the key 'nobody'", [(1, "nobody", b"one")] + whole[1:]),
            ("of 'lines' is 'three'|of 'lines' is b'three'",
             whole[:3] + [(4, "lines", b"three"), None, (6, "lines", b"two")] + whole[6:]),
        ]:
            self.events = events
            self.assert_differs(pattern, self.outputs_numbered_by_themselves())
        self.events = whole
        outputs = self.outputs()
        outputs.json.write_bytes(outputs.json.read_bytes().replace(b"aborted", b"overrun"))
        self.assert_differs("a gap that is no tombstone", outputs)

    def outputs_numbered_by_themselves(self):
        outputs = self.outputs()
        lines = []
        for line, event in zip(outputs.json.read_bytes().splitlines(), self.events):
            value = json.loads(line)
            if event is None:
                value["gap"].update(first=5, last=5)
            lines.append(json.dumps(value))
        outputs.json.write_text("\n".join(lines) + "\n")
        return outputs

    def test_ends(self):
        """A stream cut short, or longer than what was published; a report that says otherwise."""
        whole = list(self.events)
        self.events = whole[:-1]
        self.assert_differs("of 'binary' only 1 events came", self.outputs())
        self.events = [*whole, (8, "lines", b"four")]
        self.assert_differs("event 4 of 'lines' is b'four', published was nothing more", self.outputs())
        self.events = whole
        self.streams[0].report["count"] = 2
        self.assert_differs("'lines' reported .*'count': 2.* what came was .*'count': 3", self.outputs())
        self.streams[0].report["count"] = 3
        self.events = whole[:2] + [None] + whole[3:]
        self.assert_differs("nothing came of 'victim'", self.outputs())

    def test_bytes(self):
        """A byte changed, lost or added in any one output."""
        for pattern, which, change in [
            ("json.out:1: ", "json", lambda b: b[1:]),
            ("json.out:1: .*seq", "json", lambda b: b"{}\n" + b),
            ("event 1 of 'lines' is b'onE'", "json", lambda b: b.replace(b"one", b"onE")),
            ("framed-1.out, sequence 1, differs at byte 4", "framed-1",
             lambda b: b.replace(b"one", b"One")),
            ("framed-1.out, sequence 7, differs", "framed-1", lambda b: b[:-1]),
            ("framed-1.out: 1 bytes after the last event", "framed-1", lambda b: b + b"\0"),
            ("framed-2.out differs at byte 10", "framed-2", lambda b: b[:10] + b"x" + b[11:]),
            ("framed-2.out differs at byte", "framed-2", lambda b: b[:-4]),
            ("only-binary.out differs at byte 1 of 2", "only-binary", lambda b: b"\xff\xff"),
            ("only-victim.out differs at byte 3 of 3", "only-victim", lambda b: b + b"v2\n"),
            ("only-victim.out differs at byte 0 of 3", "only-victim", lambda b: b""),
        ]:
            outputs = self.outputs()
            path = self.directory / f"{which}.out"
            path.write_bytes(change(path.read_bytes()))
            self.assert_differs(pattern, outputs)


class RunTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.env = {**os.environ, "TMPDIR": directory.name, "PYTHONDONTWRITEBYTECODE": "1"}

    def start(self, *arguments):
        return subprocess.Popen(
            [sys.executable, DEMO / "demo.py", "--build", harness.BUILD, *arguments], env=self.env,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def assert_nothing_left(self):
        self.assertEqual(list(self.directory.glob("shmbus-demo-*")), [])
        directory = str(self.directory).encode()
        for process in Path("/proc").glob("[0-9]*/environ"):
            try:
                left = b"SHMBUS_SOCKET=" + directory in process.read_bytes()
            except OSError:  # it has ended, or is somebody else's
                continue
            self.assertFalse(left, process)

    def test_short_run(self):
        """A run of a second on its own choice of files ends with its promise, and cleans up."""
        demo = self.start("--seconds", "1")
        out, _ = demo.communicate(timeout=harness.PATIENCE)
        self.assertEqual(demo.returncode, 0, out)
        self.assertRegex(out.splitlines()[-1], r"^demo: OK events=\d+ subscribers=5 identical=yes$")
        self.assertIn("victim: killed with SIGKILL", out)
        self.assert_nothing_left()

    def test_files_given(self):
        """Files given: text goes line by line, what is no text in frames; small ones over and over."""
        text, binary = self.directory / "text", self.directory / "binary"
        text.write_bytes(b"a\n\n\xff\xe4 latin\n" + b"long " * 1000)
        binary.write_bytes(bytes(range(256)))
        demo = self.start("--seconds", "0.3", str(text), str(binary))
        out, _ = demo.communicate(timeout=harness.PATIENCE)
        self.assertEqual(demo.returncode, 0, out)
        self.assertIn(f"lines-1: {text}", out)
        self.assertIn(f"binary: {binary}", out)

    def test_no_such_file(self):
        """What cannot be run fails with a reason, and cleans up."""
        demo = self.start(str(self.directory / "nothing"))
        out, _ = demo.communicate(timeout=harness.PATIENCE)
        self.assertEqual(demo.returncode, 1, out)
        self.assertRegex(out.splitlines()[-1], "^demo: FAILED .*nothing")
        self.assert_nothing_left()

    def test_interrupted(self):
        """Ctrl-C and SIGTERM in the middle: no process and no file is left."""
        for number in (signal.SIGINT, signal.SIGTERM):
            demo = self.start("--seconds", "30")
            for line in demo.stdout:
                if "events/s" in line:
                    break
            demo.send_signal(number)
            demo.communicate(timeout=harness.PATIENCE)
            self.assertEqual(demo.returncode, 128 + number)
            self.assert_nothing_left()


if __name__ == "__main__":
    harness.main()
