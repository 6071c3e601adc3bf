#!/usr/bin/env python3
"""Groups on the command line: subscription create --group, ls and info; sub --group, with --exec and without."""

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import harness  # noqa: E402

NOBODY = {**harness.environment(), "SHMBUS_SOCKET": "/nonexistent/bus.sock"}


class GroupCase(harness.BusTest):
    def group(self, *options, memory=True, suffix=""):
        """A topic with a group 'workers'."""
        topic = self.topic(memory=memory, suffix=suffix)
        self.run_ok("subscription", "create", topic, "workers", "--group", *options)
        return topic

    def one(self, topic):
        return self.run_ok("subscription", "info", topic, "workers", "--json").json

    def state(self, topic):
        return self.one(topic)["group"]

    def members(self, topic):
        return {member["pid"]: member for member in self.state(topic)["members"]}

    def join(self, topic, *options):
        member = self.start("sub", topic, "--group", "workers", *options)
        harness.wait_until("the member", lambda: member.pid in self.members(topic))
        return member

    def numbers(self, topic, count, *options):
        """Events with the numbers from 1 to count."""
        self.run_ok("pub", topic, "--lines", *options, stdin=b"".join(b"%d\n" % n for n in range(1, count + 1)))

    def wait_for_cursor(self, topic, cursor):
        harness.wait_until(f"the cursor to be {cursor}", lambda: self.one(topic)["cursor"] == cursor)

    def take(self, topic, count, *options):
        return self.run_ok("sub", topic, "--group", "workers", "--count", str(count), *options).out.split()

    def fifo(self, topic):
        """A file that a command can wait for, and what to write to."""
        path = self.directory / f"{topic}.fifo"
        os.mkfifo(path)
        ours = os.open(path, os.O_RDWR)
        self.addCleanup(os.close, ours)  # whoever still waits ends
        return path, ours

    def end(self, *members):
        for member in members:
            member.send(signal.SIGINT)
        for member in members:
            self.assertEqual(member.wait().code, 130, member.err)


class CreateTest(GroupCase):
    def test_options(self):
        """All that a group is made with is shown, in both forms; what is not said is as documented."""
        topic = self.group("--ack-wait", "1500ms", "--max-deliver", "3", "--max-in-flight", "10",
                           "--back-off", "100ms,2s", "--order", "none")
        self.assertEqual(self.state(topic), {
            "members": [], "in_flight": 0, "waiting": 0, "redelivered": 0, "set_aside": 0, "order": "none",
            "ack_wait_ms": 1500, "max_deliver": 3, "max_in_flight": 10, "back_off_ms": [100, 2000]})
        text = self.run_ok("subscription", "info", topic, "workers").out.decode()
        for line in ("state         idle", "order         none", "ack wait      1500ms", "max deliver   3",
                     "back-off      100ms, 2s", "in flight     0, at most 10 a member", "members       0"):
            self.assertIn(line + "\n", text)
        self.run_ok("subscription", "create", topic, "usual", "--group")
        usual = self.run_ok("subscription", "info", topic, "usual", "--json").json
        self.assertIsNone(usual["cursor"], "it begins where its first member starts")
        self.assertEqual({name: usual["group"][name] for name in ("order", "ack_wait_ms", "max_deliver",
                                                                  "max_in_flight", "back_off_ms")},
                         {"order": "per_key", "ack_wait_ms": 30_000, "max_deliver": 5, "max_in_flight": 1024,
                          "back_off_ms": []})
        self.run_ok("subscription", "create", topic, "endless", "--group", "--max-deliver", "0")
        self.assertIn("max deliver   without end\n",
                      self.run_ok("subscription", "info", topic, "endless").out.decode())

    def test_from(self):
        """It begins where --from says, whatever its members say."""
        topic = self.topic()
        self.numbers(topic, 9)
        self.run_ok("subscription", "create", topic, "workers", "--group", "--from", "8")
        self.assertEqual(self.take(topic, 2, "--from", "1"), [b"8", b"9"])
        self.run_failing(2, "still to come", "subscription", "create", topic, "later", "--group", "--from", "99")
        self.run_failing(5, "no subscription 'later'", "subscription", "info", topic, "later")

    def test_bad_values(self):
        """Refused with 2, and what there is, without a daemon."""
        for pattern, *options in [
            ("--ack-wait.*'99ms'.*100ms to 1d", "--ack-wait", "99ms"),
            ("--ack-wait.*'25h'.*100ms to 1d", "--ack-wait", "25h"),
            ("--ack-wait.*'100500us'.*milliseconds", "--ack-wait", "100500us"),
            ("--ack-wait.*'x'", "--ack-wait", "x"),
            ("--max-deliver.*0 to 4000", "--max-deliver", "4001"),
            ("--max-deliver.*0 to 4000", "--max-deliver=-1"),
            ("--max-in-flight.*1 to 1024", "--max-in-flight", "0"),
            ("--max-in-flight.*1 to 1024", "--max-in-flight", "1025"),
            ("--back-off.*at most 8", "--back-off", ",".join(["1s"] * 9)),
            ("--back-off.*'8d'.*0s to 7d", "--back-off", "1s,8d"),
            ("--back-off", "--back-off", "1s,,2s"),
            ("--back-off", "--back-off", "1s,"),
            ("--back-off", "--back-off", ""),
            ("--order.*per_key", "--order", "key"),
        ]:
            self.run_failing(2, pattern, "subscription", "create", "t", "n", "--group", *options, env=NOBODY)
        for options in (["--ack-wait", "1s"], ["--max-deliver", "1"], ["--max-in-flight", "1"],
                        ["--back-off", "1s"], ["--order", "none"]):
            self.run_failing(2, f"{options[0]} requires --group", "subscription", "create", "t", "n", *options,
                             env=NOBODY)

    def test_refusals(self):
        """A name that is taken: 6; no such topic: 5."""
        topic = self.group()
        self.run_failing(6, "exists already", "subscription", "create", topic, "workers", "--group")
        self.run_failing(6, "exists already", "subscription", "create", topic, "workers")
        self.run_failing(5, "no topic 'none'", "subscription", "create", "none", "n", "--group")

    def test_kinds(self):
        """What is a group is joined; what is none is not: 6, and what to do."""
        topic = self.group()
        self.run_failing(6, "workers is a group: join it .*sub --group", "sub", topic, "--name", "workers")
        self.run_failing(6, "workers is a group", "sub", topic, "--name", "workers", "--steal")
        self.run_ok("subscription", "create", topic, "plain")
        self.run_failing(6, "plain is no group", "sub", topic, "--group", "plain")

    def test_usage(self):
        """What does not go together: 2, without a daemon."""
        for option in (["--name", "n"], ["--type", "1"], ["--key", "k"], ["--lossy"], ["--name", "n", "--steal"]):
            self.run_failing(2, "excludes", "sub", "t", "--group", "g", *option, env=NOBODY)
            self.run_failing(2, "excludes", "sub", "t", *option, "--group", "g", env=NOBODY)
        self.run_failing(2, "--steal", "sub", "t", "--group", "g", "--steal", env=NOBODY)
        self.run_failing(2, "'a b'", "sub", "t", "--group", "a b", env=NOBODY)
        self.assertIn("--group", self.run_ok("sub", "--help").out.decode())


