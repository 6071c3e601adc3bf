#!/usr/bin/env python3
"""What holds for every verb: help, typos, global options, bad names, no daemon, terminals."""

import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import harness  # noqa: E402

VERBS = [["topic", "create", "{}"], ["topic", "info", "{}"], ["topic", "rm", "{}"],
         ["topic", "drain", "{}"], ["pub", "{}", "data"], ["sub", "{}"]]
BAD_NAMES = ["..", "-n", ".", "_a", "a/b", "a b", "", "x" * 129, "\u00e4", b"\x80", b"a\xff", "a\x1b[2J"]


def with_name(verb, name):
    """The verb on a topic of this name, where nothing takes it for an option."""
    return [part for part in verb if part != "{}"][:2 if verb[0] == "topic" else 1] + ["--", name] + (
        ["data"] if verb[0] == "pub" else [])


class UsageTest(harness.BusTest):
    def test_help_says_what_there_is(self):
        """--help of the program and of every verb, on stdout, exit 0, with examples."""
        text = self.run_ok("--help").out.decode()
        for word in ("topic", "pub", "sub", "--socket", "--json", "Examples:", "Exit codes", "130"):
            self.assertIn(word, text)
        options = {
            "pub": ["--lines", "--framed", "--key", "--type", "--correlation", "--cause", "--header",
                    "--timeout", "--rate", "Examples:"],
            "sub": ["--from", "--type", "--key", "--count", "--timeout", "--no-ack", "--format",
                    "--exec", "--retries", "Examples:"],
            "topic": ["create", "ls", "info", "rm", "drain"],
            "scale": ["TOPIC/NAME", "--unit", "--max", "--min", "--lag", "--idle", "Examples:"],
            "spill": ["ls", "verify", "export", "TOPIC", "DIR", "Examples:"],
        }
        for verb, words in options.items():
            text = self.run_ok(verb, "--help").out.decode()
            for word in words:
                self.assertIn(word, text, verb)
        text = self.run_ok("bench", "--help").out.decode()
        self.assertEqual(re.findall(r"^  (\w+)  ", text, re.M)[-5:],
                         ["latency", "throughput", "fanout", "group", "spill"])
        text = self.run_ok("topic", "create", "--help").out.decode()
        for word in ("--full", "--capacity", "--slot", "--max-event", "--pool", "--if-missing"):
            self.assertIn(word, text)

    def test_version(self):
        """--version names the program and a version."""
        self.assertRegex(self.run_ok("--version").out.decode(), r"^shmbus \d+\.\d+\.\d+\n$")

    def test_wrong_usage(self):
        """Whatever is wrong with the command line: exit 2, and what it is."""
        for pattern, *arguments in [
            ("there is no 'puub'; did you mean 'pub'", "puub", "t"),
            ("there is no 'subscribe'", "subscribe", "t"),
            ("there is no 'xyz'; there are topic, pub, sub", "xyz"),
            ("there is no 'crate'; did you mean 'create'", "topic", "crate", "t"),
            ("There are create, ls, info, incidents, rm, drain", "topic"),
            ("TOPIC is required", "pub"),
            ("TOPIC is required", "sub"),
            ("NAME is required", "topic", "info"),
            ("not expected: '--frob'", "sub", "t", "--frob"),
            ("not expected: 'more'", "pub", "t", "data", "more"),
            ("--socket excludes", "--socket", "/x", "--user"),
            ("--user excludes|--system excludes", "--user", "--system"),
            ("put -- before", "pub", "t", "++"),
            ("^shmbus: --from is given more than once \\(see shmbus sub --help\\)\n$", "sub", "t",
             "--from", "1", "--from", "2"),
            ("--key is given more than once", "pub", "t", "--key", "a", "x", "--key=b"),
            ("--pool is given more than once", "topic", "create", "t", "--pool", "0", "--pool", "0"),
            ("--socket is given more than once", "--socket", "/x", "topic", "ls", "--socket", "/x"),
        ]:
            self.run_failing(2, pattern, *arguments)

    def test_wrong_usage_of_the_daemon(self):
        """shmbusd says what is wrong with its command line as shmbus does; --help is no error."""
        for option, code, pattern in [
                ("--bogus", 2, r"^shmbusd: .*--bogus.* \(see shmbusd --help\)\n$"),
                ("--socket", 2, r"^shmbusd: --socket.* \(see shmbusd --help\)\n$"),
                ("--help", 0, "^$")]:
            done = subprocess.run([harness.SHMBUSD, option], capture_output=True, check=False,
                                  env=self.env, timeout=harness.PATIENCE)
            self.assertEqual(done.returncode, code)
            self.assertRegex(done.stderr.decode(), pattern)
            self.assertEqual(done.stdout == b"", code != 0)

    def test_global_options_stand_anywhere(self):
        """--json and --socket before and behind the verb."""
        socket = str(self.daemon.socket)
        env = harness.environment()
        for arguments in (["--socket", socket, "--json", "topic", "ls"],
                          ["topic", "ls", "--socket", socket, "--json"],
                          ["topic", "--json", "ls", f"--socket={socket}"]):
            self.assertIsInstance(self.run_ok(*arguments, env=env).json, list)

    def test_user_bus(self):
        """--user finds the bus in XDG_RUNTIME_DIR, and says so when that is not set."""
        env = harness.environment(XDG_RUNTIME_DIR=str(self.directory / "nothing"))
        self.run_failing(4, "nothing/shmbus.sock", "--user", "topic", "ls", env=env)
        del env["XDG_RUNTIME_DIR"]
        self.run_failing(2, "XDG_RUNTIME_DIR is not set", "--user", "topic", "ls", env=env)

    def test_no_daemon_to_measure(self):
        """bench without a daemon: exit 4, and the reason once."""
        nowhere = str(self.directory / "nowhere.sock")
        done = self.run_failing(4, f"{re.escape(nowhere)}.*shmbusd", "--socket", nowhere, "bench")
        self.assertEqual((done.out, done.err.count("\n")), (b"", 1))

    def test_bad_names(self):
        """A name that breaks the rule: exit 2 for every verb, and nothing raw on the terminal."""
        for verb in VERBS:
            for name in BAD_NAMES:
                done = self.run_failing(2, "is not a name for a topic", *with_name(verb, name))
                self.assertNotIn("\x1b", done.err)
        self.run_failing(2, "", "topic", "create", "-n")
        self.assertEqual(self.run_ok("topic", "ls", "--json").json, [])

    def test_longest_name(self):
        """128 characters are fine."""
        name = "0" + "x" * 127
        self.run_ok("topic", "create", name)
        self.assertEqual(self.info(name)["topic"], name)
        self.run_ok("topic", "rm", name)

    def test_unknown_topic(self):
        """A topic that does not exist: exit 5, and how to create it, or to see which there are."""
        for verb in VERBS[1:]:
            remedy = ("to see what there is: shmbus topic ls" if verb[0] == "topic" else
                      "to create it: shmbus topic create nobody")
            self.run_failing(5, f"there is no topic 'nobody'; {remedy}\n",
                             *with_name(verb, "nobody"))
        self.run_failing(5, "shmbus topic ls", "topic", "drain", "nobody", "--undo")
        self.run_failing(5, "'nobody'", "sub", self.topic(), "nobody")
        self.run_failing(5, f"shmbus --socket {self.daemon.socket} topic create nobody",
                         "--socket", str(self.daemon.socket), "pub", "nobody", "x")

    def test_no_daemon(self):
        """Nobody at the socket: exit 4 for every verb, and how to start a daemon there."""
        nowhere = str(self.directory / "nowhere.sock")
        for verb in [*VERBS, [], ["topic", "ls"]]:
            arguments = [part.replace("{}", "t") for part in verb]
            self.run_failing(4, f"{re.escape(nowhere)}.*shmbusd", "--socket", nowhere, *arguments)
        done = self.run_failing(4, "", "--socket", nowhere, "pub", "t", "x", "--json")
        self.assertEqual(done.json, {"topic": "t", "first": None, "last": None, "count": 0})

    def test_daemon_that_just_starts(self):
        """A command waits a moment for a daemon that does not listen yet."""
        late = self.directory / "late.sock"
        for _ in range(10):  # on a busy machine the link may come too late
            early = self.start("--socket", str(late), "topic", "ls", "--json")
            time.sleep(0.1)  # so that it has looked in vain
            late.symlink_to(self.daemon.socket)
            done = early.wait()
            late.unlink()
            if done.code == 0:
                break
        self.assertEqual(done.code, 0, done.err)

    def test_full_and_closed_stdout(self):
        """What cannot be written is a failure; a reader who left is none to talk about."""
        self.topic()
        with open("/dev/full", "wb") as full:
            self.assertEqual(self.run_into(full, "topic", "ls"), (1, "No space left on device"))
        read, write = os.pipe()
        os.close(read)
        with os.fdopen(write, "wb") as nobody:
            code, said = self.run_into(nobody, "topic", "ls")
        self.assertEqual((code, said), (-13, ""), "killed by SIGPIPE, as a shell's tools are")

    def run_into(self, stdout, *arguments):
        done = subprocess.run([harness.SHMBUS, *arguments], stdout=stdout, stderr=subprocess.PIPE,
                              env=self.env, check=False, timeout=harness.PATIENCE)
        said = done.stderr.decode()
        return done.returncode, said.strip().split(": ")[-1]

    def test_colour(self):
        """Bold titles on a terminal; none with NO_COLOR, with TERM=dumb, or into a pipe."""
        topic = self.topic()
        env = {**self.env, "TERM": "xterm"}
        self.assertIn(b"\x1b[1mTOPIC", self.on_terminal(env, "topic", "ls"))
        self.assertNotIn(b"\x1b", self.on_terminal({**env, "NO_COLOR": "1"}, "topic", "ls"))
        self.assertNotIn(b"\x1b", self.on_terminal({**env, "TERM": "dumb"}, "topic", "ls"))
        piped = self.run_ok("topic", "ls", env=env).out
        self.assertNotIn(b"\x1b", piped)
        self.assertIn(topic.encode(), piped)

    def on_terminal(self, env, *arguments):
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(harness.SHMBUS, [str(harness.SHMBUS), *arguments], env)
        text = b""
        try:
            while piece := os.read(terminal, 65536):
                text += piece
        except OSError:  # how a terminal says that the other side has closed it
            pass
        os.close(terminal)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        return text


