#!/usr/bin/env python3
"""Consumers that the daemon has systemd start when there is work for them, and that end when there is none."""

import os
import shutil
import signal
from pathlib import Path

import box
from box import wait_until

UNITS = Path("/etc/systemd/system")
EXAMPLES = box.harness.TREE / "examples" / "systemd"
RECORDER = Path("/usr/local/bin/record")


class ActivateTest(box.BoxTest):
    def setUp(self):
        super().setUp()
        self.name = f"{self.id().split('.')[-1]}"
        self.service = f"{self.name}.service"
        self.seen = self.directory / f"{self.name}.seen"
        self.seen.touch()
        self.seen.chmod(0o666)
        RECORDER.write_text('#!/bin/sh\necho "$SHMBUS_SEQ" >>"$1"\n')
        RECORDER.chmod(0o755)
        Path("/etc/shmbus").mkdir(exist_ok=True)
        self.addCleanup(self.tidy)

    def tidy(self):
        shutil.rmtree("/etc/shmbus")
        box.systemctl("reload", box.SERVICE)
        box.run("systemctl", "stop", self.service)
        shutil.rmtree(UNITS / f"{self.service}.d", ignore_errors=True)
        (UNITS / self.service).unlink(missing_ok=True)
        box.systemctl("daemon-reload")

    def write_unit(self, topic, *lines, how="--name"):
        """The example's, as another user, for this topic, and it ends soon."""
        shutil.copy(EXAMPLES / "mailer.service", UNITS / self.service)
        folder = UNITS / f"{self.service}.d"
        folder.mkdir(exist_ok=True)
        command = f'shmbus --system sub {topic} {how} mail --timeout 1s --exec "{RECORDER} {self.seen}"'
        (folder / "test.conf").write_text("\n".join(
            ("[Service]", "User=bob", "ExecStart=", f"ExecStart={command}", *lines, "")))
        box.systemctl("daemon-reload")

    def configure(self, topic, reload=True):
        Path("/etc/shmbus/shmbusd.conf").write_text(f"[Activate {topic}/mail]\nUnit={self.service}\n")
        self.run_ok("topic", "ls")  # so that there is a daemon
        if reload:
            box.systemctl("reload", box.SERVICE)

    def recorded(self):
        return [int(line) for line in self.seen.read_text().splitlines()]

    def await_recorded(self, last):
        """Each event once and in order, up to this one."""
        wait_until(f"event {last}", lambda: self.recorded()[-1:] == [last])
        self.assertEqual(self.recorded(), list(range(1, last + 1)))

    def await_state(self, state):
        wait_until(state, lambda: box.property_of(self.service, "ActiveState") == state)

    def said(self, pattern):
        def find():
            lines = [line["MESSAGE"] for line in box.journal("-u", box.SERVICE, f"SHMBUS_TOPIC={self.name}")]
            return next((line for line in lines if pattern in line), None)
        return wait_until(f"{pattern!r} in the journal", find)

    def make(self):
        self.run_ok("topic", "create", self.name)
        return self.name

    def test_an_event_starts_its_service(self):
        """Again each time that it has ended for want of work; no system call of that is refused."""
        box.drop_in("kill", "SystemCallErrorNumber=kill")
        box.systemctl("restart", box.SERVICE)
        topic = self.make()
        self.write_unit(topic)
        self.configure(topic)
        pid = box.main_pid()
        self.assertEqual(box.property_of(self.service, "ActiveState"), "inactive")
        for last in (3, 6):
            self.run_ok("pub", topic, "--lines", stdin=b"a\nb\nc\n")
            self.await_recorded(last)
            self.await_state("inactive")
            self.assertEqual(box.property_of(self.service, "Result"), "success")
        self.said(f"started {self.service}, as subscription mail has work")
        self.assertEqual(box.main_pid(), pid)

    def test_a_group(self):
        """Has its unit started when it has no member, and not while it has one."""
        topic = self.make()
        self.write_unit(topic, "User=root", how="--group")  # it is whose who joins first
        self.configure(topic)
        member = self.start_sub(topic, "--group", "mail")
        self.run_ok("pub", topic, "--lines", stdin=b"a\nb\n")
        self.wait_for_output(member, b"a\nb\n")
        member.send(signal.SIGINT)
        member.wait()
        self.assertEqual(self.recorded(), [])
        self.run_ok("pub", topic, "c")
        wait_until("event 3", lambda: self.recorded() == [3])
        self.await_state("inactive")

    def test_work_that_a_daemon_finds_when_it_starts(self):
        """Of a topic that is asleep."""
        topic = self.make()
        self.run_ok("pub", topic, "--lines", "--wait-durable", stdin=b"a\nb\n")
        self.write_unit(topic)
        self.configure(topic, reload=False)
        box.systemctl("restart", box.SERVICE)
        self.await_recorded(2)

    def test_a_consumer_that_is_killed(self):
        """Comes again, and goes on where it was."""
        topic = self.make()
        self.write_unit(topic)
        self.configure(topic)
        self.run_ok("pub", topic, "a")
        self.await_recorded(1)
        wait_until("it to be acknowledged", lambda: self.run_ok(
            "subscription", "info", topic, "mail", "--json").json["cursor"] == 1)
        box.systemctl("kill", "--signal=STOP", self.service)
        self.run_ok("pub", topic, "b")
        os.kill(int(box.property_of(self.service, "MainPID")), signal.SIGKILL)
        self.await_recorded(2)

    def test_a_unit_that_is_not_there(self):
        """Is told of, costs nothing else, and is started when it is there and the daemon was told."""
        topic = self.make()
        self.configure(topic)
        self.run_ok("pub", topic, "a")
        self.said("cannot be started: there is no such unit")
        self.write_unit(topic)
        box.systemctl("reload", box.SERVICE)
        self.await_recorded(1)

    def test_a_unit_that_fails(self):
        topic = self.make()
        self.write_unit(topic, "ExecStartPre=false")
        self.configure(topic)
        self.run_ok("pub", topic, "a")
        self.said("has failed (exit-code) and is started again")
        self.write_unit(topic)
        self.await_recorded(1)

    def test_who_may_start_units(self):
        """root alone: without its helper the daemon is refused, and says what to do."""
        topic = self.make()
        self.write_unit(topic)
        self.configure(topic)
        self.addCleanup(box.systemctl, "start", "shmbusd-activate.socket")
        box.systemctl("stop", "shmbusd-activate.socket")
        self.run_ok("pub", topic, "a")
        self.said("may not start it: systemctl start shmbusd-activate.socket")
        self.assertEqual(self.recorded(), [])
        box.systemctl("start", "shmbusd-activate.socket")
        self.await_recorded(1)

    def test_who_may_ask_the_helper(self):
        """The daemon's user and root, and they for nothing that the configuration does not name."""
        self.run_ok("topic", "ls")
        socket = Path("/run/shmbusd-activate.sock").stat()
        daemon = Path(f"/proc/{box.main_pid()}").stat()
        self.assertEqual((socket.st_uid, oct(socket.st_mode)), (daemon.st_uid, "0o140600"))
        ask = ("shmbusd", "--system", "--activate")
        done = box.run_ok("sh", "-c", f"echo {self.name}/other | {' '.join(ask)}")
        self.assertIn("has no such [Activate]", done)


if __name__ == "__main__":
    box.main()