class MembersTest(GroupCase):
    def test_are_shown(self):
        """Slots, what is in hand and where each is, in both forms."""
        topic = self.group("--max-in-flight", "2")
        first = self.join(topic, "--no-ack")
        second = self.join(topic, "--no-ack")
        harness.wait_until("half of the slots each", lambda: all(
            member["slots"] == 512 for member in self.members(topic).values()))
        self.numbers(topic, 100)
        harness.wait_until("two events each", lambda: all(
            member["in_flight"] == 2 for member in self.members(topic).values()))
        members = self.members(topic)
        self.assertEqual(set(members), {first.pid, second.pid})
        for member in members.values():
            self.assertEqual((member["uid"], member["command"], member["stalled"]), (os.getuid(), "shmbus", False))
            self.assertGreaterEqual(member["position"], 3)
        self.assertEqual((self.state(topic)["in_flight"], self.one(topic)["holder"]), (4, None))
        text = self.run_ok("subscription", "info", topic, "workers").out.decode()
        self.assertIn("in flight     4, at most 2 a member\n", text)
        self.assertRegex(text, r"members       2\nMEMBER +SLOTS +IN FLIGHT +POSITION +STATE *\n")
        for pid in members:
            self.assertRegex(text, rf"pid {pid} .shmbus. +512 +2 +\d+ +live\n")
        self.assertRegex(self.run_ok("subscription", "ls", topic).out.decode(),
                         rf"{topic} +workers +0 +100 +live +2 members\n")
        listed = self.run_ok("subscription", "ls", topic, "--json").json
        self.assertEqual([len(one["group"]["members"]) for one in listed], [2])
        self.end(first, second)
        self.assertRegex(self.run_ok("subscription", "ls", topic).out.decode(), " +idle +0 members\n")

    def test_share_the_work(self):
        """Each event comes once, to one of two processes; those of a key in their order."""
        topic = self.group(memory=False)
        members = [self.join(topic, "--format", "%k %p") for _ in range(2)]
        harness.wait_until("half of the slots each", lambda: all(
            member["slots"] == 512 for member in self.members(topic).values()))
        for key in range(20):
            self.numbers(topic, 50, "--key", f"key-{key}")
        self.wait_for_cursor(topic, 1000)
        lines = [member.out.decode().splitlines() for member in members]
        self.assertGreater(min(map(len, lines)), 0)
        self.assertEqual(sorted(lines[0] + lines[1]), sorted(f"key-{k} {n}" for k in range(20) for n in range(1, 51)))
        for of_one in lines:
            for key in {line.split()[0] for line in of_one}:
                numbers = [int(line.split()[1]) for line in of_one if line.split()[0] == key]
                self.assertEqual(numbers, list(range(1, 51)), f"{key} is one member's")
        self.assertEqual(self.state(topic)["redelivered"], 0)
        self.end(*members)

    def test_go_on_after_a_restart(self):
        """What the group was made with, and what is done, is known to the next daemon."""
        topic = self.group("--max-deliver", "7", memory=False)
        self.numbers(topic, 10)
        self.assertEqual(self.take(topic, 4), [b"1", b"2", b"3", b"4"])
        self.assertEqual(self.daemon.stop(), 0)
        type(self).daemon = harness.Daemon(self.directory)
        self.assertEqual((self.one(topic)["cursor"], self.state(topic)["max_deliver"]), (4, 7))
        self.assertEqual(self.take(topic, 6), [b"5", b"6", b"7", b"8", b"9", b"10"])

    def test_one_is_killed(self):
        """What it had in hand comes again, to another one, as the second attempt."""
        topic = self.group()
        fifo, _ = self.fifo(topic)
        first = self.join(topic, "--exec", f"echo begun; read -r x < {fifo}")
        self.publish(topic, b"1")
        self.wait_for_output(first, b"begun\n")
        second = self.join(topic, "--json")
        first.send(signal.SIGKILL)
        first.wait()
        self.wait_for_output(second, b"\n")
        self.end(second)
        event = harness.Done(0, second.out, "").json
        self.assertEqual((event["seq"], event["attempt"]), (1, 2))

    def test_without_acknowledging(self):
        """--no-ack: what is in hand comes again after ack-wait, and who has its hands full costs no processor."""
        topic = self.group("--ack-wait", "2s", "--max-in-flight", "1", "--max-deliver", "0")
        self.numbers(topic, 2)
        member = self.join(topic, "--no-ack", "--format", "%s %a")
        self.wait_for_output(member, b"2\n")
        fields = Path(f"/proc/{member.pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks = int(fields[11]) + int(fields[12])
        self.assertLess(ticks / os.sysconf("SC_CLK_TCK"), 0.2, "of more than 2 s")
        self.end(member)
        self.assertIn(member.out, (b"1 1\n1 2\n", b"1 1\n2 1\n1 2\n"))
        self.assertEqual(self.one(topic)["cursor"], 0)

    def test_paused_and_removed(self):
        """A pause is for all members; a group that is removed by force ends them with 6."""
        topic = self.group()
        member = self.join(topic)
        self.run_ok("subscription", "pause", topic, "workers")
        self.assertEqual(self.one(topic)["state"], "paused")
        self.publish(topic, b"1")
        self.run_failing(3, "no event for 200ms", "sub", topic, "--group", "workers", "--timeout", "200ms")
        self.assertEqual(member.out, b"")
        self.run_ok("subscription", "resume", topic, "workers")
        self.wait_for_output(member, b"1\n")
        self.run_failing(6, f"pid {member.pid}", "subscription", "rm", topic, "workers")
        self.run_failing(6, f"pid {member.pid}", "subscription", "seek", topic, "workers", "--to", "1")
        self.run_ok("subscription", "rm", topic, "workers", "--force")
        self.assertEqual(member.wait().code, 6)
        self.assertRegex(member.err, f"topic '{topic}': the group was removed")

    def test_too_late(self):
        """What is acknowledged when it has gone to another one: a note says so."""
        topic = self.group("--ack-wait", "100ms", "--max-deliver", "0")
        fifo, ours = self.fifo(topic)
        late = self.join(topic, "--exec", f"echo begun; read -r x < {fifo}")
        self.publish(topic, b"1")
        self.wait_for_output(late, b"begun\n")
        late.send(signal.SIGSTOP)
        other = self.join(topic)
        self.wait_for_output(other, b"1\n")
        os.write(ours, b"go on\n")
        late.send(signal.SIGCONT)
        self.wait_for_note(late, f"topic '{topic}': event 1 .*not acknowledged in time")
        self.end(late, other)


class ExecTest(GroupCase):
    def test_fails_too_often(self):
        """Handed out max-deliver times, then set aside; all others are done once."""
        topic = self.group("--max-deliver", "3", memory=False)
        self.numbers(topic, 3)
        member = self.join(topic, "--exec", 'echo $SHMBUS_SEQ.$SHMBUS_ATTEMPT; [ $SHMBUS_SEQ != 2 ]')
        self.wait_for_cursor(topic, 3)
        self.assertEqual((self.state(topic)["redelivered"], self.state(topic)["set_aside"]), (2, 1))
        self.end(member)
        self.assertEqual(sorted(member.out.split()), [b"1.1", b"2.1", b"2.2", b"2.3", b"3.1"])
        self.assertEqual(member.err.count(f"event 2 of topic '{topic}': the command exited with 1"), 3)
        (letter,) = self.run_ok("dlq", "ls", topic, "--json").json
        self.assertEqual((letter["seq"], letter["attempts"], letter["subscription"]), (2, 3, "workers"))
        self.assertRegex(letter["reason"], "failed")
        self.run_ok("dlq", "replay", topic, "--all")
        self.assertEqual(self.take(topic, 1, "--format", "%s:%p"), [b"4:2"])

    def test_comes_again_after_a_pause(self):
        """The pause is the group's; meanwhile what is not of its key goes on, and it counts as waiting."""
        topic = self.group("--back-off", "2s")
        self.numbers(topic, 3)
        member = self.join(topic, "--exec", 'echo $SHMBUS_SEQ.$SHMBUS_ATTEMPT; [ $SHMBUS_SEQ.$SHMBUS_ATTEMPT != 1.1 ]')
        self.wait_for_output(member, b"3.1\n")
        harness.wait_until("one that waits", lambda: self.state(topic)["waiting"] == 1)
        self.assertEqual(self.one(topic)["cursor"], 0)
        self.wait_for_cursor(topic, 3)
        self.assertEqual(member.out.split(), [b"1.1", b"2.1", b"3.1", b"1.2"])
        self.assertEqual((self.state(topic)["waiting"], self.state(topic)["redelivered"]), (0, 1))
        self.end(member)

    def test_takes_its_time(self):
        """A command that takes longer than ack-wait is waited for, and so are its retries: nobody else gets the event."""
        topic = self.group("--ack-wait", "1s")
        self.numbers(topic, 2)
        slow = 'echo $SHMBUS_SEQ.$SHMBUS_ATTEMPT; if [ $SHMBUS_SEQ = 1 ]; then sleep 4; fi'
        members = [self.join(topic, "--exec", slow) for _ in range(2)]
        self.wait_for_cursor(topic, 2)
        self.end(*members)
        self.assertEqual(sorted((members[0].out + members[1].out).split()), [b"1.1", b"2.1"])
        self.assertEqual([member.err for member in members], ["", ""])

    def test_is_tried_again_at_once(self):
        """--retries are one attempt, though their pauses grow longer than ack-wait."""
        topic = self.group("--ack-wait", "500ms", "--max-deliver", "1")
        tries = self.directory / f"{topic}.tries"
        self.publish(topic, b"1")
        member = self.join(topic, "--retries", "5", "--exec",
                           f"echo $SHMBUS_ATTEMPT >> {tries}; [ $(wc -l < {tries}) = 5 ]")
        self.wait_for_cursor(topic, 1)
        self.assertEqual(self.state(topic)["set_aside"], 0)
        self.end(member)
        self.assertEqual(tries.read_text().split(), ["1"] * 5)
        self.assertIn("again in 800ms", member.err)
        self.assertNotIn("not acknowledged", member.err.splitlines()[-1])

    def test_is_interrupted(self):
        """A command that fails as Ctrl-C came leaves its event to the next member, also one that is behind the others."""
        topic = self.group()
        fifo, ours = self.fifo(topic)
        self.numbers(topic, 2)
        member = self.join(topic, "--exec", 'case $SHMBUS_SEQ.$SHMBUS_ATTEMPT in 1.1) exit 1;; '
                                            f'1.*) echo begun; read -r x < {fifo}; exit 1;; esac')
        self.wait_for_output(member, b"begun\n")
        member.send(signal.SIGTERM)
        os.write(ours, b"go on\n")
        self.assertEqual(member.wait().code, 130)
        self.assertEqual(self.take(topic, 1), [b"1"])

    def test_has_no_place_for_letters(self):
        """What cannot be set aside stays, and standard error says why."""
        topic = self.group("--max-deliver", "1", suffix="x" * 97)
        self.assertGreater(len(topic), 124)
        self.publish(topic, b"1")
        member = self.join(topic, "--exec", "false")
        self.wait_for_note(member, "cannot set event 1 aside .*too long")
        self.assertEqual((self.one(topic)["cursor"], self.state(topic)["set_aside"]), (0, 0))
        self.end(member)


if __name__ == "__main__":
    harness.main()
