#!/usr/bin/env python3
"""The configuration of a real daemon: what counts more than what, topics that are declared, reload."""

import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import harness  # noqa: E402

ORDERS = "[Topic orders]\nRetention=memory\nCapacity=64\n"


class ConfigTest(unittest.TestCase):
    """Each test has daemons of its own."""

    def setUp(self):
        self.directory = Path(tempfile.mkdtemp(prefix="shmbus-test-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.config = self.directory / "shmbusd.conf"
        self.socket = self.directory / "bus.sock"
        self.log = self.directory / "log"
        self.looked_at = 0

    def write(self, text, drop_in=None):
        path = self.directory / "shmbusd.conf.d" / drop_in if drop_in else self.config
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def start(self, *arguments, ready=True, **env):
        with self.log.open("ab") as log:
            daemon = subprocess.Popen(
                [harness.SHMBUSD, "--config", self.config, *arguments], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=log, env=harness.environment(**env))
        self.addCleanup(daemon.wait)
        self.addCleanup(daemon.kill)
        if ready:
            self.wait_for("^ready$")
        return daemon

    def start_here(self, *arguments, **env):
        return self.start("--socket", self.socket, "--memory-only", *arguments, **env)

    def wait_for(self, pattern):
        """A line of the log behind the last one that was waited for."""
        def find():
            text = self.log.read_text(errors="replace") if self.log.exists() else ""
            found = re.compile(pattern, re.MULTILINE).search(text, self.looked_at)
            if found:
                self.looked_at = found.end()
            return found
        try:
            return harness.wait_until(pattern, find).group()
        except AssertionError as error:
            raise AssertionError(f"{error}; the log: {self.log.read_text()}") from error

    def reload(self, daemon, pattern="the configuration was read again"):
        daemon.send_signal(signal.SIGHUP)
        return self.wait_for(pattern)

    def run_tool(self, *arguments, code=0, at=None):
        done = subprocess.run([harness.SHMBUS, "--socket", at or self.socket, *arguments],
                              capture_output=True, text=True, check=False, timeout=harness.PATIENCE,
                              env=harness.environment())
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def capacity(self, topic):
        info = self.run_tool("topic", "info", topic, "--json").stdout
        return re.search(r'"capacity":(\d+)', info).group(1)

    def stop(self, daemon):
        daemon.terminate()
        self.assertEqual(daemon.wait(harness.PATIENCE), 0)

    # What counts more than what.

    def test_the_socket_is_by_option_environment_drop_in_file(self):
        at = {name: self.directory / name for name in ("file", "dropin", "environment", "option")}
        self.write(f"[Daemon]\nSocket={at['file']}\nMemoryOnly=yes\n")
        self.stop(self.check_listens(at["file"]))
        self.write(f"[Daemon]\nSocket={self.directory}/early\n", drop_in="10.conf")
        self.write(f"[Daemon]\nSocket={at['dropin']}\n", drop_in="20.conf")
        self.stop(self.check_listens(at["dropin"]))
        self.stop(self.check_listens(at["environment"], SHMBUS_SOCKET=str(at["environment"])))
        self.stop(self.check_listens(at["option"], "--socket", at["option"],
                                     SHMBUS_SOCKET=str(at["environment"])))

    def check_listens(self, at, *arguments, **env):
        daemon = self.start(*arguments, **env)
        self.run_tool("topic", "ls", at=at)
        return daemon

    def test_the_state_directory_likewise(self):
        places = [self.directory / name for name in ("file", "environment", "option")]
        self.write(f"[Daemon]\nStateDirectory={places[0]}\n")
        environment = {"STATE_DIRECTORY": str(places[1])}
        for place, arguments, env in ((places[0], (), {}), (places[1], (), environment),
                                      (places[2], ("--state-dir", places[2]), environment)):
            self.assertFalse(place.exists())
            self.stop(self.start("--socket", self.socket, *arguments, **env))
            self.assertTrue((place / "socket").exists())

    def test_a_bus_at_another_socket_has_no_configuration_by_itself(self):
        (self.directory / "shmbus").mkdir()
        (self.directory / "shmbus" / "shmbusd.conf").write_text("[Nonsense]\n")
        env = {"XDG_CONFIG_HOME": str(self.directory), "XDG_RUNTIME_DIR": str(self.directory)}
        done = subprocess.run([harness.SHMBUSD, "--user", "--memory-only"], capture_output=True, text=True,
                              check=False, timeout=harness.PATIENCE, env=harness.environment(**env))
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"shmbus/shmbusd.conf:1: no section is called 'Nonsense'")
        daemon = harness.Daemon(self.directory, state=False)
        self.addCleanup(daemon.kill)
        self.assertEqual(daemon.stop(), 0)

    # What is wrong with it.

    def test_a_mistake_refuses_the_start(self):
        self.write("")
        self.write("[Limits]\nTopicPerUser=5\n", drop_in="10.conf")
        self.refused(f"{self.config}.d/10.conf:2: no key of [Limits] is called 'TopicPerUser'; is it "
                     "TopicsPerUser?")
        self.config.unlink()
        self.refused(f"there is no configuration {self.config}; make it, or choose another --config")

    def refused(self, why):
        done = harness.run_daemon("--config", self.config, "--socket", self.socket)
        self.assertEqual((done.returncode, done.stderr), (1, f"shmbusd: {why}\n"))

    def test_a_mistake_at_reload_changes_nothing(self):
        self.write(ORDERS + "[Limits]\nTopicsPerUser=2\n")
        daemon = self.start_here()
        self.write("[Limits]\nTopicsPerUser=5\n[Topic other]\nRetention=tape\n")
        self.reload(daemon, r"shmbusd.conf:4: Retention=: 'tape' is neither disk nor memory; the "
                            "configuration before it stays")
        self.run_tool("topic", "create", "second", "--profile", "fast")
        refused = self.run_tool("topic", "create", "third", "--profile", "fast", code=6)
        self.assertIn("TopicsPerUser= of [Limits]", refused.stderr)
        self.write("[Limits]\nTopicsPerUser=5\n")
        self.reload(daemon)
        self.run_tool("topic", "create", "third", "--profile", "fast")
        self.run_tool("topic", "info", "other", code=5)
        self.stop(daemon)

    # Topics.

    def test_declared_topics_are_there_when_it_is_ready(self):
        self.write(ORDERS + f"[Topic kept]\nKeepBytes=4M\n[Daemon]\nStateDirectory={self.directory}/state\n")
        for _ in range(2):
            daemon = self.start("--socket", self.socket)
            self.assertEqual(self.capacity("orders"), "64")
            self.run_tool("pub", "kept", "event")
            self.stop(daemon)
        self.assertNotIn("differ", self.log.read_text())
        self.assertEqual(len(re.findall("made topic kept", self.log.read_text())), 1)

    def test_one_that_is_another_stays_as_it_is(self):
        self.write(ORDERS)
        daemon = self.start_here()
        self.write("[Topic orders]\nCapacity=128\nPool=2M\n")
        self.reload(daemon)
        self.assertIn("shmbusd.conf:1: topic orders exists with other options, and stays as it is: "
                      "capacity is 64, not 128; pool is 67108864, not 2097152; remove it",
                      self.log.read_text())
        self.assertEqual(self.capacity("orders"), "64")
        self.write("[Topic orders]\nCapacity=64\n[Topic more]\nRetention=memory\n")
        before = self.log.read_text().count("other options")
        self.reload(daemon)
        self.assertEqual(self.log.read_text().count("other options"), before, "what is not said is not compared")
        self.run_tool("topic", "info", "more")
        self.stop(daemon)

    def test_one_that_cannot_be_made_costs_nobody_else(self):
        self.write("[Topic onDisk]\nRetention=disk\n" + ORDERS)
        daemon = self.start_here()
        self.assertRegex(self.log.read_text(), "topic onDisk is not as declared: .*nothing on disk")
        self.assertEqual(self.capacity("orders"), "64")
        self.stop(daemon)

    def test_one_in_memory_that_a_client_has_goes_on_after_a_kill(self):
        self.write(ORDERS)
        daemon = self.start_here()
        sub = subprocess.Popen([harness.SHMBUS, "--socket", self.socket, "sub", "orders", "--from", "all"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               env=harness.environment())
        self.addCleanup(sub.stdout.close)
        self.addCleanup(sub.wait)
        self.addCleanup(sub.kill)
        self.run_tool("pub", "orders", "one")
        self.assertEqual(sub.stdout.readline(), b"one\n")
        daemon.kill()
        daemon.wait()
        daemon = self.start_here()
        self.wait_for_nothing_made()
        self.assertEqual(self.run_tool("pub", "orders", "two", "--json").stdout.count('"first":2'), 1)
        self.assertEqual(sub.stdout.readline(), b"two\n")
        self.stop(daemon)

    def wait_for_nothing_made(self):
        text = self.log.read_text()
        self.assertIn("was handed back by a client", text)
        self.assertEqual(text.count("made topic orders"), 1, text)

    # Reload.

    def test_what_needs_a_restart_says_so(self):
        self.write("")
        daemon = self.start_here()
        self.write(f"[Daemon]\nSocket={self.directory}/other\nStateDirectory={self.directory}/other.state\n")
        self.reload(daemon)
        for key in ("Socket", "StateDirectory"):
            self.wait_for(f"{key}= has changed, which counts when shmbusd is started again")
        self.run_tool("topic", "ls")
        self.stop(daemon)

    def test_the_service_manager_is_told(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(self.directory / "notify"))
            manager.settimeout(harness.PATIENCE)
            self.write("")
            for arguments in ((), ("--supervise",)):
                daemon = self.start("--socket", self.socket, "--memory-only", *arguments, ready=False,
                                    NOTIFY_SOCKET=str(self.directory / "notify"))
                self.hear(manager, b"READY=1")
                daemon.send_signal(signal.SIGHUP)
                self.hear(manager, rb"RELOADING=1\nMONOTONIC_USEC=[1-9]\d+")
                self.hear(manager, b"READY=1")
                self.stop(daemon)
                self.hear(manager, b"STOPPING=1")

    def hear(self, manager, pattern):
        while (heard := manager.recv(4096)).startswith((b"FDSTORE", b"STATUS")):
            pass
        self.assertRegex(heard, b"^" + pattern + b"$")

    def test_under_a_parent_it_is_passed_on(self):
        self.write("")
        daemon = self.start_here("--supervise")
        self.write(ORDERS)
        self.reload(daemon)
        self.assertEqual(self.capacity("orders"), "64")
        self.stop(daemon)

    # SIGHUP and terminals.

    def at_terminal(self, *arguments):
        """A daemon whose terminal is ours: its pid, and the descriptor that the terminal hangs on."""
        pid, terminal = pty.fork()
        if pid == 0:
            try:
                log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
                os.dup2(log, 2)
                os.execve(harness.SHMBUSD, [harness.SHMBUSD, "--config", self.config, "--socket",
                                            self.socket, "--memory-only", *arguments], harness.environment())
            finally:
                os._exit(127)
        self.addCleanup(self.kill, pid)
        self.wait_for("^ready$")
        return pid, terminal

    @staticmethod
    def kill(pid):
        """Unless the test has waited for it."""
        try:
            if os.waitpid(pid, os.WNOHANG)[0] == 0:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        except ChildProcessError:
            pass

    def wait_for_end(self, pid):
        """In good order."""
        self.assertEqual(harness.wait_until("its end", lambda: self.reaped(pid)), (pid, 0))

    @staticmethod
    def reaped(pid):
        ended = os.waitpid(pid, os.WNOHANG)
        return ended if ended[0] else None

    def test_a_terminal_that_closes_ends_it_and_nothing_else_does(self):
        for arguments in ((), ("--supervise",)):
            self.write("")
            pid, terminal = self.at_terminal(*arguments)
            os.kill(pid, signal.SIGHUP)
            self.wait_for("the configuration was read again")
            self.run_tool("topic", "ls")
            os.close(terminal)
            self.wait_for_end(pid)
            self.assertFalse(self.socket.exists(), "it ended in good order")

    def test_with_nohup_it_stays_and_reloads(self):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            self.write("")
            pid, terminal = self.at_terminal()
        finally:
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
        os.close(terminal)
        self.wait_for("the configuration was read again")
        os.kill(pid, signal.SIGHUP)
        self.wait_for("the configuration was read again")
        self.run_tool("topic", "ls")
        os.kill(pid, signal.SIGTERM)
        self.wait_for_end(pid)

    def test_consumers_without_systemd(self):
        """One line says that nobody starts them, and all else is as ever."""
        self.write("[Activate orders/mail]\nUnit=mailer.service\n" + ORDERS)
        daemon = self.start_here(DBUS_SYSTEM_BUS_ADDRESS=f"unix:path={self.directory}/none",
                                 DBUS_SESSION_BUS_ADDRESS=f"unix:path={self.directory}/none")
        self.run_tool("pub", "orders", "x")
        self.wait_for(r"nobody starts what \[Activate\] names: there is no .*D-Bus")
        self.reload(daemon)
        self.wait_for("nobody starts what")  # asked again at once
        self.run_tool("sub", "orders", "--name", "mail", "--count", "1")
        self.stop(daemon)
        self.assertEqual(self.log.read_text().count("nobody starts"), 2)

    def test_a_consumer_with_a_mistake(self):
        self.write("[Activate orders]\nUnit=mailer.service\n")
        daemon = self.start_here(ready=False)
        self.wait_for(r"shmbusd.conf:1: 'orders' is no subscription: write \[Activate TOPIC/NAME\]")
        self.assertEqual(daemon.wait(harness.PATIENCE), 1)


if __name__ == "__main__":
    harness.main()
