#!/usr/bin/env python3
"""The examples of README.md: one publishes what the other prints."""

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
        topic = self.topic()
        self.run_ok("topic", "drain", topic)
        done = self.run_example("publish", topic, input="x\n")
        self.assertEqual((done.returncode, done.stderr), (1, "not published: closed\n"))


if __name__ == "__main__":
    harness.main()
