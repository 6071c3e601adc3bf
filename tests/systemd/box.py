"""Tests of what systemd does with the daemon: in a box, where a real systemd is PID 1 and everything is installed.

A test program runs itself again inside of the box, see box.sh; there it is root, and the bus is the host's. Who
uses the bus besides: alice, of no group; bob, of shmbus; carol, of shmbus-admin.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import harness  # noqa: E402
from harness import wait_until  # noqa: E402

HERE = Path(__file__).resolve().parent
SERVICE = "shmbusd.service"
SOCKET = "shmbusd.socket"
USERS = {"alice": "", "bob": "shmbus", "carol": "shmbus-admin"}


def run(*command, **more):
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120,
                          stdin=subprocess.DEVNULL, **more)


def run_ok(*command, **more):
    done = run(*command, **more)
    if done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def systemctl(*arguments):
    return run_ok("systemctl", *arguments)


def property_of(unit, name):
    return systemctl("show", "--value", "-p", name, unit).strip()


def main_pid():
    """Of the daemon; 0 while there is none that is ready."""
    pid, state = systemctl("show", "--value", "-p", "MainPID", "-p", "ActiveState", SERVICE).split()
    return int(pid) if state == "active" else 0


def drop_in(name, *lines):
    """More lines for the service, from its next start on."""
    folder = Path("/etc/systemd/system") / (SERVICE + ".d")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.conf").write_text("\n".join(("[Service]", *lines, "")))
    systemctl("daemon-reload")


def journal(*matches):
    """What the daemon and systemd have said of the service, as dictionaries of fields."""
    run_ok("journalctl", "--sync")
    return harness.Done(0, run_ok("journalctl", "-o", "json", *matches).encode(), "").objects


def install():
    """What a package would do."""
    shutil.copytree(os.environ["BOX_INSTALLED"], "/", symlinks=True, dirs_exist_ok=True)
    run_ok("ldconfig")
    run_ok("systemd-sysusers")
    for user, group in USERS.items():
        run_ok("useradd", "--create-home", *(("--groups", group) if group else ()), user)
    run_ok("journalctl", "--update-catalog")
    systemctl("daemon-reload")
    systemctl("enable", "--now", SOCKET)
    harness.SHMBUS = Path(shutil.which("shmbus"))


class BoxTest(harness.BusTest):
    """Tests that share the box, and the host's bus in it."""

    @classmethod
    def setUpClass(cls):
        cls.directory = Path(tempfile.mkdtemp(prefix="shmbus-test-"))
        cls.directory.chmod(0o755)
        cls.env = harness.environment()

    @classmethod
    def tearDownClass(cls):
        pass

    def setUp(self):
        self.addCleanup(self.put_right)

    def run(self, result=None):
        """As ever; a failure comes with what the journal has of the service."""
        failures = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > failures:
            sys.stderr.write(run("journalctl", "-n", "60", "-o", "short-precise", "-u", SERVICE).stdout)
        return result

    def put_right(self):
        """The unit as it is installed, and no reason not to start it, whatever the test did."""
        shutil.rmtree(f"/etc/systemd/system/{SERVICE}.d", ignore_errors=True)
        systemctl("daemon-reload")
        run("systemctl", "reset-failed", SERVICE, SOCKET)
        systemctl("start", SOCKET)

    def run_as(self, user, *arguments):
        return run("runuser", "-u", user, "--", harness.SHMBUS, "--system", *arguments)


def outside():
    if os.geteuid() != 0:
        print("needs root, to boot a systemd", file=sys.stderr)
        return 77
    with tempfile.TemporaryDirectory(prefix="installed-", dir=harness.BUILD) as installed:
        os.chmod(installed, 0o755)  # as the root directory is to be
        run_ok("meson", "install", "-C", harness.BUILD, "--no-rebuild", "--quiet", "--tags", "runtime",
               "--strip", "--destdir", installed)
        return subprocess.run([HERE / "box.sh", harness.TREE, installed, "--", "env",
                               f"BOX_INSTALLED={installed}", "PYTHONDONTWRITEBYTECODE=1", "python3",
                               Path(sys.argv[0]).resolve(), *sys.argv[1:]], check=False).returncode


def main():
    if "BOX_INSTALLED" not in os.environ:
        sys.exit(outside())
    install()
    harness.main()


__all__ = ["BoxTest", "SERVICE", "SOCKET", "drop_in", "journal", "main", "main_pid", "property_of", "run",
           "run_ok", "systemctl", "wait_until"]
