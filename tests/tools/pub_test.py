#!/usr/bin/env python3
"""shmbus pub: payloads, streams, attributes, pacing, and what happens when there is no room."""

import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import harness  # noqa: E402
from harness import frames  # noqa: E402


class PubTest(harness.BusTest):
    def events(self, topic, count):
        """The first `count` events of a topic, as JSON."""
        return self.run_ok("sub", topic, "--from", "all", "--count", str(count), "--json").objects

    def payloads(self, topic, count):
        """The same, their payloads alone, whatever bytes they are."""
        text = self.run_ok("sub", topic, "--from", "all", "--count", str(count), "--format",
                           "framed").out
        found = []
        while text:
            end = 4 + int.from_bytes(text[:4], "little")
            found.append(text[4:end])
            text = text[end:]
        return found

    def tally(self, topic, first, last, count):
        return {"topic": topic, "first": first, "last": last, "count": count}


class PayloadTest(PubTest):
    def test_data(self):
        """DATA is the payload as it stands, also where it looks like something else."""
        topic = self.topic()
        data = ["hello", "", "pub", "[1,2]", "{}", "a\nb", "\u00e4", "-5"]
        for text in data:
            done = self.run_ok("pub", topic, text)
            self.assertEqual((done.out, done.err), (b"", ""))
        for text in ["-x", "--lines", "++"]:
            self.run_ok("pub", topic, "--", text)
        self.assertEqual(self.payloads(topic, 11),
                         [d.encode() for d in [*data, "-x", "--lines", "++"]])

    def test_stdin(self):
        """Without DATA all of stdin is one event, of any bytes or none."""
        topic = self.topic()
        all_bytes = bytes(range(256)) * 3
        for data in (all_bytes, b"", b"two\nlines\n"):
            self.run_ok("pub", topic, stdin=data)
        self.assertEqual(self.payloads(topic, 3), [all_bytes, b"", b"two\nlines\n"])

    def test_lines(self):
        """--lines: one event a line; empty ones too, and what follows the last newline."""
        topic = self.topic()
        done = self.run_ok("pub", topic, "--lines", "--json", stdin=b"a\n\nb\r\n\xff\nlast")
        self.assertEqual(done.json, self.tally(topic, 1, 5, 5))
        self.assertEqual(self.payloads(topic, 5), [b"a", b"", b"b\r", b"\xff", b"last"])
        done = self.run_ok("pub", topic, "--lines", "--json", stdin=b"")
        self.assertEqual(done.json, self.tally(topic, None, None, 0))

    def test_framed(self):
        """--framed: what sub --format framed prints; inline and large payloads."""
        topic = self.topic()
        data = [b"", b"x", b"\0" * 5000, os.urandom(100_000), b"end"]
        done = self.run_ok("pub", topic, "--framed", "--json", stdin=frames(*data))
        self.assertEqual(done.json, self.tally(topic, 1, 5, 5))
        self.assertEqual(self.payloads(topic, 5), data)

    def test_a_line_is_published_when_it_comes(self):
        """A stream that pauses does not hold back what it has given."""
        topic = self.topic()
        read, write = os.pipe()
        pub = self.start("pub", topic, "--lines", "--json", stdin=read)
        os.close(read)
        os.write(write, b"first\nsec")
        harness.wait_until("the first event", lambda: self.info(topic)["head"] == 1)
        os.write(write, b"ond\n")
        harness.wait_until("the second event", lambda: self.info(topic)["head"] == 2)
        os.close(write)
        self.assertEqual(pub.wait().json, self.tally(topic, 1, 2, 2))

    def test_attributes(self):
        """Key, type, correlation, cause and headers arrive."""
        topic = self.topic()
        correlation = "00112233445566778899aabbccddeeff"
        self.run_ok("pub", topic, "x", "--key", "k\u00e4y", "--type", "4294967295", "--correlation",
                    correlation, "--cause", "other.topic:17", "--header", "a=1=2", "--header", "b=",
                    "--header", "a=3")
        event = self.events(topic, 1)[0]
        self.assertEqual(event["key"], "k\u00e4y")
        self.assertEqual(event["type"], 4294967295)
        self.assertEqual(event["correlation"], correlation)
        self.assertEqual(event["cause"], {"topic": "other.topic", "seq": 17})
        self.assertEqual(event["headers"], {"a": ["1=2", "3"], "b": ""})

    def test_new_correlation(self):
        """--correlation new: one for all events of the call, told in the JSON."""
        topic = self.topic()
        done = self.run_ok("pub", topic, "--lines", "--correlation", "new", "--json", stdin=b"1\n2\n")
        ids = {event["correlation"] for event in self.events(topic, 2)}
        self.assertEqual(ids, {done.json["correlation"]})
        self.assertRegex(ids.pop(), "^[0-9a-f]{32}$")

    def test_wrong_options(self):
        """What cannot be: exit 2, before anything is published, also if there is no such topic."""
        for pattern, *options in [
            ("--lines excludes|--framed excludes", "--lines", "--framed"),
            ("excludes", "data", "--lines"),
            ("excludes", "data", "--framed"),
            ("a key has 1 to 255 bytes, this one 256", "--key", "k" * 256),
            ("a key has 1 to 255 bytes, this one 0", "--key", ""),
            ("--type: '-1' is not a number", "--type=-1"),
            ("--type: '4294967296' is not a number", "--type", "4294967296"),
            ("neither 32 hexadecimal digits nor 'new'", "--correlation", "12"),
            ("neither 32 hexadecimal digits nor 'new'", "--correlation", "x" * 32),
            ("--correlation: 32 zeros mean no correlation", "--correlation", "0" * 32),
            ("'t' is not TOPIC:SEQ", "--cause", "t"),
            ("'../x' is not a name", "--cause", "../x:1"),
            ("--cause: '0' is not a number", "--cause", "t:0"),
            ("--header: 'x' is not K=V", "--header", "x"),
            ("--header: '=v' is not K=V", "--header", "=v"),
            ("4096 is the most", "--header", "k=" + "v" * 4096),
            ("--timeout: '5' is not a duration", "--timeout", "5"),
            ("--rate: '0' is no number", "--rate", "0"),
            ("--rate: 'fast' is no number", "--rate", "fast"),
        ]:
            self.run_failing(2, pattern, "pub", "nobody", *options)

    def test_largest_attributes(self):
        """A key of 255 bytes and 4096 bytes of headers are fine."""
        topic = self.topic()
        self.run_ok("pub", topic, "x", "--key", "k" * 255, "--header", "h=" + "v" * (4096 - 7))
        event = self.events(topic, 1)[0]
        self.assertEqual((len(event["key"]), len(event["headers"]["h"])), (255, 4089))

    def test_rate(self):
        """--rate spaces events out over time."""
        topic = self.topic()
        start = time.monotonic()
        self.run_ok("pub", topic, "--lines", "--rate", "20", stdin=b"\n" * 11)
        self.assertGreaterEqual(time.monotonic() - start, 0.5)


