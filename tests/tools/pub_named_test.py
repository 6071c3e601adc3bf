#!/usr/bin/env python3
"""shmbus pub --as NAME: a publisher that publishes nothing twice."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import harness  # noqa: E402


class NamedTest(harness.BusTest):
    def events(self, topic, count):
        """The first `count` events of a topic, as JSON."""
        return self.run_ok("sub", topic, "--from", "all", "--count", str(count), "--json").objects

    def ids(self, topic, count):
        return [event["id"] for event in self.events(topic, count)]

    def tally(self, topic, first, last, count):
        return {"topic": topic, "first": first, "last": last, "count": count}

    def test_the_largest_id(self):
        """Behind it there is none, and no event is left out in silence."""
        topic = self.topic(memory=False)
        largest = ("--as", "clerk", "--id", str(2**64 - 1))
        message = "publisher 'clerk' of topic '" + topic + "' has used the largest id there is"
        self.run_failing(6, message, "pub", topic, *largest, "--lines", stdin=b"a\nb\n")
        self.assertEqual([event["payload"] for event in self.events(topic, 1)], ["a"])
        self.run_failing(6, message, "pub", topic, "c", "--as", "clerk")
        self.assertEqual(self.run_ok("pub", topic, "a", *largest, "--json").json["duplicates"], 1)

    def test_lines_again(self):
        """Whoever begins his file anew adds what is new of it; no event has no id."""
        topic = self.topic(memory=False)
        lines = [b"a\n", b"b\n", b"c\n", b"d\n"]
        pub = ("pub", topic, "--as", "clerk", "--lines", "--json")
        done = self.run_ok(*pub, "--id", "1", stdin=b"".join(lines[:2]))
        self.assertEqual(done.json, {**self.tally(topic, 1, 2, 2), "duplicates": 0})
        done = self.run_ok(*pub, "--id", "1", stdin=b"".join(lines))
        self.assertEqual(done.json, {**self.tally(topic, 3, 4, 2), "duplicates": 2})
        done = self.run_ok(*pub, "--id", "1", stdin=b"".join(lines))
        self.assertEqual(done.json, {**self.tally(topic, None, None, 0), "duplicates": 4})
        self.assertEqual(done.err, "")
        events = self.events(topic, 4)
        self.assertEqual([event["id"] for event in events], [1, 2, 3, 4])
        self.assertEqual([event["payload"] for event in events], ["a", "b", "c", "d"])
        self.assertEqual(len({event["publisher"] for event in events}), 1)
        self.assertEqual(self.info(topic)["head"], 4)

    def test_without_ids(self):
        """Without --id they follow the last one."""
        topic = self.topic(memory=False)
        self.run_ok("pub", topic, "x", "--as", "clerk", "--id", "100")
        self.run_ok("pub", topic, "--as", "clerk", "--lines", stdin=b"a\nb\n")
        self.assertEqual(self.ids(topic, 3), [100, 101, 102])

    def test_says_so(self):
        """People are told of what was not published; it is no failure."""
        topic = self.topic(memory=False)
        pub = ("pub", topic, "--as", "clerk", "--id", "5")
        self.assertEqual(self.run_ok(*pub, "x").err, "")
        done = self.run_ok(*pub, "x")
        self.assertEqual((done.out, done.err),
                         (b"", "shmbus: 1 event was published before, and not again\n"))
        done = self.run_ok(*pub, "--lines", stdin=b"a\nb\nc\n")
        self.assertIn("1 event was published before", done.err)
        done = self.run_ok(*pub, "--lines", stdin=b"a\nb\nc\n")
        self.assertEqual(done.err, "shmbus: 3 events were published before, and not again\n")

    def test_largest_id(self):
        """Nothing comes behind the largest id there is."""
        topic = self.topic(memory=False)
        largest = str(2**64 - 1)
        self.run_ok("pub", topic, "x", "--as", "clerk", "--id", largest)
        self.assertEqual(self.ids(topic, 1), [2**64 - 1])
        done = self.run_ok("pub", topic, "x", "--as", "clerk", "--id", largest, "--json")
        self.assertEqual((done.json["count"], done.json["duplicates"]), (0, 1))

    def test_wrong_options(self):
        """--id is a named publisher's, from 1; the name is one: exit 2."""
        topic = self.topic(memory=False)
        for pattern, *options in [
            ("--id requires --as", "--id", "5"),
            ("--id: '0' is not a number from 1 up", "--as", "me", "--id", "0"),
            ("--id: 'x' is not a number", "--as", "me", "--id", "x"),
            ("--id: '18446744073709551616' is not a number", "--as", "me", "--id", str(2**64)),
            ("--as: '-x' is not a name for a publisher", "--as", "-x"),
        ]:
            self.run_failing(2, pattern, "pub", topic, "x", *options)
        self.assertEqual(self.info(topic)["head"], 0)

    def test_of_a_topic_in_memory(self):
        """It forgets what was published: refused, with the remedy."""
        topic = self.topic()
        self.run_failing(1, "--retention disk", "pub", topic, "x", "--as", "clerk")

    def test_held_by_another(self):
        """One at a time: exit 6, naming the holder."""
        topic = self.topic(memory=False)
        read, write = os.pipe()
        pub = self.start("pub", topic, "--as", "clerk", "--lines", stdin=read)
        os.close(read)
        os.write(write, b"a\n")
        harness.wait_until("the event", lambda: self.info(topic)["head"] == 1)
        self.run_failing(6, f"clerk.*pid {pub.pid}", "pub", topic, "x", "--as", "clerk")
        self.run_ok("pub", topic, "x", "--as", "another")
        os.close(write)
        self.assertEqual(pub.wait().code, 0)
        self.run_ok("pub", topic, "x", "--as", "clerk")


if __name__ == "__main__":
    harness.main()
