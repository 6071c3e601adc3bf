#!/usr/bin/env python3
"""What the daemon says in the journal: messages with fields that can be searched for, and its status."""

import os
import re
import signal
from pathlib import Path

import box
from box import wait_until

TEXT = (Path(__file__).resolve().parents[2] / "daemon/system/messages.hpp").read_text()
MESSAGE_IDS = dict(re.findall(r'Message (\w+)\{"(\w+)"', TEXT))


class JournalTest(box.BoxTest):
    def setUp(self):
        super().setUp()
        box.systemctl("restart", box.SERVICE)  # a daemon that has not said much yet leaves nothing out

    def found(self, message, **fields):
        """The newest message of this kind with these fields, once it is there."""
        matches = [f"MESSAGE_ID={MESSAGE_IDS[message]}", f"_SYSTEMD_UNIT={box.SERVICE}",
                   *(f"SHMBUS_{name.upper()}={value}" for name, value in fields.items())]
        return wait_until(f"{message} {fields}", lambda: box.journal(*matches))[-1]

    def test_a_topics_life(self):
        topic = self.topic()
        made = self.found("topic_made", topic=topic)
        self.assertEqual((made["PRIORITY"], made["SHMBUS_PEER_UID"], made["SYSLOG_IDENTIFIER"]),
                         ("6", "0", "shmbusd"))
        self.assertIn(f"made topic {topic}", made["MESSAGE"])
        self.assertNotIn("SHMBUS_SEQ", made)
        self.run_ok("topic", "rm", topic)
        self.found("topic_removed", topic=topic)

    def test_a_peer_and_its_unit(self):
        """Who runs in a unit is known by it, from its first word to its death."""
        topic = self.topic()
        self.addCleanup(box.run, "systemctl", "stop", "reader.service")
        box.run_ok("systemd-run", "--unit=reader", "--uid=bob", "shmbus", "--system", "sub", topic)
        pid = wait_until("a subscriber", lambda: self.pids(topic))[0]
        begun = self.found("session_begun", peer_pid=pid)
        self.assertEqual(begun["SHMBUS_PEER_UNIT"], "reader.service")
        self.assertEqual(begun["SHMBUS_PEER_UID"], str(os.stat(f"/proc/{pid}").st_uid))
        os.kill(pid, signal.SIGKILL)
        self.assertIn("freed 0 publishers, 1 subscribers", self.found("session_ended", peer_pid=pid)["MESSAGE"])

    def test_a_subscription(self):
        topic = self.topic(memory=False)
        self.run_ok("pub", topic, "--lines", stdin=b"a\nb\n")
        self.run_ok("sub", topic, "--name", "billing", "--count", "2")
        self.run_ok("subscription", "seek", topic, "billing", "--to", "2")
        moved = self.found("subscription_changed", topic=topic, subscription="billing")
        self.assertEqual(moved["SHMBUS_SEQ"], "1")

    def test_explained(self):
        """journalctl -x has something to say to each kind of message."""
        topic = self.topic()
        self.found("topic_made", topic=topic)
        text = box.run_ok("journalctl", "-x", f"SHMBUS_TOPIC={topic}")
        self.assertIn(f"Topic {topic} is new", text)
        catalog = box.run_ok("journalctl", "--list-catalog", *MESSAGE_IDS.values())
        self.assertEqual(len(catalog.splitlines()), len(MESSAGE_IDS))

    def test_status(self):
        """systemctl status says how many of what there are, soon after that changes."""
        def status():
            return box.property_of(box.SERVICE, "StatusText")

        numbers = re.compile(r"(\d+) topics awake, (\d+) asleep; (\d+) sessions; 0 events on their way to disk")
        awake = int(wait_until("a status", lambda: numbers.fullmatch(status()))[1])
        topic = self.topic()
        self.start_sub(topic)
        wait_until("a status that counts these", lambda: status().startswith(f"{awake + 1} topics awake")
                   and "; 1 sessions;" in status())


if __name__ == "__main__":
    box.main()
