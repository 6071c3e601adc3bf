#!/usr/bin/env python3
"""A user's own units: the same daemon, socket and keeping of descriptors, for one user alone."""

import os
import pwd
import signal
from pathlib import Path

import box
from box import wait_until


class UserTest(box.BoxTest):
    def as_user(self, user, *command):
        uid = pwd.getpwnam(user).pw_uid
        return box.run("runuser", "-u", user, "--", "env", f"XDG_RUNTIME_DIR=/run/user/{uid}", *command)

    def alice(self, *command):
        done = self.as_user("alice", *command)
        self.assertEqual(done.returncode, 0, f"{command}: {done.stdout}{done.stderr}")
        return done.stdout

    def main_pid(self):
        return int(self.alice("systemctl", "--user", "show", "--value", "-p", "MainPID", box.SERVICE))

    def test_a_users_bus(self):
        """Started at the first use, comes back with its rings, and nobody else gets in."""
        uid = pwd.getpwnam("alice").pw_uid
        box.systemctl("start", f"user@{uid}.service")
        self.alice("systemctl", "--user", "start", box.SOCKET)
        self.assertEqual(self.main_pid(), 0)
        self.alice("shmbus", "topic", "create", "t", "--retention", "memory")
        self.alice("shmbus", "topic", "create", "d")
        before = self.main_pid()
        self.assertNotEqual(before, 0)
        said = self.alice("shmbus", "doctor")
        self.assertRegex(said, f"checked .*, the daemon .pid {before}., access, units, .*: ")
        self.assertNotIn("nobody keeps", said)
        for topic in ("t", "d"):
            self.alice("shmbus", "pub", topic, "x")
        os.kill(before, signal.SIGKILL)
        wait_until("another daemon", lambda: self.main_pid() not in (0, before))
        for topic in ("t", "d"):
            self.assertEqual(self.alice("shmbus", "sub", topic, "--from", "all", "--count", "1"), "x\n")
        self.assertTrue(Path("/home/alice/.local/state/shmbus/topics/d").is_dir())
        self.assertEqual(oct(Path(f"/run/user/{uid}/shmbus.sock").stat().st_mode), "0o140600")
        socket = ("--socket", f"/run/user/{uid}/shmbus.sock")
        self.assertNotEqual(box.run("runuser", "-u", "bob", "--", "shmbus", *socket, "topic",
                                    "ls").returncode, 0)
        self.alice("systemctl", "--user", "stop", box.SOCKET, box.SERVICE)
        self.assertFalse(Path(f"/run/user/{uid}/shmbus.sock").exists())


if __name__ == "__main__":
    box.main()
