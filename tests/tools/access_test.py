#!/usr/bin/env python3
"""Several users of one bus: who may do what by the configuration, and what one user can take from the others.

Needs root, to become others. Rules name users and groups by number, so the host need not have them.
"""

import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import harness  # noqa: E402

ANN, BOB, EVE, TELLERS = 61_234, 61_235, 61_236, 61_999

# Connects as often as it is told, says how often, and stays until its stdin ends.
FLOOD = """
import socket, sys
open_ones = []
for _ in range(int(sys.argv[2])):
    one = socket.socket(socket.AF_UNIX)
    one.connect(sys.argv[1])
    open_ones.append(one)
print(len(open_ones), flush=True)
sys.stdin.read()
"""


@unittest.skipUnless(os.geteuid() == 0, "needs root, to become another user")
class AccessTest(unittest.TestCase):
    """Each test has a daemon of its own, with one topic or more that root has made."""

    def setUp(self):
        self.directory = Path(tempfile.mkdtemp(prefix="shmbus-test-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.directory.chmod(0o755)
        # Others may not be able to read the build directory.
        self.tool = self.directory / "shmbus"
        shutil.copy(harness.SHMBUS, self.tool)
        shutil.copy(next((harness.BUILD / "libshmbus").glob("libshmbus.so.?")), self.directory)
        self.config = self.directory / "shmbusd.conf"
        self.socket = self.directory / "bus.sock"
        self.log = self.directory / "log"
        self.daemon = None

    def start(self, config, *arguments, descriptors=None):
        def limit():
            if descriptors:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
        self.config.write_text(config)
        with self.log.open("ab") as log:
            self.daemon = subprocess.Popen(
                [harness.SHMBUSD, "--config", self.config, "--state-dir", self.directory / "state", *arguments],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, preexec_fn=limit,
                env=harness.environment(SHMBUS_SOCKET=str(self.socket)))
        self.addCleanup(self.daemon.wait)
        self.addCleanup(self.daemon.kill)
        harness.wait_until("shmbusd to be ready", self.is_ready)

    def is_ready(self):
        self.assertIsNone(self.daemon.poll(), self.text())
        return "\nready\n" in self.text()

    def text(self):
        return "\n" + self.log.read_text(errors="replace")

    def reload(self, config):
        before = self.text().count("was read again")
        self.config.write_text(config)
        self.daemon.send_signal(signal.SIGHUP)
        harness.wait_until("the configuration", lambda: self.text().count("was read again") > before)

    def command(self, user, *arguments, groups=()):
        who = ["setpriv", f"--reuid={user}", f"--regid={user}", "--inh-caps=-all",
               "--groups=" + ",".join(map(str, groups)) if groups else "--clear-groups"]
        return ["env", f"LD_LIBRARY_PATH={self.directory}", *who, *arguments]

    def run_as(self, user, *arguments, code=0, says="", groups=(), stdin=""):
        done = subprocess.run(
            self.command(user, self.tool, "--socket", self.socket, *arguments, groups=groups),
            input=stdin, capture_output=True, text=True, check=False, timeout=harness.PATIENCE,
            env=harness.environment())
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn(says, done.stderr)
        return done.stdout

    def start_as(self, user, *arguments, groups=()):
        running = subprocess.Popen(self.command(user, *arguments, groups=groups), stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   env=harness.environment())
        for cleanup in (running.stdout.close, running.wait, running.kill, running.stdin.close):
            self.addCleanup(cleanup)
        return running

    # Rules.

    RULES = f"""
[Access]
Use=user:{ANN}
Administer=
[Topic orders]
Retention=memory
Publish=group:{TELLERS}
Subscribe=user:{ANN} group:{TELLERS}
Administer=user:{BOB}
[Topic open]
Retention=memory
"""

    def test_topics_have_rules_of_their_own(self):
        self.start(self.RULES)
        self.run_as(EVE, "pub", "orders", "for a teller", groups=[TELLERS])
        self.assertEqual(self.run_as(ANN, "sub", "orders", "--from", "all", "--count", "1"), "for a teller\n")
        self.run_as(ANN, "pub", "orders", "x", code=6,
                    says=f"user {ANN} may not publish to topic orders: only root, user 0 and group {TELLERS} "
                         f"may; as root: usermod -aG {TELLERS}")
        self.run_as(BOB, "sub", "orders", "--from", "all", "--count", "1", code=6,
                    says=f"add user:{BOB} to Subscribe= of [Topic orders] in the configuration")
        self.run_as(BOB, "subscription", "create", "orders", "mine", code=6, says="may not subscribe")
        self.run_as(BOB, "topic", "drain", "orders", "--undo")
        self.run_as(ANN, "topic", "rm", "orders", code=6, says="may not administer topic orders")

    def test_whom_a_topic_admits_has_that_topic_and_no_other(self):
        self.start(self.RULES)
        self.run_as(ANN, "pub", "open", "x")
        self.run_as(EVE, "pub", "open", "x", code=6, groups=[TELLERS],
                    says=f"add user:{EVE} to Use= of [Access]")
        self.run_as(EVE, "topic", "create", "mine", "--profile", "fast", code=6, groups=[TELLERS],
                    says="may not create topics")
        self.run_as(EVE, "topic", "ls", code=6, says="may not use this bus")
        self.run_as(EVE, "topic", "ls", groups=[TELLERS])

    def test_a_reload_is_for_what_comes_after(self):
        self.start(self.RULES)
        sub = self.start_as(ANN, self.tool, "--socket", self.socket, "sub", "orders", "--from", "all")
        self.run_as(EVE, "pub", "orders", "before", groups=[TELLERS])
        self.assertEqual(sub.stdout.readline(), b"before\n")
        self.reload(self.RULES.replace(f"Subscribe=user:{ANN} ", "Subscribe="))
        self.run_as(EVE, "pub", "orders", "after", groups=[TELLERS])
        self.assertEqual(sub.stdout.readline(), b"after\n", "who has it open goes on")
        self.run_as(ANN, "sub", "orders", "--from", "all", "--count", "1", code=6, says="may not subscribe")

    def test_names_that_the_host_does_not_have_admit_nobody_and_are_in_the_log(self):
        self.start("[Access]\nUse=user:no-such-user\nAdminister=group:no-such-group\n")
        self.assertIn("admits the user no-such-user, which this host does not have", self.text())
        self.assertIn("admits the group no-such-group, which", self.text())
        self.run_as(ANN, "topic", "ls", code=6, says="user no-such-user may")

    def test_a_private_bus_has_no_rules(self):
        self.start(self.RULES, "--user")
        self.assertIn("rules of access count for nothing", self.text())
        self.run_as(0, "pub", "orders", "x")

    def test_nobody_publishes_where_others_rely_on_it(self):
        """A subscriber may parse in place what nobody else can change: what it was told stays true."""
        rules = f"[Access]\nUse=user:{ANN} user:{BOB}\n[Topic hers]\nRetention=memory\nPublish=user:{ANN}\n"
        self.start(rules)
        sub = self.start_as(ANN, self.tool, "--socket", self.socket, "sub", "hers", "--from", "all")
        self.run_as(ANN, "pub", "hers", "one")
        self.assertEqual(sub.stdout.readline(), b"one\n")
        self.reload(rules.replace("Publish=", f"Publish=user:{BOB} "))
        self.run_as(BOB, "pub", "hers", "two", code=6,
                    says=f"rely on it that user {BOB} does not publish")
        sub.kill()
        sub.wait()
        harness.wait_until("its entry to be free",
                           lambda: str(sub.pid) not in self.run_as(0, "topic", "info", "hers"))
        self.run_as(BOB, "pub", "hers", "two")

    # Limits.

    def test_nobody_moves_the_cursor_of_others(self):
        """A durable subscription is held by whoever it belongs to, and by who administers the topic."""
        self.start(f"[Access]\nUse=user:{ANN} user:{EVE}\nAdminister=user:{BOB}\n")
        self.run_as(ANN, "topic", "create", "a")
        self.run_as(ANN, "pub", "a", "--lines", stdin="1\n2\n3\n4\n")
        take = ["sub", "a", "--name", "anns", "--count", "1"]
        self.assertEqual(self.run_as(ANN, *take), "1\n")
        says = f"subscription anns of topic a is user {ANN}'s: take another name; or, "
        self.run_as(EVE, *take, code=6, says=says)
        self.run_as(EVE, *take, "--steal", code=6, says=says)
        self.assertEqual(self.run_as(ANN, *take), "2\n")
        self.assertEqual(self.run_as(0, *take), "3\n", "root may, and it stays Ann's")
        self.assertEqual(self.run_as(ANN, *take), "4\n")

    def test_who_comes_first_has_a_subscription_that_was_made_for_others(self):
        self.start(f"[Access]\nUse=user:{ANN} user:{EVE}\n")
        self.run_as(0, "topic", "create", "a")
        self.run_as(0, "pub", "a", "--lines", stdin="1\n2\n")
        self.run_as(0, "subscription", "create", "a", "s")
        take = ["sub", "a", "--name", "s", "--count", "1"]
        self.assertEqual(self.run_as(ANN, *take), "1\n")
        self.run_as(EVE, *take, code=6, says=f"is user {ANN}'s")
        self.daemon.terminate()
        self.assertEqual(self.daemon.wait(harness.PATIENCE), 0)
        self.log.write_text("")
        self.start(f"[Access]\nUse=user:{ANN} user:{EVE}\n")
        self.run_as(EVE, *take, code=6, says=f"is user {ANN}'s")
        self.assertEqual(self.run_as(ANN, *take), "2\n")

    def test_limits_are_charged_to_each_user(self):
        use = f"[Access]\nUse=user:{ANN} user:{BOB}\n[Limits]\n"
        self.start(use + "TopicsPerUser=2\nDiskPerUser=1G\nSubscriptionsPerUser=1\n")
        self.run_as(ANN, "topic", "create", "a", "--keep-bytes", "513M")
        self.run_as(ANN, "topic", "create", "b", "--keep-bytes", "127M", "--hold", "--if-missing")
        self.run_as(ANN, "topic", "create", "c", "--profile", "fast", code=6, says="TopicsPerUser= of [Limits]")
        self.reload(use + "DiskPerUser=1G\nSubscriptionsPerUser=1\n")
        for options in (["--keep-bytes", "1M"], ["--keep-bytes", "0"]):
            self.run_as(ANN, "topic", "create", "c", *options, code=6, says="raise DiskPerUser= of [Limits]")
        self.run_as(ANN, "topic", "create", "memory", "--profile", "fast")
        self.run_as(BOB, "topic", "create", "d", "--keep-bytes", "1", "--max-event", "1G", "--pool", "2G", code=6,
                    says="this topic may take 1025 MiB of the disk")
        self.run_as(BOB, "topic", "create", "d", "--keep-bytes", "1023M")
        self.run_as(0, "topic", "create", "roots", "--keep-bytes", "0")
        self.run_as(ANN, "topic", "rm", "b")
        self.run_as(ANN, "topic", "create", "c", "--keep-bytes", "509M")
        self.run_as(BOB, "subscription", "create", "a", "first")
        self.run_as(BOB, "subscription", "create", "a", "second", code=6, says="SubscriptionsPerUser= of [Limits]")
        self.run_as(ANN, "subscription", "create", "a", "second")

    def test_disk_is_charged_for_topics_that_sleep_and_after_a_restart(self):
        config = f"[Access]\nUse=user:{ANN}\n[Limits]\nDiskPerUser=1025M\n"
        self.start(config)
        self.run_as(ANN, "topic", "create", "a")
        self.daemon.terminate()
        self.assertEqual(self.daemon.wait(harness.PATIENCE), 0)
        self.log.write_text("")
        self.start(config)
        self.run_as(ANN, "topic", "create", "b", "--keep-bytes", "1", code=6, says="raise DiskPerUser=")

    def test_a_flood_costs_who_makes_it(self):
        """With descriptors for some 50 connections; whoever is there, and who comes, is served."""
        self.start(f"[Access]\nUse=user:{ANN} user:{BOB}\n[Topic orders]\nRetention=memory\n", descriptors=256)
        sub = self.start_as(ANN, self.tool, "--socket", self.socket, "sub", "orders", "--from", "all")
        self.run_as(ANN, "pub", "orders", "before")
        self.assertEqual(sub.stdout.readline(), b"before\n")
        floods = [self.start_as(user, "python3", "-c", FLOOD, self.socket, "400") for user in (BOB, EVE)]
        for flood in floods:
            self.assertEqual(flood.stdout.readline(), b"400\n")
        harness.wait_until("refusals", lambda: "too many connections" in self.text())
        self.run_as(ANN, "pub", "orders", "during")
        self.assertEqual(sub.stdout.readline(), b"during\n")
        self.run_as(ANN, "topic", "create", "another", "--profile", "fast")
        self.run_as(0, "topic", "info", "orders")
        self.assertNotIn("Too many open files", self.text())
        for flood in floods:
            flood.kill()
        harness.wait_until("bob to be served again", lambda: self.is_served(BOB))

    def is_served(self, user):
        return subprocess.run(self.command(user, self.tool, "--socket", self.socket, "topic", "ls"),
                              capture_output=True, check=False, timeout=harness.PATIENCE,
                              env=harness.environment()).returncode == 0

    def test_memory_that_is_not_there_is_refused_to_who_asks(self):
        """ENOMEM, that is: the daemon's address space is limited."""
        self.start(f"[Access]\nUse=user:{ANN} user:{BOB}\n[Topic orders]\nRetention=memory\nMaxEvent=64K\nPool=1M\n"
                   "[Limits]\nMemoryPerUser=64G\n")
        used = int(Path(f"/proc/{self.daemon.pid}/statm").read_text().split()[0]) * resource.getpagesize()
        resource.prlimit(self.daemon.pid, resource.RLIMIT_AS, (used + (32 << 20),) * 2)
        self.run_as(BOB, "topic", "create", "large", "--retention", "memory", "--capacity", "256K", code=6)
        self.run_as(ANN, "pub", "orders", "x")
        self.assertEqual(self.run_as(ANN, "sub", "orders", "--from", "all", "--count", "1"), "x\n")
        self.run_as(BOB, "topic", "info", "orders")


if __name__ == "__main__":
    harness.main()
