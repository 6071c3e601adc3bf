#!/usr/bin/env python3
"""The examples that promise exactly one effect for each event, while they and the daemon are killed at random.

    exactly_once_test.py [--long] [TEST]
"""

import contextlib
import os
import random
import sqlite3
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import harness  # noqa: E402

EXAMPLES = harness.BUILD / "examples"
ROUNDS = 200 if harness.LONG else 6
EACH = 30  # events a round
KEYS = ("a", "b", "c", "d")


class ExactlyOnceTest(harness.BusTest):
    def setUp(self):
        self.seed = int(os.environ.get("SHMBUS_SEED", random.randrange(1 << 32)))
        print(f"SHMBUS_SEED={self.seed}", file=sys.stderr)
        self.chance = random.Random(self.seed)
        self.commands = []
        self.consumers = []
        self.addCleanup(self.end_consumers)

    def end_consumers(self):
        for consumer in self.consumers:
            consumer.kill()
            consumer.wait()

    def start_consumers(self):
        """All that do not run: the first time, and those that were killed, or lost their topic with the daemon."""
        running = [one if one.poll() is None else None for one in self.consumers]
        running += [None] * (len(self.commands) - len(running))
        self.consumers = [
            one or subprocess.Popen([EXAMPLES / command[0], *command[1:]], env=self.env, stderr=subprocess.DEVNULL)
            for one, command in zip(running, self.commands)]

    def writing(self, topic, numbers, key):
        """One named publisher: however often it has to begin again, each number is published once."""
        return self.start("pub", topic, "--lines", "--as", "writer", "--id", str(numbers[0]), "--key", key,
                          "--wait-durable", stdin=self.file(b"".join(b"%d\n" % n for n in numbers)))

    def kill_something(self, what):
        """Some consumers, the daemon, or all: then what was acknowledged in the last second comes again."""
        victims = {"consumers": self.chance.sample(self.consumers, self.chance.randint(1, len(self.consumers))),
                   "daemon": [], "all": self.consumers}[what]
        for victim in victims:
            victim.kill()
        if what != "consumers":
            self.daemon.kill()
            type(self).daemon = harness.Daemon(self.directory)
        for victim in victims:
            victim.wait()

    def storm(self, topic, count_effects):
        """So many rounds of events in whose midst something is killed; returns which numbers have which key."""
        keys = {}
        kinds = self.chance.sample(("consumers", "daemon", "all"), 3)
        for number in range(ROUNDS):
            numbers = range(number * EACH + 1, (number + 1) * EACH + 1)
            key = self.chance.choice(KEYS)
            keys.update(dict.fromkeys(numbers, key))
            writer = self.writing(topic, numbers, key)
            enough = self.chance.randint(numbers[0], numbers[-1])

            self.wait_for_effect(enough, count_effects)
            # The writer has published: it is there to hand the topic's memory back, or all of it is on disk.
            self.kill_something(kinds[number % 3])
            while writer.wait().code != 0:
                writer = self.writing(topic, numbers, key)
        self.wait_for_effect(ROUNDS * EACH, count_effects)
        return keys

    def wait_for_effect(self, number, count_effects):
        def came():
            self.start_consumers()
            return count_effects() >= number
        harness.wait_until(f"effect {number}", came)

    def database(self):
        """The path of one, and what reads all of its effects."""
        path = self.directory / f"{self.id().split('.')[-1]}.db"
        connection = self.enterContext(contextlib.closing(sqlite3.connect(path, timeout=harness.PATIENCE)))

        def effects(columns):
            with contextlib.suppress(sqlite3.OperationalError):  # not made yet
                return connection.execute(f"SELECT {columns} FROM effects ORDER BY rowid").fetchall()
            return []
        return path, effects

    def test_one_consumer(self):
        """exactly_once: one effect for each event, in order."""
        topic = self.topic("--capacity", "64", memory=False)
        path, effects = self.database()
        self.commands = [("exactly_once", topic, path)]
        self.storm(topic, lambda: len(effects("text")))
        self.assertEqual([int(text) for text, in effects("text")], list(range(1, ROUNDS * EACH + 1)))

    def test_from_topic_to_topic(self):
        """transform: one result for each event, in order, which names its event."""
        topic, to = (self.topic("--capacity", "64", suffix=suffix, memory=False) for suffix in ("", "-to"))
        self.commands = [("transform", topic, to, "mirror")]

        self.storm(topic, lambda: len(self.results(to)))
        events = {one["seq"]: one["payload"] for one in self.results(topic)}
        came = self.results(to)
        self.assertEqual([one["payload"][::-1] for one in came], [str(n) for n in range(1, ROUNDS * EACH + 1)])
        self.assertEqual([events[one["cause"]["seq"]][::-1] for one in came], [one["payload"] for one in came])

    def results(self, topic):
        """All events that a topic has by now."""
        done = self.run_tool("sub", topic, "--from", "all", "--timeout", "50ms", "--json")
        return [one for one in done.objects if "gap" not in one]

    def test_group(self):
        """exactly_once_group: three members, one effect for each event, those of a key in order."""
        topic = self.topic("--capacity", "64", memory=False)
        path, effects = self.database()
        self.commands = [("exactly_once_group", topic, "workers", path)] * 3
        keys = self.storm(topic, lambda: len(effects("text")))
        came = [(key, int(text)) for key, text in effects("key, text")]
        self.assertEqual(sorted(n for _, n in came), list(range(1, ROUNDS * EACH + 1)))
        for key in KEYS:
            self.assertEqual([n for of, n in came if of == key], [n for n, of in keys.items() if of == key])


if __name__ == "__main__":
    harness.main()