class StatusTest(harness.BusTest):
    def test_status(self):
        """shmbus alone: the bus on one screen, with who is furthest behind."""
        self.assertIn(b"0 topics", self.run_ok().out)
        topic = self.topic()
        self.run_ok("pub", topic, "--lines", stdin=b"1\n2\n3\n")
        sub = self.start_sub(topic, "--from", "all", "--no-ack")
        self.wait_for_output(sub, b"3\n")
        text = self.run_ok().out.decode()
        self.assertIn(str(self.daemon.socket), text)
        self.assertRegex(text, r"TOPIC +HEAD +EVENTS +PUBS +SUBS +LAG +SLOWEST +STATE")
        self.assertRegex(text, rf"{topic} +3 +3 +0 +1 +3 +pid {sub.pid} \(shmbus\) +open")
        json = self.run_ok("--json").json
        self.assertEqual(json["socket"], str(self.daemon.socket))
        self.assertEqual([t["topic"] for t in json["topics"]], [topic])
        self.assertEqual(json["topics"][0]["subscribers"][0]["lag"], 3)

    def test_status_of_many_topics(self):
        """More topics than lines: those in use come first, and the rest is counted."""
        for i in range(30):
            self.run_ok("topic", "create", f"many-{i:02}", "--capacity", "2", "--pool", "2M")
        self.start_sub("many-29")
        lines = self.run_ok().out.decode().splitlines()
        self.assertLess(len(lines), 25)
        self.assertIn("many-29", lines[3])
        self.assertRegex(lines[-1], r"and \d+ more: shmbus topic ls")


if __name__ == "__main__":
    harness.main()