class TroubleTest(PubTest):
    """Whatever stops a stream: the exit code, the reason, and how much was published."""

    def test_too_large(self):
        """A payload over --max-event: exit 6, the limit, and the remedy; at the limit all is well."""
        topic = self.topic("--max-event", "1000")
        limit = f"topic '{topic}' takes events of up to 1000 bytes.*--max-event"
        self.run_ok("pub", topic, "x" * 1000)
        self.run_failing(6, f"{limit}", "pub", topic, "x" * 1001)
        self.run_failing(6, f"{limit}", "pub", topic, stdin=b"x" * 1001)
        done = self.run_failing(6, limit, "pub", topic, "--lines", "--json",
                                stdin=b"one\ntwo\n" + b"x" * 1001 + b"\nthree\n")
        self.assertEqual(done.json, self.tally(topic, 2, 3, 2))
        done = self.run_failing(6, f"{limit}", "pub", topic, "--framed", "--json",
                                stdin=frames(b"ok", b"x" * 1001))
        self.assertEqual(done.json, self.tally(topic, 4, 4, 1))
        done = self.run_failing(6, "this one has 4294967295", "pub", topic, "--framed", "--json",
                                stdin=b"\xff\xff\xff\xff")
        self.assertEqual(done.json, self.tally(topic, None, None, 0))
        self.assertEqual(self.info(topic)["head"], 4)

    def test_fits_nowhere(self):
        """A key and a payload together for which there is neither slot nor pool: exit 6, the remedy."""
        topic = self.topic("--pool", "0", "--slot", "128", "--max-event", "64")
        self.run_ok("pub", topic, "x" * 64)
        self.run_failing(6, "topic create NAME --slot", "pub", topic, "x" * 64, "--key", "k")

    def test_truncated_frame(self):
        """stdin ends inside a frame: exit 1, and what came before it is published."""
        topic = self.topic()
        for tail, words in [(b"\5\0\0\0ab", "inside a frame: 2 of 5 bytes"),
                            (b"\5\0", "inside the length of a frame: 2 of 4 bytes")]:
            done = self.run_failing(1, words, "pub", topic, "--framed", "--json",
                                    stdin=frames(b"a", b"b") + tail)
            self.assertEqual(done.json["count"], 2)
        done = self.run_failing(1, "2 events published before it ended", "pub", topic, "--framed",
                                stdin=frames(b"a", b"b") + b"\0")
        self.assertEqual(done.out, b"")

    def test_unreadable_stdin(self):
        """stdin that is closed or cannot be read: exit 1."""
        topic = self.topic()
        directory = os.open("/", os.O_RDONLY)
        self.addCleanup(os.close, directory)
        done = self.start("pub", topic, "--json", stdin=directory).wait()
        self.assertEqual((done.code, done.json["count"]), (1, 0))
        self.assertIn("reading stdin", done.err)

    def test_unwritable_stdout(self):
        """The report of --json cannot be written: exit 1, saying that the events are published."""
        topic = self.topic()
        for stdin, words in ((b"1\n", "the event was"), (b"2\n3\n", "2 events were")):
            with open("/dev/full", "wb") as full:
                done = self.start("pub", topic, "--lines", "--json", stdin=self.file(stdin),
                                  stdout=full).wait()
            self.assertEqual((done.code, done.err), (1, "shmbus: stdout: No space left on device; "
                                                        f"{words} published all the same\n"))
        self.assertEqual(self.payloads(topic, 3), [b"1", b"2", b"3"])

    def full_topic(self, policy, capacity=4):
        topic = self.topic("--full", policy, "--capacity", str(capacity))
        sub = self.start_sub(topic, "--from", "all", "--no-ack")
        harness.wait_until("it to gate", lambda: not self.info(topic)["subscribers"][0]["lossy"])
        self.run_ok("pub", topic, "--lines", stdin=b"1\n2\n")
        self.wait_for_output(sub, b"2\n")  # so it has joined
        return topic, sub

    def test_reject(self):
        """A full ring with reject: exit 6 at once, who holds it up, and the count."""
        topic, sub = self.full_topic("reject")
        done = self.run_failing(6, rf"'{topic}' is full; pid {sub.pid} \(shmbus\) has 4 events",
                                "pub", topic, "--lines", "--json", stdin=b"\n" * 9)
        self.assertEqual(done.json, self.tally(topic, 3, 4, 2))
        self.assertEqual(self.info(topic)["head"], 4)

    def test_block_with_timeout(self):
        """A full ring with block: exit 3 after --timeout, with the count; nothing is lost."""
        topic, sub = self.full_topic("block")
        start = time.monotonic()
        done = self.run_failing(3, f"no room within 300ms; pid {sub.pid}", "pub", topic, "--lines",
                                "--json", "--timeout", "300ms", stdin=b"\n" * 9)
        self.assertGreaterEqual(time.monotonic() - start, 0.3)
        self.assertEqual(done.json, self.tally(topic, 3, 4, 2))
        self.run_failing(3, "no room within 0s", "pub", topic, "x", "--timeout", "0")
        self.assertNotIn("waiting", done.err)

    def test_block_says_what_it_waits_for(self):
        """After a second of waiting it says for whom, goes on, and ends well when there is room."""
        topic, sub = self.full_topic("block")
        pub = self.start("pub", topic, "--lines", "--json", stdin=self.file(b"\n" * 5))
        self.wait_for_note(pub, f"topic '{topic}': waiting for room for an event of 0 bytes; "
                                f"pid {sub.pid} .* has 4 events to acknowledge")
        sub.process.kill()
        done = pub.wait()
        self.assertEqual((done.code, done.json), (0, self.tally(topic, 3, 7, 5)))

    def test_exhausted_pool(self):
        """A pool whose chunks are all needed: waits until --timeout like a full ring; reject: 6."""
        for policy, code, words in [("block", 3, "no room within 200ms"),
                                    ("reject", 6, "pool has no room|is full")]:
            topic = self.topic("--full", policy, "--capacity", "1024", "--pool", "1M", "--max-event",
                               "100000", suffix=policy)
            sub = self.start_sub(topic, "--from", "all", "--no-ack", "--format", "%s")
            self.run_ok("pub", topic, "x")
            self.wait_for_output(sub, b"1\n")
            done = self.run_failing(code, words, "pub", topic, "--framed", "--json", "--timeout",
                                    "200ms", stdin=frames(*[b"x" * 100_000] * 100))
            self.assertGreater(done.json["count"], 0)
            self.assertLess(done.json["count"], 20)

    def test_interrupted(self):
        """Ctrl-C: exit 130 with the count, wherever it waits: for stdin, for room, for its time."""
        waiting, _ = self.full_topic("block")
        topic = self.topic(suffix="-open")
        read, write = os.pipe()
        self.addCleanup(os.close, write)
        for number in (signal.SIGINT, signal.SIGTERM):
            stdin = self.start("pub", topic, "--lines", "--json", stdin=read)
            room = self.start("pub", waiting, "--lines", "--json", stdin=self.file(b"\n" * 9))
            rate = self.start("pub", topic, "--lines", "--json", "--rate", "0.01",
                              stdin=self.file(b"\n" * 9))
            harness.wait_until("two publishers", lambda: self.info(topic)["publisher_count"] == 2)
            self.wait_for_note(room, "waiting for room")
            for pub in (stdin, room, rate):
                pub.send(number)
                done = pub.wait()
                self.assertEqual(done.code, 130, done.err)
                self.assertLessEqual(done.json["count"], 2)
        os.close(read)

    def test_removed_while_it_publishes(self):
        """The topic goes away: exit 5, with the count."""
        topic = self.topic()
        read, write = os.pipe()
        pub = self.start("pub", topic, "--lines", "--json", stdin=read)
        os.close(read)
        os.write(write, b"first\n")
        harness.wait_until("the first event", lambda: self.info(topic)["head"] == 1)
        self.run_ok("topic", "rm", topic, "--force")
        os.write(write, b"second\n")
        done = pub.wait()
        os.close(write)
        self.assertEqual((done.code, done.json), (5, self.tally(topic, 1, 1, 1)))
        self.assertEqual(done.err, f"shmbus: topic '{topic}' was removed\n")


