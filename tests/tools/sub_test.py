#!/usr/bin/env python3
"""shmbus sub: where it starts, what it lets through, how it prints, and how it ends."""

import datetime
import os
import signal
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import harness  # noqa: E402
from harness import frames  # noqa: E402


class StartTest(harness.BusTest):
    def from_(self, start, topic, count, *options):
        return self.run_ok("sub", topic, f"--from={start}", "--count", str(count), "--format", "%s",
                           *options).out.split()

    def test_from(self):
        """--from all, last, a sequence, and one that is still to come."""
        topic = self.topic()
        self.publish(topic, b"1", b"2", b"3")
        self.assertEqual(self.from_("all", topic, 3), [b"1", b"2", b"3"])
        self.assertEqual(self.from_("last", topic, 1), [b"3"])
        self.assertEqual(self.from_("2", topic, 2), [b"2", b"3"])
        sub = self.start("sub", topic, "--from", "5", "--count", "1")
        harness.wait_until("the subscriber", lambda: sub.pid in self.pids(topic))
        self.publish(topic, b"4", b"5", b"6")
        self.assertEqual(sub.wait().out, b"5\n")

    def test_from_a_time(self):
        """--from a time as it is printed, in another zone, and a duration ago."""
        topic = self.topic()
        self.publish(topic, b"1")
        time.sleep(0.01)  # so that the next event has a later time
        self.publish(topic, b"2", b"3")
        printed = self.run_ok("sub", topic, "--from", "2", "--count", "1", "--format", "%t").out
        at = printed.decode().strip()
        self.assertRegex(at, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$")
        self.assertEqual(self.from_(at, topic, 2), [b"2", b"3"])
        whole = datetime.datetime.fromisoformat(at[:26] + "+00:00")
        zone = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
        self.assertEqual(self.from_(whole.astimezone(zone).isoformat(), topic, 2), [b"2", b"3"])
        for ago in ("-5m", "-1h", "-1.5d"):
            self.assertEqual(self.from_(ago, topic, 3), [b"1", b"2", b"3"])
        done = self.run_tool("sub", topic, "--from", "-5m", "--count", "1")  # and with a space
        self.assertEqual((done.code, done.out), (0, b"1\n"))

    def test_new_is_the_default(self):
        """Without --from: what is published from now on, and a hint when there is more."""
        topic = self.topic()
        done = self.run_failing(3, "no event for 50ms", "sub", topic, "--timeout", "50ms")
        self.assertNotIn("--from all", done.err)
        self.publish(topic, b"old")
        sub = self.start_sub(topic, "--count", "1")
        self.wait_for_note(sub, f"topic '{topic}' has 1 event older than this.*--from all")
        self.publish(topic, b"new")
        self.assertEqual(sub.wait().out, b"new\n")
        done = self.run_failing(3, "no event", "sub", topic, "--from", "new", "--timeout", "50ms")
        self.assertNotIn("older", done.err)

    def test_overwritten_events_are_a_gap(self):
        """A sequence that is gone comes as a gap: an object in JSON, else a line on stderr."""
        topic = self.topic("--capacity", "4", "--full", "drop-oldest")
        self.publish(topic, *[b"x"] * 10)
        done = self.run_ok("sub", topic, "--from", "2", "--count", "1", "--json")
        self.assertEqual(done.objects[0],
                         {"topic": topic, "gap": {"first": 2, "last": 6, "reason": "overrun"}})
        self.assertEqual((done.objects[1]["seq"], done.err), (7, ""))
        done = self.run_ok("sub", topic, "--from", "2", "--count", "1", "--format", "%s")
        self.assertEqual(done.out, b"7\n")
        self.assertIn(f"gap: topic '{topic}': no events 2 to 6: overrun", done.err)

    def test_wrong_options(self):
        """What cannot be: exit 2."""
        for pattern, *options in [
            ("is none of all, new, last", "--from", "yesterday"),
            ("--from: '0' is not a number from 1 up", "--from", "0"),
            ("--from: '99999999999999999999' is not", "--from", "99999999999999999999"),
            ("--type: 'x' is not a number", "--type", "x"),
            ("a key has 1 to 255 bytes, this one 256", "--key", "k" * 256),
            ("a key has 1 to 255 bytes, this one 0", "--key", ""),
            ("--count: '0' is not a number from 1 up", "--count", "0"),
            ("--timeout: '5' is not a duration", "--timeout", "5"),
            ("'jsn' is neither lines, raw", "--format", "jsn"),
            ("'%q' in the template", "--format", "%q"),
            ("give one of --json and --format", "--json", "--format", "raw"),
            ("excludes", "--format", "raw", "--exec", "cat"),
            ("--json has no meaning", "--exec", "cat", "--json"),
            ("--retries requires --exec", "--retries", "2"),
            ("'t' is given twice", "t"),
        ]:
            self.run_failing(2, pattern, "sub", "t", *options)


class PrintTest(harness.BusTest):
    def test_formats(self):
        """lines, raw, framed, hex, json and a template, of payloads of any bytes."""
        topic = self.topic()
        data = [b"text", b"", b"\0\xff\n", os.urandom(70_000)]
        self.publish(topic, *data, key="k", type=7)

        def out(*options):
            return self.run_ok("sub", topic, "--from", "all", "--count", "4", *options).out

        self.assertEqual(out(), b"".join(d + b"\n" for d in data))
        self.assertEqual(out("--format", "lines"), b"".join(d + b"\n" for d in data))
        self.assertEqual(out("--format", "raw"), b"".join(data))
        self.assertEqual(out("--format", "framed"), frames(*data))
        self.assertEqual(out("--format", "hex"), b"".join(d.hex().encode() + b"\n" for d in data))
        self.assertEqual(out("--format", "json"), out("--json"))
        self.assertEqual(out("--format", r"%s\t%k %y<%p>%%\0"),
                         b"".join(b"%d\tk 7<%s>%%\0" % (i + 1, d) for i, d in enumerate(data)))

    def test_json(self):
        """One object a line with every documented field; base64 for what is no UTF-8."""
        topic = self.topic()
        self.publish(topic, b"\xc3\xa4\n", b"\xff")
        text, binary = self.run_ok("sub", topic, "--from", "all", "--count", "2", "--json").objects
        self.assertEqual(list(text), ["topic", "seq", "time", "key", "type", "correlation", "cause",
                                      "headers", "publisher", "payload"])
        self.assertEqual((text["topic"], text["seq"], text["payload"]), (topic, 1, "\u00e4\n"))
        self.assertEqual((text["key"], text["correlation"], text["cause"]), (None, None, None))
        self.assertEqual((text["headers"], text["type"]), ({}, 0))
        self.assertEqual(text["publisher"], binary["publisher"])
        self.assertEqual(binary["payload_base64"], "/w==")
        self.assertNotIn("payload", binary)

    def test_filters(self):
        """--type, several of them, and --key; what they leave out is no gap."""
        topic = self.topic()
        for number in range(1, 5):
            self.publish(topic, b"x", type=number, key="even" if number % 2 == 0 else "odd")

        def seqs(*options):
            return self.run_failing(3, "", "sub", topic, "--from", "all", "--timeout", "50ms",
                                    "--format", "%s", *options)

        self.assertEqual(seqs("--type", "2").out, b"2\n")
        self.assertEqual(seqs("--type", "4", "--type", "1").out, b"1\n4\n")
        self.assertEqual(seqs("--key", "even").out, b"2\n4\n")
        self.assertEqual(seqs("--key", "even", "--type", "1", "--type", "2").out, b"2\n")
        done = seqs("--key", "nobody")
        self.assertEqual(done.out, b"")
        self.assertNotIn("gap", done.err)

    def test_a_filter_does_not_hold_up_publishers(self):
        """Who waits for one key acknowledges the others: a full ring goes on."""
        topic = self.topic("--capacity", "4")
        sub = self.start_sub(topic, "--from", "all", "--key", "mine", "--count", "1")
        self.run_ok("pub", topic, "--lines", "--timeout", "5s", stdin=b"\n" * 100)
        self.publish(topic, b"it", key="mine")
        self.assertEqual(sub.wait().out, b"it\n")

    def test_everything_is_flushed_before_it_waits(self):
        """An event is out before the next one is waited for."""
        topic = self.topic()
        sub = self.start_sub(topic, "--from", "all")
        for i in range(5):
            self.publish(topic, b"event %d" % i)
            self.wait_for_output(sub, b"event %d\n" % i)
        sub.send(signal.SIGINT)
        self.assertEqual(sub.wait().code, 130)

    def test_several_topics(self):
        """Events of several topics: whole, each topic in its order, told apart by %T."""
        topics = [self.topic(suffix=f"-{i}") for i in range(3)]
        sub = self.start_sub(*topics, "--from", "all", "--format", "%T %s %p", "--count", "3000")
        pubs = [self.start("pub", topic, "--lines", stdin=self.lines_of(topic)) for topic in topics]
        done = sub.wait()
        self.assertEqual([pub.wait().code for pub in pubs] + [done.code], [0] * 4)
        lines = done.out.splitlines()
        for topic in topics:
            mine = [line for line in lines if line.startswith(topic.encode() + b" ")]
            name = topic.encode()
            self.assertEqual(mine, [b"%s %d %s %d" % (name, i, name * 20, i) for i in range(1, 1001)])

    def lines_of(self, topic):
        return self.file("".join(f"{topic * 20} {i}\n" for i in range(1, 1001)).encode())


class EndTest(harness.BusTest):
    def test_count_and_timeout(self):
        """--count ends it well; --timeout is silence, and 3."""
        topic = self.topic()
        self.publish(topic, b"1", b"2", b"3")
        done = self.run_ok("sub", topic, "--from", "all", "--count", "2")
        self.assertEqual(done.out, b"1\n2\n")
        done = self.run_failing(3, "no event for 100ms; 3 of 4 events", "sub", topic, "--from", "all",
                                "--count", "4", "--timeout", "100ms")
        self.assertEqual(done.out, b"1\n2\n3\n")
        self.run_failing(3, "no event for 0s", "sub", topic, "--from", "all", "--timeout", "0")

    def test_silence_is_of_all_topics(self):
        """An event of any topic breaks the silence of all."""
        busy, quiet = self.topic(suffix="-busy"), self.topic(suffix="-quiet")
        sub = self.start_sub(quiet, busy, "--from", "all", "--timeout", "3s")
        self.run_ok("pub", busy, "--lines", "--rate", "5", stdin=b"x\n" * 20)
        done = sub.wait()
        self.assertEqual((done.code, done.out), (3, b"x\n" * 20))

    def test_acknowledges_what_it_printed(self):
        """After an event is out it is acknowledged; with --no-ack never."""
        topic = self.topic()
        self.publish(topic, b"1", b"2")
        subs = [self.start_sub(topic, "--from", "all"),
                self.start_sub(topic, "--from", "all", "--no-ack")]
        for sub in subs:
            self.wait_for_output(sub, b"2\n")

        def cursor(sub):
            return next(p["cursor"] for p in self.info(topic)["subscribers"] if p["pid"] == sub.pid)

        harness.wait_until("the acknowledgement", lambda: cursor(subs[0]) == 2)
        self.assertEqual(cursor(subs[1]), 0)

    def test_lossy(self):
        """--lossy: publishers do not wait for it."""
        topic = self.topic("--capacity", "4")
        self.publish(topic, b"x")
        sub = self.start_sub(topic, "--from", "all", "--no-ack", "--lossy")
        self.wait_for_output(sub, b"x\n")
        self.run_ok("pub", topic, "--lines", "--timeout", "100ms", stdin=b"\n" * 100)

    def test_interrupted(self):
        """Ctrl-C and SIGTERM: 130, with everything printed; of one topic and of several."""
        topic, other = self.topic(), self.topic(suffix="-other")
        self.publish(topic, b"x")
        for number in (signal.SIGINT, signal.SIGTERM):
            for topics in ([topic], [topic, other]):
                sub = self.start_sub(*topics, "--from", "all")
                self.wait_for_output(sub, b"x\n")
                sub.send(number)
                done = sub.wait()
                self.assertEqual((done.code, done.out, done.err), (130, b"x\n", ""))

    def test_interrupted_while_events_stream(self):
        """Ctrl-C in the middle of a stream: what is printed is whole events, from the first on."""
        topic = self.topic()
        numbers = "".join(f"{i}\n" for i in range(1, 300_001)).encode()
        sub = self.start_sub(topic, "--from", "all")
        pub = self.start("pub", topic, "--lines", stdin=self.file(numbers))
        self.wait_for_output(sub, b"\n5000\n")
        sub.send(signal.SIGINT)
        done = sub.wait()
        self.assertEqual(done.code, 130)
        self.assertTrue(done.out.endswith(b"\n") and numbers.startswith(done.out))
        pub.process.kill()

    def test_stdout_closed(self):
        """A reader who leaves ends it as SIGPIPE does, without a word; of one topic and of several."""
        topic, other = self.topic(), self.topic(suffix="-other")
        for topics in ([topic], [topic, other]):
            read, write = os.pipe()
            sub = self.start("sub", *topics, "--from", "all", stdout=write)
            os.close(write)
            self.publish(topic, b"first")
            self.assertIn(b"first\n", os.read(read, 1000))
            os.close(read)
            self.publish(topic, b"second")
            done = sub.wait()
            self.assertEqual((done.code, done.err), (-signal.SIGPIPE, ""))

    def reader_leaves(self, read, write, *arguments):
        """Starts a sub, takes its first event, and leaves; what became of it."""
        sub = self.start("sub", *arguments, "--from", "all", stdout=write)
        os.close(write)
        self.assertEqual(os.read(read, 1000), b"first\n")
        os.close(read)
        return sub.wait()

    def test_reader_leaves_while_it_waits(self):
        """The reader of a pipe or a socket leaves: it ends without waiting for another event."""
        topic, other = self.topic(), self.topic(suffix="-other")
        self.publish(topic, b"first")
        for topics in ([topic], [topic, other]):
            done = self.reader_leaves(*os.pipe(), *topics)
            self.assertEqual((done.code, done.err), (-signal.SIGPIPE, ""))
        pair = [end.detach() for end in socket.socketpair()]
        self.assertEqual(self.reader_leaves(*pair, topic).code, -signal.SIGPIPE)

    def test_reader_leaves_with_the_last_event(self):
        """Who has read as many events as --count said may go: that is a good end."""
        topic = self.topic()
        self.publish(topic, b"first")
        for _ in range(20):
            done = self.reader_leaves(*os.pipe(), topic, "--count", "1")
            self.assertEqual((done.code, done.err), (0, ""))

    def test_reader_of_a_command_leaves(self):
        """With --exec it prints nothing itself, and goes on without a reader."""
        topic = self.topic()
        read, write = os.pipe()
        sub = self.start_sub(topic, "--from", "all", "--count", "1", "--exec", "cat >&2", stdout=write)
        os.close(write)
        os.close(read)
        self.publish(topic, b"first")
        done = sub.wait()
        self.assertEqual((done.code, done.err), (0, "first"))

    def test_unwritable_stdout(self):
        """What cannot be written is a failure and not acknowledged, also at the end of --count."""
        topic = self.topic()
        self.publish(topic, b"x")
        with open("/dev/full", "wb") as full:
            sub = self.start("sub", topic, "--from", "all", "--count", "1", stdout=full)
            done = sub.wait()
        self.assertEqual(done.code, 1)
        self.assertIn("stdout: No space left on device", done.err)

    def test_parked(self):
        """While nothing comes it sleeps: no thread of it runs, not even for a moment."""
        topic, other = self.topic(), self.topic(suffix="-other")
        self.publish(topic, b"x")
        read, write = os.pipe()
        self.addCleanup(os.close, write)
        self.addCleanup(os.close, read)
        for topics, stdout in (([topic], None), ([topic, other], None), ([topic], write)):
            sub = self.start_sub(*topics, "--from", "all", stdout=stdout)
            if stdout is None:
                self.wait_for_output(sub, b"x\n")
            else:
                self.assertEqual(os.read(read, 1000), b"x\n")
            self.wait_until_asleep(sub.pid)
            before = self.switches(sub.pid)
            time.sleep(1)  # the time in which nothing must happen
            self.assertEqual(self.switches(sub.pid), before)

    def switches(self, pid):
        """How often each thread gave up or lost its processor."""
        return {task.name: [line for line in (task / "status").read_text().splitlines()
                            if "ctxt_switches" in line]
                for task in Path(f"/proc/{pid}/task").iterdir()}

    def wait_until_asleep(self, pid):
        seen = [None]

        def quiet():
            before, seen[0] = seen[0], self.switches(pid)
            time.sleep(0.2)
            return before == seen[0]

        harness.wait_until("it to fall asleep", quiet)

    def test_daemon_stopped(self):
        """The daemon ends in good order: the rest is printed, and it goes on with the next one."""
        directory = self.directory / "second"
        directory.mkdir()
        daemon = harness.Daemon(directory)
        self.addCleanup(daemon.kill)
        env = harness.environment(SHMBUS_SOCKET=str(daemon.socket))
        self.run_ok("topic", "create", "t", env=env)
        self.run_ok("pub", "t", "x", env=env)
        sub = self.start("sub", "t", "--from", "all", env=env)
        self.wait_for_output(sub, b"x\n")
        self.run_ok("pub", "t", "y", env=env)
        self.assertEqual(daemon.stop(), 0)
        self.wait_for_output(sub, b"x\ny\n")
        daemon = harness.Daemon(directory)
        self.addCleanup(daemon.kill)
        harness.wait_until("it to be back", lambda: self.run_tool("topic", "info", "t",
                                                               env=env).code == 0)
        self.run_ok("pub", "t", "z", env=env)
        self.wait_for_output(sub, b"x\ny\nz\n")


if __name__ == "__main__":
    harness.main()
