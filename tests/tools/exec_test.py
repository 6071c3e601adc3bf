#!/usr/bin/env python3
"""shmbus sub --exec: a command for each event."""

import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import harness  # noqa: E402


class ExecTest(harness.BusTest):
    def test_exec(self):
        """--exec: the payload on stdin, the event in the environment, one after the other."""
        topic = self.topic()
        self.run_ok("pub", topic, "hello", "--key", "k", "--type", "3", "--correlation", "1" * 32,
                    "--cause", "other:5", "--header", "x-y=z")
        self.publish(topic, b"\0" * 100_000)
        command = ('echo "$(wc -c) $SHMBUS_TOPIC $SHMBUS_SEQ $SHMBUS_KEY $SHMBUS_TYPE '
                   '$SHMBUS_CORRELATION $SHMBUS_CAUSE $SHMBUS_HEADER_X_Y $SHMBUS_SOCKET"')
        env = {**self.env, "SHMBUS_KEY": "not mine"}
        done = self.run_ok("sub", topic, "--from", "all", "--count", "2", "--exec", command, env=env)
        socket = self.daemon.socket
        self.assertEqual(done.out.decode().splitlines(), [
            f"5 {topic} 1 k 3 {'1' * 32} other:5 z {socket}",
            f"100000 {topic} 2  0    {socket}"])

    def test_names_of_headers(self):
        """Capitals, _ for what a variable's name cannot hold; the last of equal names."""
        topic = self.topic()
        self.run_ok("pub", topic, "x", "--header", "a.b=1", "--header", "A-B=2", "--header", "\u00e4=3")
        done = self.run_ok("sub", topic, "--from", "all", "--count", "1", "--exec",
                           "echo $SHMBUS_HEADER_A_B $SHMBUS_HEADER___; env | grep -c HEADER_")
        self.assertEqual(done.out, b"2 3\n2\n")

    def test_exec_need_not_read(self):
        """A command that does not read its stdin is as good."""
        topic = self.topic()
        self.publish(topic, b"x" * 500_000)
        self.run_ok("sub", topic, "--from", "all", "--count", "1", "--exec", "true")

    def test_exec_acknowledges_success(self):
        """Acknowledged when it exits 0; after the last retry exit 1, unacknowledged."""
        topic = self.topic()
        self.publish(topic, b"good", b"bad")
        start = time.monotonic()
        done = self.run_failing(
            1, f"event 2 of topic '{topic}': the command exited with 7; not acknowledged", "sub",
            topic, "--from", "all", "--exec", "read -r line; echo $line; [ $line = good ] || exit 7",
            "--retries", "2")
        self.assertEqual(done.out, b"good\nbad\nbad\nbad\n")
        self.assertIn("again in 100ms", done.err)
        self.assertIn("again in 200ms", done.err)
        self.assertGreaterEqual(time.monotonic() - start, 0.3)
        self.run_failing(1, "was killed by signal 9; not acknowledged", "sub", topic, "--from", "all",
                         "--exec", "kill -9 $$", "--retries", "0")

    def test_exec_interrupted(self):
        """Ctrl-C lets the command finish, acknowledges its event, and ends with 130."""
        topic = self.topic()
        fifo = self.directory / "fifo"
        os.mkfifo(fifo)
        sub = self.start_sub(topic, "--from", "all", "--exec", f"echo begun; read -r x < {fifo}")
        self.publish(topic, b"1", b"2")
        self.wait_for_output(sub, b"begun\n")
        sub.send(signal.SIGTERM)
        fifo.write_text("go on\n")
        done = sub.wait()
        self.assertEqual((done.code, done.out, done.err), (130, b"begun\n", ""))

    def test_exec_interrupted_between_retries(self):
        """Ctrl-C does not wait for the next try."""
        topic = self.topic()
        self.publish(topic, b"x")
        sub = self.start_sub(topic, "--from", "all", "--exec", "false", "--retries", "1000")
        self.wait_for_note(sub, "again in")
        sub.send(signal.SIGINT)
        self.assertEqual(sub.wait().code, 130)


if __name__ == "__main__":
    harness.main()
