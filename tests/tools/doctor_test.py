#!/usr/bin/env python3
"""shmbus doctor: what it finds wrong with a real bus, for whom, and how it ends."""

import json
import os
import shutil
import signal
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import harness  # noqa: E402

# Nothing that is so of the machine that runs the tests, or of a daemon that nobody keeps anything for.
OF_THE_BUS = {"socket", "access", "topic", "subscription"}
STRANGER = 61_234


class DoctorTest(harness.BusTest):
    """Each test has a daemon of its own."""

    def setUp(self):
        self.place = self.directory / self.id().split(".")[-1]
        self.place.mkdir()
        self.place.chmod(0o755)
        self.start_daemon()

    def start_daemon(self):
        self.own = harness.Daemon(self.place)
        self.addCleanup(self.own.kill)
        self.env = harness.environment(SHMBUS_SOCKET=str(self.own.socket))

    def doctor(self, code, env=None):
        """Of what it finds with --json, what is about the bus; what it says to people agrees."""
        report = self.run_failing(code, "^$", "doctor", "--json", env=env).json
        self.assertEqual(report["healthy"], code == 0)
        text = self.run_tool("doctor", env=env).out.decode()
        for finding in report["findings"]:
            self.assertIn(finding["severity"], ("error", "warning", "note"))
            self.assertEqual(set(finding), {"severity", "check", "what", "do"} | ({"topic"} & set(finding)))
        self.assertRegex(text.splitlines()[-1], "^checked ")
        self.report = report
        return [finding for finding in report["findings"] if finding["check"] in OF_THE_BUS]

    def the_one(self, code, severity, what, to_do, **more):
        (finding,) = self.doctor(code, **more)
        self.assertEqual(finding["severity"], severity, finding)
        self.assertRegex(finding["what"], what)
        self.assertIn(to_do, finding["do"])
        return finding

    def test_healthy(self):
        """One line, which says what was checked; nothing that is asleep is woken."""
        self.run_ok("topic", "create", "t")
        self.assertEqual(self.doctor(0), [])
        self.assertEqual(self.report["socket"], str(self.own.socket))
        version = self.run_ok("--version").out.decode().split()[1]
        self.assertEqual(self.report["daemon"], {"pid": self.own.process.pid, "version": version})
        text = self.run_ok("doctor").out.decode()
        self.assertRegex(text, rf"(?m)^checked {self.own.socket} \(\$SHMBUS_SOCKET\), the daemon \(pid "
                               rf"{self.own.process.pid}\), access, .*the host, the disk of {self.place}/state, "
                               "1 topic: ")

    def test_leaves_those_asleep_that_sleep(self):
        """What there is to say of them it says all the same."""
        self.run_ok("topic", "create", "t")
        self.run_ok("pub", "t", "--lines", stdin=b"1\n2\n")
        self.run_ok("sub", "t", "--name", "s", "--count", "1")
        self.run_ok("subscription", "pause", "t", "s")
        harness.wait_until("t to fall asleep", lambda: self.info("t")["memory_bytes"] == 0)
        self.the_one(0, "warning", "paused, with 1 event to come", "resume")
        self.assertEqual(self.info("t")["memory_bytes"], 0)

    def test_changes_nothing(self):
        """Not a file, and not a topic."""
        self.run_ok("topic", "create", "t")
        self.run_ok("pub", "t", "x", "--wait-durable")
        self.run_ok("subscription", "create", "t", "s", "--from", "all")
        # What is written once a second is there by then.
        harness.wait_until("t to fall asleep", lambda: self.info("t")["memory_bytes"] == 0)

        def files():
            return {path: path.read_bytes() for path in self.place.rglob("*") if path.is_file()
                    and path != self.own.log}

        before = files(), self.info("t"), self.run_ok("subscription", "ls", "--json").json
        self.doctor(0)
        self.assertEqual((files(), self.info("t"), self.run_ok("subscription", "ls", "--json").json), before)

    def test_no_daemon(self):
        """It ends with 4, says how to start one, and looks at all that needs none."""
        self.own.stop()
        self.the_one(4, "error", "there is no socket .*bus.sock", "start one: shmbusd --supervise --socket")
        self.assertIsNone(self.report["daemon"])
        self.assertIn(", the host", self.run_tool("doctor").out.decode())

    def test_a_stale_socket(self):
        self.own.kill()
        self.the_one(4, "error", "nobody listens at .*bus.sock", "start one: shmbusd")

    def test_a_file_in_place_of_the_socket(self):
        self.own.stop()
        self.own.socket.write_text("x")
        self.the_one(4, "error", "is a file, and no socket", "name another path")

    def test_no_runtime_directory(self):
        self.own.stop()
        env = {k: v for k, v in harness.environment().items() if k != "XDG_RUNTIME_DIR"}
        done = self.run_failing(1, "^$", "--user", "doctor", "--json", env=env)
        finding = done.json["findings"][0]
        self.assertRegex(finding["what"], "XDG_RUNTIME_DIR is not set")
        self.assertRegex(finding["do"], "SHMBUS_SOCKET")
        self.assertIsNone(done.json["socket"])

    def test_a_daemon_that_is_stopped(self):
        self.own.process.send_signal(signal.SIGSTOP)
        self.addCleanup(self.own.process.send_signal, signal.SIGCONT)
        report = self.run_failing(1, "^$", "doctor", "--json").json
        (finding,) = (f for f in report["findings"] if f["severity"] == "error")
        self.assertEqual((finding["check"], finding["do"]), ("daemon", f"kill -CONT {self.own.process.pid}"))

    def test_a_daemon_whose_program_was_replaced(self):
        program = self.place / "shmbusd"
        shutil.copy(harness.SHMBUSD, program)
        socket = self.place / "other.sock"
        libraries = f"{harness.BUILD}/libshmbus"
        other = subprocess.Popen([program, "--socket", socket, "--memory-only"], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                 env=harness.environment(LD_LIBRARY_PATH=libraries))
        self.addCleanup(other.wait)
        self.addCleanup(other.kill)
        harness.wait_until("its socket", socket.exists)
        program.unlink()
        done = self.run_ok("--socket", socket, "doctor", "--json", env=harness.environment())
        self.assertIn("has been replaced", json.dumps(done.json))

    def test_topics_in_memory_that_nobody_keeps(self):
        self.run_ok("topic", "create", "t", "--retention", "memory")
        self.doctor(0)
        self.assertIn("nobody keeps the memory of 1 topic", json.dumps(self.report))

    def test_a_parent_keeps_them(self):
        socket = self.place / "kept.sock"
        parent = subprocess.Popen([harness.SHMBUSD, "--supervise", "--socket", socket, "--memory-only"],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, env=harness.environment())
        self.addCleanup(parent.wait)
        self.addCleanup(parent.terminate)
        harness.wait_until("its socket", socket.exists)
        self.env = harness.environment(SHMBUS_SOCKET=str(socket))
        self.run_ok("topic", "create", "t", "--retention", "memory")
        self.assertEqual(self.doctor(0), [])
        self.assertNotIn("nobody keeps", json.dumps(self.report))
        self.assertNotEqual(self.report["daemon"]["pid"], parent.pid)

    def test_a_parent_that_is_stopped(self):
        """With its daemon alive, and dead: nobody else would say why there is none."""
        socket = self.place / "kept.sock"
        parent = subprocess.Popen([harness.SHMBUSD, "--supervise", "--socket", socket, "--memory-only"],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, env=harness.environment())
        self.addCleanup(parent.wait)
        self.addCleanup(parent.kill)
        harness.wait_until("its socket", socket.exists)
        self.env = harness.environment(SHMBUS_SOCKET=str(socket))
        self.run_ok("topic", "ls")
        parent.send_signal(signal.SIGSTOP)
        self.addCleanup(parent.send_signal, signal.SIGCONT)
        harness.wait_until("it to stand", lambda: "\nState:\tT" in Path(f"/proc/{parent.pid}/status").read_text())

        def expect(what):
            report = self.run_failing(1, "^$", "doctor", "--json").json
            (finding,) = (f for f in report["findings"] if f["severity"] == "error")
            self.assertRegex(finding["what"], what)
            self.assertEqual((finding["check"], finding["do"]), ("daemon", f"kill -CONT {parent.pid}"))
            return report["daemon"]

        daemon = expect(rf"parent of the daemon \(pid {parent.pid}\) is stopped")["pid"]
        os.kill(daemon, signal.SIGKILL)
        self.assertIsNone(expect(rf"the daemon is dead, and its parent \(pid {parent.pid}\)"))
        parent.send_signal(signal.SIGCONT)
        harness.wait_until("another daemon", lambda: self.run_tool("topic", "ls").code == 0)
        self.assertEqual(self.doctor(0), [])

    def test_a_stopped_subscriber_that_publishers_wait_for(self):
        self.run_ok("topic", "create", "t", "--retention", "memory", "--capacity", "4", "--evict-after", "1h")
        sub = self.start_sub("t", "--from", "all")
        self.run_ok("pub", "t", "first")
        self.wait_for_output(sub, b"first")
        sub.send(signal.SIGSTOP)
        harness.wait_until("it to stand", lambda: "\nState:\tT" in Path(f"/proc/{sub.pid}/status").read_text())
        self.run_ok("pub", "t", "x")
        self.the_one(0, "warning", f"pid {sub.pid} .* is stopped: publishers will wait", "")
        self.run_failing(3, "", "pub", "t", "--lines", "--timeout", "1s", stdin=b"x\n" * 9)
        finding = self.the_one(1, "error", rf"pid {sub.pid} \(shmbus\) has 4 events of topic 't' to "
                                           "acknowledge and is stopped: publishers wait for that",
                               f"kill -CONT {sub.pid}")
        self.assertEqual(finding["topic"], "t")

    def test_a_stopped_subscriber_with_a_name_that_is_not_ascii(self):
        """The bus shows another name than the kernel."""
        tool = self.place / "shmbüs"
        shutil.copy(harness.SHMBUS, tool)
        self.run_ok("topic", "create", "t", "--retention", "memory")
        sub = subprocess.Popen([tool, "sub", "t"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL,
                               env={**self.env, "LD_LIBRARY_PATH": f"{harness.BUILD}/libshmbus"})
        self.addCleanup(sub.wait)
        self.addCleanup(sub.kill)
        harness.wait_until("it to subscribe", lambda: sub.pid in self.pids("t"))
        sub.send_signal(signal.SIGSTOP)
        harness.wait_until("it to stand", lambda: "\nState:\tT" in Path(f"/proc/{sub.pid}/status").read_text())
        self.the_one(0, "warning", rf"pid {sub.pid} \(shmb\?\?s\), a subscriber of topic 't', is stopped",
                     f"kill -CONT {sub.pid}")

    def test_a_subscriber_that_acknowledges_nothing(self):
        self.run_ok("topic", "create", "t", "--retention", "memory", "--capacity", "4", "--evict-after", "1h")
        sub = self.start_sub("t", "--from", "all", "--no-ack")
        self.run_ok("pub", "t", "--lines", stdin=b"x\n" * 4)
        self.the_one(1, "error", f"pid {sub.pid} .* acknowledged none in a second: publishers wait", "--lossy")

    def test_subscriptions(self):
        """Paused, not received by anybody, and too late; of topics that are awake."""
        self.run_ok("topic", "create", "t", "--hold")
        self.start_sub("t", "--from", "all")  # lest it falls asleep
        self.run_ok("subscription", "create", "t", "s", "--from", "all")
        self.run_ok("pub", "t", "--lines", stdin=b"x\n" * 3)
        self.the_one(0, "warning", "nobody receives from subscription 's' of topic 't', and 3 events",
                     "subscription rm t s")
        self.run_ok("subscription", "pause", "t", "s")
        self.the_one(0, "warning", "'s' of topic 't' is paused, with 3 events", "subscription resume t s")
        self.run_ok("topic", "create", "m", "--retention", "memory", "--capacity", "2")
        self.run_ok("subscription", "create", "m", "late", "--from", "all")
        self.run_ok("pub", "m", "--lines", stdin=b"x\n" * 5)
        late, note = (f for f in self.doctor(0) if f.get("topic") == "m")
        self.assertIn("'late' of topic 'm' has not had 3 events that are gone", late["what"])
        self.assertEqual(note["severity"], "note")

    def test_a_topic_that_is_drained(self):
        self.run_ok("topic", "create", "t")
        self.run_ok("topic", "drain", "t")
        self.the_one(0, "warning", "topic 't' is being drained", "topic drain t --undo")

    def test_a_topic_that_cannot_be_opened(self):
        self.run_ok("topic", "create", "well")
        self.run_ok("topic", "create", "bad")
        self.own.stop()
        for path in (self.place / "state/topics/bad").iterdir():
            path.write_bytes(b"\0" * path.stat().st_size)
        self.start_daemon()
        self.doctor(1)
        (bad,) = (f for f in self.report["findings"] if f["check"] == "disk" and f["severity"] == "error")
        self.assertEqual(bad["topic"], "bad")
        self.assertRegex(bad["what"], "bad is on disk and cannot be opened")
        self.assertRegex(bad["do"], "spill verify .*/state/topics/bad$")

    def test_directories_that_were_moved_away(self):
        """Which ones: whoever asks would see them if they were there."""
        self.run_ok("topic", "create", "t")
        state = self.place / "state"
        for moved, what in ((state / "topics/t", "directory of topic 't' is not in "),
                            (state / "topics", f"keeps topics in {state}/topics, and there is no such"),
                            (state, f"keeps topics in {state}, and there is no such")):
            moved.rename(self.place / "away")
            try:
                self.doctor(0)
            finally:
                (self.place / "away").rename(moved)
            (finding,) = (f for f in self.report["findings"] if f["check"] == "disk" and "direct" in f["what"])
            self.assertEqual(finding["severity"], "warning")
            self.assertIn(what, finding["what"])
            self.assertIn("put it back", finding["do"])
            self.assertNotIn("does not get to see what", json.dumps(self.report))
            self.assertNotIn("does not get to see the disk", json.dumps(self.report))

    def test_a_disk_that_fails(self):
        self.run_ok("topic", "create", "t", "--capacity", "64")
        (thread,) = (task.name for task in Path(f"/proc/{self.own.process.pid}/task").iterdir()
                     if (task / "comm").read_text() == "shmbus-disk\n")
        strace = subprocess.Popen(["strace", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,pwrite64", "-e",
                                   "inject=fdatasync,pwrite64:error=EIO", "-p", thread],
                                  stdin=subprocess.DEVNULL)
        self.addCleanup(strace.wait)
        self.addCleanup(strace.terminate)
        status = Path(f"/proc/{self.own.process.pid}/task/{thread}/status")
        harness.wait_until("strace", lambda: f"TracerPid:\t{strace.pid}\n" in status.read_text())
        self.run_ok("pub", "t", "x")
        harness.wait_until("trouble", lambda: self.info("t")["trouble"])
        finding = self.the_one(1, "error", "topic 't' takes nothing to the disk .*: Input/output error",
                               "journalctl -k")
        self.assertEqual(finding["topic"], "t")

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to become another user")
    def test_another_user(self):
        """Refused: what the daemon says. Kept out: why. Let in: what it does not get to see."""
        tool = self.place / "shmbus"
        shutil.copy(harness.SHMBUS, tool)
        shutil.copy(next((harness.BUILD / "libshmbus").glob("libshmbus.so.?")), self.place)
        self.directory.chmod(0o755)

        def doctor(code):
            done = subprocess.run(["setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups",
                                   "--inh-caps=-all", "env", f"LD_LIBRARY_PATH={self.place}", tool, "doctor",
                                   "--json"], capture_output=True, check=False, env=self.env,
                                  timeout=harness.PATIENCE)
            self.assertEqual(done.returncode, code, done)
            return {f["check"]: f for f in json.loads(done.stdout)["findings"]}

        refused = doctor(1)["access"]
        self.assertRegex(refused["what"], f"user {STRANGER} may not use this bus")
        self.assertRegex(refused["do"], "^as root: ")
        self.own.socket.chmod(0o600)
        self.assertRegex(doctor(1)["socket"]["what"], rf"is user 0's own \(mode 0600\), and you are user {STRANGER}")
        self.own.stop()
        config = self.place / "conf"
        config.write_text(f"[Access]\nUse=user:{STRANGER}\n")
        log = (self.place / "log").open("wb")
        self.addCleanup(log.close)
        daemon = subprocess.Popen([harness.SHMBUSD, "--socket", self.own.socket, "--config", config,
                                   "--state-dir", self.place / "state"], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=log, env=harness.environment())
        self.addCleanup(daemon.wait)
        self.addCleanup(daemon.kill)
        harness.wait_until("shmbusd", lambda: b"\nready\n" in (self.place / "log").read_bytes())
        self.run_ok("topic", "create", "t")
        note = doctor(0)["sight"]
        self.assertEqual(note["severity"], "note")
        self.assertRegex(note["what"], f"user {STRANGER} does not get to see how many files .* what topics have in ")
        self.assertEqual(note["do"], f"sudo shmbus --socket {self.own.socket} doctor")


if __name__ == "__main__":
    harness.main()
