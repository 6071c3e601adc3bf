#!/usr/bin/env python3
"""Dead letters on the command line: dlq ls, show, replay and discard."""

import os
import re
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import harness  # noqa: E402


class DlqTest(harness.BusTest):
    def originals(self, count=3, *options, memory=True):
        """A topic with so many events."""
        topic = self.topic(*options, memory=memory)
        self.run_ok("pub", topic, "--lines", stdin=b"".join(b"event %d\n" % n for n in range(1, count + 1)))
        return topic

    def set_aside(self, topic, sequence, payload="payload", more=(), headers=(), **changes):
        """What a member of a group writes; the letter's number."""
        dlq = f"{topic}.dlq"
        self.run_ok("topic", "create", dlq, "--if-missing", "--retention",
                    self.info(topic)["retention"])
        own = {"reason": "cannot be paid", "attempts": 5, "subscription": "billing",
               "time": 1_700_000_000_000_000_001, "publisher": 3, **changes}
        texts = [f"shmbus-{name}={value}" for name, value in own.items() if value is not None]
        options = [part for text in (*texts, *headers) for part in ("--header", text)]
        done = self.run_ok("pub", dlq, payload, "--cause", f"{topic}:{sequence}", *options, *more, "--json")
        return done.json["last"]

    def ls(self, topic, *options):
        return self.run_ok("dlq", "ls", topic, *options, "--json").json

    def open(self, topic):
        return [one["letter"] for one in self.ls(topic)]

    def events(self, topic, first):
        count = self.info(topic)["head"] - first + 1
        return self.run_ok("sub", topic, "--from", str(first), "--count", str(count), "--json").objects

    def test_lists_what_is_open(self):
        """Letter, original, group, attempts and reason of each; in JSON all but payload and headers."""
        topic = self.originals()
        self.assertEqual(self.ls(topic), [])
        self.assertIn("has no dead letters", self.run_tool("dlq", "ls", topic).err)
        self.set_aside(topic, 2, more=("--key", "k", "--type", "7"))
        self.set_aside(topic, 3, reason="\x1b[2J" + "x" * 100)
        text = self.run_ok("dlq", "ls", topic).out.decode()
        self.assertRegex(text, r"LETTER +SEQ +SET ASIDE +GROUP +ATTEMPTS +KEY +STATE +REASON *\n"
                               r" +1 +2 +20\S+Z +billing +5 +k +open +cannot be paid\n")
        self.assertIn(r"\x1b[2Jxxx", text)
        self.assertLess(max(map(len, text.splitlines())), 160)
        first = self.ls(topic)[0]
        self.assertRegex(first.pop("set_aside"), "^20")
        self.assertEqual(first, {
            "topic": topic, "seq": 2, "time": "2023-11-14T22:13:20.000000001Z", "key": "k", "type": 7,
            "correlation": None, "cause": None, "publisher": 3, "letter": 1, "state": "open",
            "replayed_as": None, "reason": "cannot be paid", "attempts": 5, "subscription": "billing",
            "bytes": 7, "headers_dropped": 0})

    def test_shows_one(self):
        """All of it, as it was when it was published, in both forms."""
        topic = self.originals()
        number = self.set_aside(topic, 3, "line\nanother", more=(
            "--key", "k", "--correlation", "0af7651916cd43dd8448eb211c80319c"), headers=("a=1", "b=\x07", "a=2"))
        text = self.run_ok("dlq", "show", topic, str(number)).out.decode()
        for pattern in (r"^letter +1$", "^state +open$", "^reason +cannot be paid$", "^attempts +5$", "^group +billing$",
                        f"^original +{topic}:3$", "^published +2023-11-14T.* by publisher 3$", "^key +k$",
                        "^correlation +0af76519", "^cause +-$", "^header +a=1$", r"^header +b=\\x07$",
                        "^payload +12 bytes$", r"^line\\x0aanother$"):
            self.assertRegex(text, re.compile(pattern, re.MULTILINE))
        shown = self.run_ok("dlq", "show", topic, str(number), "--json").json
        self.assertEqual(shown["headers"], {"a": ["1", "2"], "b": "\x07"})
        self.assertEqual((shown["payload"], shown["seq"], shown["letter"]), ("line\nanother", 3, number))
        self.assertEqual(shown["time"], "2023-11-14T22:13:20.000000001Z")

    def test_replays(self):
        """The original comes again, with its attributes, and says which it was; then its letter is settled."""
        topic = self.originals()
        plain = self.set_aside(topic, 1, "one")
        self.set_aside(topic, 2, "two", cause="clicks:77", attempts=None, subscription=None, time=None, publisher=None,
                       headers=("shmbus-attempts=2", "shmbus-subscription=billing", "shmbus-time=5",
                                "shmbus-publisher=3", "a=1", "shmbus-reason=mine"),
                       more=("--key", "k", "--type", "7", "--correlation", "0af7651916cd43dd8448eb211c80319c"))
        done = self.run_ok("dlq", "replay", topic, "2", "--json").json
        self.assertEqual(done, {"topic": topic, "count": 1,
                                "letters": [{"letter": 2, "seq": 2, "replayed_as": 4}]})
        (event,) = self.events(topic, 4)
        self.assertEqual(
            {name: event[name] for name in ("payload", "key", "type", "correlation", "cause", "headers")},
            {"payload": "two", "key": "k", "type": 7, "correlation": "0af7651916cd43dd8448eb211c80319c",
             "cause": {"topic": "clicks", "seq": 77},
             "headers": {"a": "1", "shmbus-reason": "mine", "shmbus-replay-of": f"{topic}:2"}})
        self.assertEqual(self.open(topic), [plain])
        both = self.ls(topic, "--all")
        self.assertEqual([(one["state"], one["replayed_as"]) for one in both], [("open", None), ("replayed", 4)])
        self.assertRegex(self.run_ok("dlq", "show", topic, "2").out.decode(), "state +replayed as event 4\n")
        self.run_failing(6, "letter 2 .* was replayed as event 4 before", "dlq", "replay", topic, "1", "2")
        self.assertEqual(self.info(topic)["head"], 4, "nothing was done")
        self.assertIn("1 letter replayed", self.run_ok("dlq", "replay", topic, "--all").err)
        self.assertIn("0 letters replayed", self.run_ok("dlq", "replay", topic, "--all").err)
        self.assertEqual(self.events(topic, 5)[0]["headers"], {"shmbus-replay-of": f"{topic}:1"})
        self.assertEqual(self.open(topic), [])
        self.assertIn("has no dead letters but 2 that are settled", self.run_ok("dlq", "ls", topic).err)

    def test_a_replay_of_a_replay(self):
        """What was replayed and dies again keeps the identity of the first one."""
        topic = self.originals()
        self.set_aside(topic, 9, headers=(f"shmbus-replay-of={topic}:2",))
        self.set_aside(topic, 9, headers=("shmbus-replay-of=another:2",))
        self.run_ok("dlq", "replay", topic, "--all")
        first, second = (event["headers"]["shmbus-replay-of"] for event in self.events(topic, 4))
        self.assertEqual((first, second), (f"{topic}:2", ["another:2", f"{topic}:9"]))

    def test_discards(self):
        """Settled, and nothing is published."""
        topic = self.originals()
        for sequence in (1, 2, 3):
            self.set_aside(topic, sequence)
        done = self.run_ok("dlq", "discard", topic, "3", "1", "3", "--json").json
        self.assertEqual(done, {"topic": topic, "count": 2, "letters": [{"letter": 1, "seq": 1}, {"letter": 3, "seq": 3}]})
        self.assertEqual(self.open(topic), [2])
        self.run_failing(6, "letter 3 .* was discarded before", "dlq", "replay", topic, "3")
        self.assertEqual(self.info(topic)["head"], 3)
        self.assertEqual(self.ls(topic, "--all")[2]["state"], "discarded")

    def test_on_disk(self):
        """A restart of the daemon changes nothing; payloads are what they were, large ones too."""
        topic = self.originals(memory=False)
        large = os.urandom(150_000)
        self.set_aside(topic, 1, "x")
        self.run_ok("pub", f"{topic}.dlq", "--cause", f"{topic}:2", *[
            part for text in ("reason=", "attempts=1", "subscription=s", "time=1", "publisher=1")
            for part in ("--header", f"shmbus-{text}")], stdin=large)
        self.run_ok("dlq", "discard", topic, "1")
        self.assertEqual(self.daemon.stop(), 0)
        type(self).daemon = harness.Daemon(self.directory)
        self.assertEqual(self.open(topic), [2])
        self.run_ok("dlq", "replay", topic, "--all")
        self.assertEqual(self.run_ok("sub", topic, "--from", "4", "--count", "1", "--format", "raw").out, large)
        self.assertEqual(self.open(topic), [])

    def test_what_is_no_letter(self):
        """Whoever may publish there may publish anything: it is counted, and nothing else."""
        topic = self.originals()
        self.set_aside(topic, 1)
        for changes in ({"attempts": "x"}, {"publisher": None}, {"subscription": "a b"}, {"time": -1}):
            self.set_aside(topic, 1, **changes)
        self.run_ok("pub", f"{topic}.dlq", "no letter")
        self.run_ok("pub", f"{topic}.dlq", "", "--cause", f"{topic}:1", "--header", "shmbus-settled=discarded")
        self.run_ok("pub", f"{topic}.dlq", "", "--cause", f"{topic}.dlq:999", "--header", "shmbus-settled=discarded")
        self.assertIn("5 events are no letters of topic", self.run_ok("dlq", "ls", topic).err)
        self.assertEqual(self.open(topic), [1], "no mark but its own settles a letter")
        self.run_failing(5, "has no letter 2; .*dlq ls", "dlq", "show", topic, "2")
        self.run_failing(5, "has no letter 6", "dlq", "replay", topic, "6")
        self.run_ok("pub", f"{topic}.dlq", "", "--cause", f"{topic}.dlq:1", "--header", "shmbus-settled=discarded")
        self.assertEqual(self.open(topic), [])

    def test_from_a_group_and_back(self):
        """What a group cannot process is a letter; replayed, it comes to the group again, which can by now."""
        topic = self.originals(2)
        failing = self.start("sub", topic, "--group", "workers", "--from", "all", "--retries", "0", "--exec",
                             'test "$(cat)" != "event 1"')
        harness.wait_until("the letter", lambda: self.run_tool("topic", "info", f"{topic}.dlq").code == 0)
        harness.wait_until("the letter", lambda: self.open(topic) == [1])
        failing.send(signal.SIGINT)
        failing.wait()
        (letter,) = self.ls(topic)
        self.assertEqual((letter["seq"], letter["attempts"], letter["subscription"]), (1, 5, "workers"))
        self.run_ok("dlq", "replay", topic, "--all")
        working = self.start("sub", topic, "--group", "workers", "--json")
        self.wait_for_output(working, b'"seq":3')
        event = next(one for one in harness.Done(0, working.out, "").objects if one["seq"] == 3)
        self.assertEqual((event["payload"], event["headers"]),
                         ("event 1", {"shmbus-replay-of": f"{topic}:1"}))
        self.assertEqual(self.open(topic), [])

    def test_two_at_once(self):
        """Who settles has its turn to itself; the other one is told, and nothing comes twice."""
        topic = self.originals(7, "--capacity", "8", "--full", "block")
        for sequence in (1, 2, 3):
            self.set_aside(topic, sequence, f"again {sequence}")
        slow = self.start("sub", topic, "--from", "all", "--no-ack")
        self.wait_for_output(slow, b"event 7\n")
        first = self.start("dlq", "replay", topic, "--all")
        self.wait_for_note(first, "waiting for room")
        self.run_failing(6, f"being settled by somebody else: .*pid {first.pid}", "dlq", "replay", topic, "--all")
        self.run_failing(6, "being settled by somebody else", "dlq", "discard", topic, "3")
        self.assertEqual(len(self.open(topic)), 2, "one had room; who only looks is not kept out")
        slow.send(signal.SIGINT)
        self.assertEqual(first.wait().code, 0)
        payloads = [event["payload"] for event in self.events(topic, 8)]
        self.assertEqual(payloads, ["again 1", "again 2", "again 3"])
        self.assertEqual(self.run_ok("subscription", "ls", f"{topic}.dlq", "--json").json, [])

    def test_killed_in_between(self):
        """After kill -9 of one that replays the next one has its turn, and what was settled is not done again."""
        topic = self.originals(7, "--capacity", "8", "--full", "block")
        for sequence in (1, 2, 3):
            self.set_aside(topic, sequence, f"again {sequence}")
        slow = self.start("sub", topic, "--from", "all", "--no-ack")
        self.wait_for_output(slow, b"event 7\n")
        first = self.start("dlq", "replay", topic, "--all")
        self.wait_for_note(first, "waiting for room")
        first.send(signal.SIGKILL)
        first.wait()
        slow.send(signal.SIGINT)
        slow.wait()
        harness.wait_until("the turn", lambda: self.run_tool("dlq", "replay", topic, "--all").code == 0)
        payloads = [event["payload"] for event in self.events(topic, 8)]
        self.assertEqual(payloads, ["again 1", "again 2", "again 3"])

    def test_what_is_in_the_way(self):
        """No room, a signal, a topic that is gone: what is done is said, and the rest stays open."""
        topic = self.originals(7, "--capacity", "8", "--full", "block")
        for sequence in (1, 2):
            self.set_aside(topic, sequence)
        slow = self.start("sub", topic, "--from", "all", "--no-ack")
        self.wait_for_output(slow, b"event 7\n")
        done = self.run_failing(3, "takes no event of 7 bytes: timed_out", "dlq", "replay", topic, "--all",
                                "--timeout", "50ms", "--json")
        self.assertEqual([one["letter"] for one in done.json["letters"]], [1])
        waiting = self.start("dlq", "replay", topic, "--all")
        self.wait_for_note(waiting, "waiting for room")
        waiting.send(signal.SIGTERM)
        self.assertEqual(waiting.wait().code, 130)
        self.assertEqual(self.open(topic), [2])
        slow.send(signal.SIGINT)
        slow.wait()
        self.run_ok("topic", "rm", topic)
        self.run_failing(5, "no topic", "dlq", "replay", topic, "2")
        self.run_ok("dlq", "discard", topic, "2")
        self.assertEqual(self.open(topic), [])

    def test_usage(self):
        """What cannot be: exit 2, or 5 where there is no such topic."""
        self.run_failing(2, "There are ls, show, replay, discard", "dlq")
        self.run_failing(2, "TOPIC is required", "dlq", "ls")
        self.run_failing(2, "SEQ is required", "dlq", "show", "t")
        self.run_failing(2, "which letters", "dlq", "replay", "t")
        self.run_failing(2, "excludes", "dlq", "discard", "t", "1", "--all")
        self.run_failing(2, "", "dlq", "show", "t", "0")
        self.run_failing(2, "", "dlq", "replay", "t", "x")
        self.run_failing(2, "too long", "dlq", "ls", "t" * 125)
        for verb in (["ls"], ["show", 1], ["replay", "--all"], ["discard", 1]):
            self.run_failing(5, "no topic 'none'", "dlq", verb[0], "none", *map(str, verb[1:]))
        topic = self.originals()
        self.run_failing(5, "no letter 1", "dlq", "discard", topic, "1")
        self.run_ok("dlq", "replay", topic, "--all")
        self.set_aside(topic, 1)
        self.assertRegex(self.run_ok("dlq", "ls", f"{topic}.dlq").err, f"those of topic .*: shmbus dlq ls {topic}\n")
        self.assertIn("Examples:", self.run_ok("dlq", "--help").out.decode())


if __name__ == "__main__":
    harness.main()