class DaemonGoneTest(PubTest):
    def test_publishing_without_a_daemon(self):
        """A killed daemon stops no publisher and no subscriber; new ones get exit 4."""
        topic = self.topic()
        sub = self.start_sub(topic, "--from", "all")
        read, write = os.pipe()
        pub = self.start("pub", topic, "--lines", "--json", stdin=read)
        os.close(read)
        os.write(write, b"before\n")
        self.wait_for_output(sub, b"before\n")
        self.daemon.kill()
        os.write(write, b"after\n")
        self.wait_for_output(sub, b"after\n")
        os.close(write)
        done = pub.wait()
        self.assertEqual((done.code, done.json), (0, self.tally(topic, 1, 2, 2)))
        self.run_failing(4, "shmbusd", "pub", topic, "x")
        sub.send(signal.SIGINT)
        self.assertEqual(sub.wait().code, 130)

    def test_daemon_stopped(self):
        """The daemon ends in good order: exit 4, with the reason and the count."""
        directory = self.directory / "second"
        directory.mkdir()
        daemon = harness.Daemon(directory)
        self.addCleanup(daemon.kill)
        env = harness.environment(SHMBUS_SOCKET=str(daemon.socket))
        self.run_ok("topic", "create", "t", env=env)
        read, write = os.pipe()
        pub = self.start("pub", "t", "--lines", "--timeout", "200ms", stdin=read, env=env)
        os.close(read)
        os.write(write, b"before\n")
        harness.wait_until("the event", lambda: self.run_ok("topic", "info", "t", "--json",
                                                            env=env).json["head"] == 1)
        self.assertEqual(daemon.stop(), 0)
        os.write(write, b"after\n")
        done = pub.wait()
        os.close(write)
        self.assertEqual(done.code, 4)
        self.assertRegex(done.err, r"^shmbus: 1 event published before it ended\n"
                                   r"shmbus: topic 't' was closed: its daemon stopped \(.*\)\n$")

    @classmethod
    def tearDownClass(cls):
        """Its daemon has been killed."""


if __name__ == "__main__":
    harness.main()
