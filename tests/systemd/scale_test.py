#!/usr/bin/env python3
"""shmbus scale: as many units as there is work for, by a real systemd."""

import os
import shutil
import signal
from pathlib import Path

import box
from box import wait_until

UNITS = Path("/etc/systemd/system")
EXAMPLES = box.harness.TREE / "examples" / "systemd"
RECORDER = Path("/usr/local/bin/record-when-open")
QUICK = ("--interval", "50ms", "--idle", "500ms", "--lag", "10")


class ScaleTest(box.BoxTest):
    def setUp(self):
        super().setUp()
        self.name = self.id().split(".")[-1]
        self.seen = self.directory / f"{self.name}.seen"
        self.open = self.directory / f"{self.name}.open"
        self.seen.touch()
        self.seen.chmod(0o666)
        # Nobody is done with an event before the test says so.
        RECORDER.write_text('#!/bin/sh\nuntil [ -e "$2" ]; do sleep 0.01; done\necho "$SHMBUS_SEQ" >>"$1"\n')
        RECORDER.chmod(0o755)
        self.addCleanup(self.tidy)

    def tidy(self):
        self.open.touch()
        box.run("systemctl", "stop", f"{self.name}@*.service")
        shutil.rmtree(UNITS / f"{self.name}@.service.d", ignore_errors=True)
        (UNITS / f"{self.name}@.service").unlink(missing_ok=True)
        box.systemctl("daemon-reload")

    def unit(self, number):
        return f"{self.name}@{number}.service"

    def state(self, number):
        return box.property_of(self.unit(number), "ActiveState")

    def write_unit(self, *who, lines=()):
        """The example's, but another user's, and for this topic."""
        shutil.copy(EXAMPLES / "order-processor@.service", UNITS / f"{self.name}@.service")
        folder = UNITS / f"{self.name}@.service.d"
        folder.mkdir(exist_ok=True)
        command = f'shmbus --system sub {self.name} {" ".join(who)} --exec "{RECORDER} {self.seen} {self.open}"'
        (folder / "test.conf").write_text("\n".join(
            ("[Service]", "User=bob", "ExecStart=", f"ExecStart={command}", *lines, "")))
        box.systemctl("daemon-reload")

    def publish(self, count):
        self.run_ok("pub", self.name, "--lines", stdin=b"x\n" * count)

    def recorded(self):
        return sorted(int(line) for line in self.seen.read_text().splitlines())

    def await_recorded(self, last):
        """Each event once; which of several took it is not said."""
        wait_until(f"{last} events", lambda: len(self.recorded()) >= last)
        self.assertEqual(self.recorded(), list(range(1, last + 1)))

    def scale(self, *more):
        return self.start("--system", "scale", f"{self.name}/workers", "--unit", f"{self.name}@", *QUICK, "--json", *more)

    @staticmethod
    def decisions(running):
        return box.harness.Done(0, running.out[:running.out.rfind(b"\n") + 1], "").objects

    def await_decisions(self, running, *expected):
        """These and no others: an act, and the number of the instance."""
        def said():
            return [(one["act"], one["unit"]) for one in self.decisions(running)]

        expected = [(act, self.unit(number)) for act, number in expected]
        wait_until(f"{expected}", lambda: len(said()) >= len(expected))
        self.assertEqual(said(), expected)

    def interrupt(self, running):
        """It leaves all as it is."""
        running.send(signal.SIGINT)
        done = running.wait()
        self.assertEqual((done.code, done.err), (130, ""))

    def test_lag_starts_a_second_and_idle_stops_both(self):
        self.run_ok("topic", "create", self.name)
        self.run_ok("subscription", "create", self.name, "workers", "--group")
        self.write_unit("--group", "workers")
        self.publish(50)
        running = self.scale("--max", "2")
        self.await_decisions(running, ("start", 1), ("start", 2))
        wait_until("both", lambda: [self.state(n) for n in (1, 2)] == ["active"] * 2)
        self.open.touch()
        self.await_recorded(50)
        acts = [("start", 1), ("start", 2), ("stop", 2), ("stop", 1)]
        self.await_decisions(running, *acts)
        wait_until("none", lambda: [self.state(n) for n in (1, 2)] == ["inactive"] * 2)
        self.publish(1)
        self.await_decisions(running, *acts, ("start", 1))
        self.await_recorded(51)
        one = self.decisions(running)[1]
        self.assertEqual((one["topic"], one["subscription"], one["running"], one["lag"]),
                         (self.name, "workers", 1, 50))
        self.assertRegex(one["why"], "lag 50 is above 10 for 3 rounds")
        self.assertRegex(one["time"], r"^20\d\d-.*Z$")

    def test_one_that_is_no_group(self):
        """One at a time, again and again; what is interrupted leaves it as it is."""
        self.run_ok("topic", "create", self.name)
        self.run_ok("subscription", "create", self.name, "workers")
        self.write_unit("--name", "workers")
        self.open.touch()
        running = self.scale("--max", "1")
        acts = []
        for last in (20, 40):
            self.publish(20)
            self.await_recorded(last)
            acts += [("start", 1), ("stop", 1)]
            self.await_decisions(running, *acts)
            wait_until("its end", lambda: self.state(1) == "inactive")
        self.open.unlink()
        self.publish(1)
        wait_until("its start", lambda: self.state(1) == "active")
        self.interrupt(running)
        self.assertEqual(self.state(1), "active")

    def test_the_daemon_is_killed(self):
        """And comes back; nothing is missed."""
        self.run_ok("topic", "create", self.name)
        self.run_ok("subscription", "create", self.name, "workers")
        self.write_unit("--name", "workers")
        self.open.touch()
        running = self.scale("--max", "1")
        self.publish(20)
        before = box.main_pid()
        os.kill(before, signal.SIGKILL)
        self.await_recorded(20)
        self.await_decisions(running, ("start", 1), ("stop", 1))
        self.publish(20)
        self.await_recorded(40)

    def test_a_unit_that_fails(self):
        """Is said, and tried again after a pause."""
        self.run_ok("topic", "create", self.name)
        self.run_ok("subscription", "create", self.name, "workers")
        self.write_unit("--name", "workers", lines=("ExecStartPre=false", "Restart=no"))
        running = self.scale("--max", "1")
        self.publish(1)
        self.await_decisions(running, ("start", 1), ("failed", 1))
        self.assertRegex(self.decisions(running)[1]["why"], r"it failed \(exit-code\): see journalctl .*for 5s")
        self.write_unit("--name", "workers")
        self.open.touch()
        self.await_recorded(1)
        self.await_decisions(running, ("start", 1), ("failed", 1), ("start", 1), ("stop", 1))

    def test_refused(self):
        """Without a template there is nothing to scale; and units are root's to start."""
        self.run_ok("topic", "create", self.name)
        self.run_ok("subscription", "create", self.name, "workers")
        self.publish(1)
        arguments = ("scale", f"{self.name}/workers", "--unit", f"{self.name}@", "--max", "1")
        done = self.run_tool("--system", *arguments)
        self.assertEqual(done.code, 5)
        self.assertIn(f"there is no unit {self.unit(1)}: write its template", done.err)
        self.write_unit("--name", "workers")
        done = self.run_as("bob", *arguments)
        self.assertEqual(done.returncode, 6, done.stderr)
        self.assertIn("systemd refuses", done.stderr)


if __name__ == "__main__":
    box.main()
