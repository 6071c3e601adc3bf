#!/usr/bin/env python3
"""Topics on disk: they outlive the daemon, and what was waited for outlives its sudden death."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import harness  # noqa: E402


class DiskTest(harness.BusTest):
    def disk_topic(self, *options):
        name = self.id().split(".")[-1].replace("_", "-")
        self.run_ok("topic", "create", name, "--retention", "disk", *options)
        return name

    def publish(self, topic, first, last):
        """The numbers from first to last, durably."""
        lines = b"".join(b"%d\n" % n for n in range(first, last + 1))
        done = self.run_ok("pub", topic, "--lines", "--wait-durable", "--json", stdin=lines)
        self.assertEqual(done.json["count"], last - first + 1)

    def numbers(self, topic, first, last, *options):
        """Reads as many from the beginning on, and checks them."""
        done = self.run_ok("sub", topic, "--from", "all", "--count", str(last - first + 1), *options)
        self.assertEqual([int(line) for line in done.out.split()], list(range(first, last + 1)))

    def restart(self, end):
        end()
        type(self).daemon = harness.Daemon(self.directory)

    def test_after_an_orderly_stop(self):
        """Nothing is missing, and numbering goes on."""
        topic = self.disk_topic("--capacity", "64")
        self.publish(topic, 1, 1000)
        self.restart(self.daemon.stop)
        self.numbers(topic, 1, 1000)
        self.publish(topic, 1001, 1010)
        self.numbers(topic, 1, 1010)
        info = self.info(topic)
        self.assertEqual((info["first"], info["head"], info["durable"]), (1, 1010, 1010))

    def test_after_a_kill(self):
        """What was durable is there; the sequences that may have been used are one gap."""
        topic = self.disk_topic("--capacity", "64")
        self.publish(topic, 1, 1000)
        self.restart(self.daemon.kill)
        head = self.info(topic)["head"]
        done = self.run_ok("sub", topic, "--from", "1000", "--count", "1", "--json")
        self.assertEqual(done.json["seq"], 1000)
        done = self.run_failing(3, "", "sub", topic, "--from", "1001", "--count", "1", "--timeout",
                                "200ms", "--json")
        self.assertEqual(done.json, {"topic": topic,
                                     "gap": {"first": 1001, "last": head, "reason": "lost"}})
        self.publish(topic, head + 1, head + 1)

    def test_wait_durable_where_nothing_is(self):
        """Exit 6, and the events were published."""
        for options in (("--retention", "memory"), ("--retention", "disk", "--sync", "none")):
            name = "no-" + options[-1]
            self.run_ok("topic", "create", name, *options)
            done = self.run_failing(6, "not made to survive a power loss.*were published", "pub",
                                    name, "x", "--wait-durable", "--json")
            self.assertEqual(done.json["last"], 1)

    def test_keeps_what_it_is_told_to(self):
        """--keep-bytes bounds its files; who asks for more is told of a gap."""
        topic = self.disk_topic("--keep-bytes", "1M")
        self.publish(topic, 1, 50_000)
        first = self.info(topic)["first"]
        self.assertGreater(first, 1000)
        files = list((self.directory / "state/topics" / topic).glob("*.seg"))
        self.assertLess(sum(file.stat().st_size for file in files), 2 << 20)
        self.numbers(topic, first, 50_000)
        done = self.run_ok("sub", topic, "--from", "7", "--count", "1", "--json")
        self.assertEqual(done.objects[0]["gap"], {"first": 7, "last": first - 1, "reason": "expired"})

    def test_removed(self):
        """Its files go, and its name is free."""
        topic = self.disk_topic()
        self.publish(topic, 1, 10)
        self.run_ok("topic", "rm", topic)
        harness.wait_until("the files to go", lambda: not list(
            (self.directory / "state/removed").iterdir()))
        self.run_ok("topic", "create", topic, "--retention", "disk")
        self.publish(topic, 1, 1)

    def test_state_directory_in_use(self):
        """A second daemon is refused, whatever its socket."""
        done = harness.run_daemon("--socket", str(self.directory / "other.sock"), "--state-dir",
                                  str(self.directory / "state"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("another daemon uses the state directory", done.stderr)

    def test_no_state_directory(self):
        """Without --state-dir a topic on disk is refused, with the remedy."""
        directory = self.directory / "stateless"
        directory.mkdir()
        daemon = harness.Daemon(directory, state=False)
        self.addCleanup(daemon.kill)
        self.run_failing(1, "--state-dir", "--socket", str(daemon.socket), "topic", "create", "t",
                         "--retention", "disk")


if __name__ == "__main__":
    harness.main()
