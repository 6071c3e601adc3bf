#!/usr/bin/env python3
"""The units: what systemd thinks of them, socket activation, and who may what on the host's bus."""

import json
import os
import pwd
import shutil
from pathlib import Path

import box
from box import harness

EXAMPLES = harness.TREE / "examples" / "systemd"
UNITS = Path("/usr/local/lib/systemd")


class UnitsTest(box.BoxTest):
    def test_verified(self):
        """systemd knows each word in them. It ends with 0 where it does not, and says so."""
        of_helper = ("shmbusd-activate.socket", "shmbusd-activate@.service")
        for options, folder, more in (((), "system", of_helper), (("--user",), "user", ())):
            units = [UNITS / folder / name for name in (box.SERVICE, box.SOCKET, *more)]
            done = box.run("systemd-analyze", *options, "verify", "--man=no", *units,
                           env={**os.environ, "XDG_RUNTIME_DIR": "/run"})
            self.assertEqual((done.returncode, done.stderr), (0, ""), folder)

    def test_verified_examples(self):
        """They name users that this host need not have, which is not looked at."""
        done = box.run("systemd-analyze", "verify", "--man=no", *sorted(EXAMPLES.iterdir()))
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_exposure(self):
        """At most 1.0, of 10, by systemd's own measure."""
        for unit in (box.SERVICE, "shmbusd-activate@x.service"):
            box.run_ok("systemd-analyze", "security", "--threshold=10", unit)

    def test_starts_at_the_first_use(self):
        box.systemctl("stop", box.SOCKET, box.SERVICE)
        self.assertFalse(Path("/run/shmbus.sock").exists())
        box.systemctl("start", box.SOCKET)
        self.assertEqual(box.property_of(box.SERVICE, "ActiveState"), "inactive")
        self.run_ok("topic", "ls")
        self.assertEqual(box.property_of(box.SERVICE, "ActiveState"), "active")
        owner = Path(f"/proc/{box.main_pid()}").stat().st_uid
        self.assertEqual(pwd.getpwuid(owner).pw_name, "shmbus")

    def test_leaves_the_socket_to_systemd(self):
        """It is there again at once, for whoever comes next, however the daemon ends."""
        self.run_ok("topic", "ls")
        before = Path("/run/shmbus.sock").stat()
        for how in (("stop", box.SERVICE), ("kill", "--signal=KILL", box.SERVICE), ("restart", box.SERVICE)):
            box.systemctl(*how)
            self.run_ok("topic", "ls")
            now = Path("/run/shmbus.sock").stat()
            self.assertEqual((now.st_ino, oct(now.st_mode)), (before.st_ino, "0o140666"), how)

    def test_state_directory(self):
        """What is on disk is the daemon's own, and outlives it."""
        topic = self.topic(memory=False)
        self.run_ok("pub", topic, "x", "--wait-durable")
        path = Path(self.info(topic)["directory"])
        self.assertEqual(path, Path("/var/lib/shmbus/topics") / topic)
        state = Path("/var/lib/shmbus").stat()
        self.assertEqual((pwd.getpwuid(state.st_uid).pw_name, oct(state.st_mode)), ("shmbus", "0o40700"))
        box.systemctl("restart", box.SERVICE)
        self.assertEqual(self.run_ok("sub", topic, "--from", "all", "--count", "1").out, b"x\n")

    def test_makes_no_system_call_that_is_refused(self):
        """With the filter as it is, but death for whatever it would refuse."""
        box.drop_in("kill", "SystemCallErrorNumber=kill")
        box.systemctl("restart", box.SERVICE)
        pid = box.main_pid()
        for memory in (True, False):
            topic = self.topic(memory=memory, suffix=f"-{memory}")
            self.run_ok("pub", topic, "--lines", stdin=b"x\n" * 100_000)
            self.run_ok("sub", topic, "--from", "all", "--count", "1")
            if not memory:
                self.run_ok("sub", topic, "--from", "all", "--count", "100000", "--name", "durable")
                self.run_ok("subscription", "rm", topic, "durable")
            self.run_ok("topic", "rm", topic)
        self.assertEqual(box.main_pid(), pid)
        box.systemctl("stop", box.SERVICE)
        self.assertEqual(box.property_of(box.SERVICE, "Result"), "success")

    def test_reload(self):
        """The configuration of the host's bus is read again, by the same daemon; nothing in that is refused."""
        box.drop_in("kill", "SystemCallErrorNumber=kill")
        box.systemctl("restart", box.SERVICE)
        pid = box.main_pid()
        self.assertEqual(self.run_as("alice", "topic", "ls").returncode, 6)
        self.addCleanup(box.systemctl, "restart", box.SERVICE)
        self.addCleanup(shutil.rmtree, "/etc/shmbus")
        Path("/etc/shmbus").mkdir()
        Path("/etc/shmbus/shmbusd.conf").write_text("[Access]\nUse=user:alice\n[Topic declared]\nRetention=memory\n")
        box.systemctl("reload", box.SERVICE)
        box.wait_until("alice to be let in", lambda: self.run_as("alice", "topic", "info", "declared").returncode == 0)
        self.assertEqual(self.run_as("bob", "topic", "ls").returncode, 6)
        box.wait_until("the end of it", lambda: box.property_of(box.SERVICE, "ActiveState") == "active")
        self.assertEqual(box.main_pid(), pid)

    def test_who_may_what(self):
        topic = self.topic()
        refused = self.run_as("alice", "pub", topic, "x")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("usermod -aG shmbus", refused.stderr)
        for arguments in (("pub", topic, "x"), ("sub", topic, "--from", "all", "--count", "1"),
                          ("topic", "create", "bobs", "--retention", "memory")):
            done = self.run_as("bob", *arguments)
            self.assertEqual(done.returncode, 0, done.stderr)
        refused = self.run_as("bob", "topic", "rm", topic)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("usermod -aG shmbus-admin", refused.stderr)
        self.assertNotEqual(self.run_as("carol", "pub", topic, "x").returncode, 0)
        for name in (topic, "bobs"):
            done = self.run_as("carol", "topic", "rm", name)
            self.assertEqual(done.returncode, 0, done.stderr)

    def doctor(self, code, *command):
        """What it finds of units and access, as severity and text."""
        done = box.run(*command, harness.SHMBUS, "--system", "doctor", "--json")
        self.assertEqual(done.returncode, code, done)
        return [(f["severity"], f"{f['what']} -> {f['do']}") for f in json.loads(done.stdout)["findings"]
                if f["check"] in ("units", "access", "daemon", "socket")]

    def the_one(self, code, severity, pattern, *command):
        (finding,) = self.doctor(code, *command)
        self.assertEqual(finding[0], severity)
        self.assertRegex(finding[1], pattern)

    def test_doctor(self):
        """What it says of the units, and to whom."""
        box.systemctl("restart", box.SERVICE)
        self.topic()  # in memory, where systemd keeps it
        self.assertEqual(self.doctor(0), [])
        self.assertEqual(self.doctor(0, "runuser", "-u", "bob", "--"), [])
        self.the_one(1, "error", "user .* may not use this bus.*usermod -aG shmbus", "runuser", "-u", "alice", "--")
        self.the_one(1, "error", "bob is in group shmbus only since .*log in again",
                     "setpriv", "--reuid=bob", "--regid=bob", "--clear-groups")
        pid = box.main_pid()
        box.run_ok("kill", "-KILL", str(pid))
        box.wait_until("another daemon", lambda: box.main_pid() not in (0, pid))
        self.the_one(0, "note", "again 1 time .*journalctl -u shmbusd.service")

    def test_doctor_without_what_keeps(self):
        box.drop_in("keep", "FileDescriptorStoreMax=0")
        box.systemctl("restart", box.SERVICE)
        self.the_one(0, "warning", "FileDescriptorStoreMax=0")

    def test_doctor_of_units_that_changed(self):
        box.drop_in("same")
        (Path("/etc/systemd/system") / (box.SERVICE + ".d") / "more.conf").write_text("[Service]\n")
        self.the_one(0, "warning", "have changed .*systemctl daemon-reload")

    def test_doctor_of_a_daemon_that_is_not_started(self):
        box.systemctl("stop", box.SOCKET, box.SERVICE)
        socket, units = self.doctor(4)
        self.assertIn("start one, as root: systemctl enable --now shmbusd.socket", socket[1])
        self.assertIn("shmbusd.socket is not active", units[1])

    def test_doctor_of_a_service_that_fails(self):
        box.drop_in("wrong", "ExecStart=", "ExecStart=/usr/local/sbin/shmbusd --no-such-option")
        box.systemctl("stop", box.SERVICE)
        box.run("systemctl", "start", box.SERVICE)
        self.the_one(4, "error", r"shmbusd.service has failed \(exit-code\) -> see why: journalctl -u shmbusd.service")
        self.assertEqual(box.property_of(box.SOCKET, "ActiveState"), "active", "it was left alone")


if __name__ == "__main__":
    box.main()
