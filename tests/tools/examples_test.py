#!/usr/bin/env python3
"""The examples do what their first lines say; exactly_once_test.py has those that promise more."""

import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import harness  # noqa: E402

EXAMPLES = harness.BUILD / "examples"


class ExamplesTest(harness.BusTest):
    def run_example(self, name, *arguments, **more):
        return subprocess.run([EXAMPLES / name, *arguments], capture_output=True, text=True,
                              check=False, timeout=harness.PATIENCE, env=self.env, **more)

    def test_publish_and_subscribe(self):
        """publish makes the topic and says each sequence; subscribe prints what it published."""
        done = self.run_example("publish", "greetings", input="hello\n\nworld\n")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout, "published as 1\npublished as 2\npublished as 3\n")
        with subprocess.Popen([EXAMPLES / "subscribe", "greetings"], env=self.env, text=True,
                              stdout=subprocess.PIPE) as subscribe:
            lines = [subscribe.stdout.readline() for _ in range(3)]
            subscribe.kill()
        self.assertEqual(lines, ["1 stdin: hello\n", "2 stdin: \n", "3 stdin: world\n"])

    def test_trouble(self):
        """Without a topic exit 2; a bad name or a closed topic exit 1, with the reason."""
        for name in ("publish", "subscribe"):
            self.assertEqual(self.run_example(name).returncode, 2)
            done = self.run_example(name, "..", input="")
            self.assertEqual(done.returncode, 1)
            self.assertNotEqual(done.stderr, "")
        topic = self.topic(memory=False)
        self.run_ok("topic", "drain", topic)
        done = self.run_example("publish", topic, input="x\n")
        self.assertEqual((done.returncode, done.stderr), (1, "not published: closed\n"))

    def test_typed(self):
        """typed reads back the message that it published; a topic it may not name is refused."""
        done = self.run_example("typed", "orders", "espresso")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout, "table 7 orders espresso\n")
        self.assertEqual(self.run_example("typed", "..", "espresso").returncode, 1)
        self.assertEqual(self.run_example("typed").returncode, 2)

    def start_example(self, name, *arguments, **more):
        process = subprocess.Popen([EXAMPLES / name, *arguments], env=self.env, text=True,
                                   stdout=subprocess.PIPE, **more)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def ends_with(self, process, code):
        self.assertEqual(process.wait(harness.PATIENCE), code)

    def test_orders(self):
        """Services that do not know each other take two orders from the cart to the customer."""
        topic = self.topic(memory=False)
        services = [self.start_example(name, topic) for name in ("payment", "inventory", "shipping")]
        mail = self.start_example("mail", topic)
        harness.wait_until("the services", lambda: self.watchers(topic) == 4)
        done = self.run_example("cart", topic, input="ada a loom\nbob a lamp\n")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        news = [mail.stdout.readline() for _ in range(8)]
        for customer, goods in (("ada", "a loom"), ("bob", "a lamp")):
            mine = [line for line in news if f"to {customer}:" in line]
            self.assertEqual(len(mine), 4, news)
            self.assertEqual(mine[0], f"to {customer}: thank you for ordering {goods}\n")
            self.assertEqual(mine[3], f"to {customer}: on its way to you: {goods}\n")

        events = {event["seq"]: event for event in
                  self.run_ok("sub", topic, "--from", "all", "--count", "8", "--json").objects}
        for event in events.values():
            if event["type"] == 1:
                continue
            cause = events[event["cause"]["seq"]]
            self.assertEqual(event["correlation"], cause["correlation"])
            self.assertEqual(event["key"], cause["key"])
            self.assertLess(cause["type"], event["type"])

        late = self.start_example("mail", topic)
        self.assertEqual(late.stdout.readline(), "syncing… 8 events\n")
        self.assertEqual([late.stdout.readline() for _ in range(8)], news)
        self.run_ok("topic", "rm", topic, "--force")
        for process in (*services, mail, late):
            self.ends_with(process, 0)

    def test_filters(self):
        """One key, or some types; the rest is left out."""
        topic = self.topic(memory=False)
        for key, kind in (("a", 1), ("b", 1), ("a", 2), ("a", 3)):
            self.run_ok("pub", topic, "--key", key, "--type", str(kind), f"{key}{kind}")
        one = self.start_example("filters", topic, "a")
        both = self.start_example("filters", topic, "a", "2", "3")
        types = self.start_example("filters", topic, "", "1")
        self.assertEqual([one.stdout.readline() for _ in range(3)],
                         ["1 a 1 a1\n", "3 a 2 a2\n", "4 a 3 a3\n"])
        self.assertEqual([both.stdout.readline() for _ in range(2)], ["3 a 2 a2\n", "4 a 3 a3\n"])
        self.assertEqual([types.stdout.readline() for _ in range(2)], ["1 a 1 a1\n", "2 b 1 b1\n"])
        self.run_ok("topic", "rm", topic, "--force")
        for process in (one, both, types):
            self.ends_with(process, 0)

    def test_frames(self):
        """Two screens see every frame, whole and in place."""
        topic = "frames"
        screens = [self.start_example("frames", "screen", topic, "20") for _ in range(2)]
        harness.wait_until("both screens", lambda: self.watchers(topic) == 2)
        camera = self.run_example("frames", "camera", topic, "20")
        self.assertEqual((camera.returncode, camera.stderr), (0, ""))
        expected = [f"frame {n + 1}: 8294400 pixels of {n}, in place\n" for n in range(20)]
        for screen in screens:
            self.assertEqual(screen.stdout.readlines(), expected)
            self.ends_with(screen, 0)

    def watchers(self, topic):
        done = self.run_tool("topic", "info", topic, "--json")
        return len(done.json["subscribers"]) if done.code == 0 else 0

    def test_epoll_loop(self):
        """Two topics and its own input, all in one loop."""
        one, two = self.topic(suffix="-1", memory=False), self.topic(suffix="-2", memory=False)
        loop = self.start_example("epoll_loop", one, two, stdin=subprocess.PIPE)
        for i in range(3):
            for topic in (one, two):
                self.run_ok("pub", topic, f"event {i}")
                self.assertEqual(loop.stdout.readline(), f"{topic}: event {i}\n")
        loop.stdin.close()
        self.ends_with(loop, 0)

    def test_resume_after_crash(self):
        """It crashes at an event, does it again, and nothing before it."""
        topic = self.topic("--retention", "disk", suffix="-disk", memory=False)
        self.run_ok("pub", topic, "--lines", stdin=b"one\ntwo\ncrash\nfour\n")
        for expected in ("1 one\n2 two\n3 crash\n", "3 crash\n"):
            done = self.run_example("resume_after_crash", topic)
            self.assertEqual((done.returncode, done.stdout), (-signal.SIGABRT, expected))
        self.env = {**self.env, "SKIP_CRASH": "1"}
        last = self.start_example("resume_after_crash", topic)
        self.assertEqual(last.stdout.readline(), "4 four\n")


if __name__ == "__main__":
    harness.main()
