#!/usr/bin/env python3
"""Checks that each of the tests of the tree fails on a tree that deserves it."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
README = HERE.parent / "readme" / "run_blocks.py"

DEV = "#!/bin/sh\nprintf '%s\\n' g++ meson\n"
PACKAGES = {"dev": DEV, ".ci/run": "./dev test\n"}
TABLE = "| Package | for |\n|---|---|\n| `g++`, `meson` | building |\n"
BLOCKS = "## Try it\n\n```sh\n{}\n```\n\n## Test it\n\n```sh\n{}\n```\n"
HEADER = "libshmbus/include/shmbus/bus.hpp"


def include(source, name, target=None):
    """A tree where `source` includes `name`, which is the file `target` of it."""
    return {source: f"#include {name}\n", **({target: ""} if target else {})}


def catalog(message, entry, use="messages::made"):
    """A tree with a message for the journal, what explains it, and who says it."""
    return {"daemon/system/messages.hpp": message, "daemon/units/shmbus.catalog": entry,
            "daemon/a.cpp": f"log({use}, line);\n"}


MESSAGE = 'inline constexpr Message made{"' + "0a" * 16 + '", Level::info};\n'
ENTRY = "-- " + "0a" * 16 + "\nSubject: Made\n\nTopic @SHMBUS_TOPIC@ is new.\n"

# The script, its arguments, the tree, and what it says; None where it must find nothing.
CASES = [
    ("includes", {}, "nothing to look at"),
    ("includes", include("libshmbus/layout/a.hpp", '"base/b.hpp"', "libshmbus/base/b.hpp"), None),
    ("includes", include("libshmbus/base/a.hpp", '"shmbus/error.hpp"', HEADER), "no file of"),
    ("includes", include("libshmbus/base/a.hpp", "<shmbus/bus.hpp>", HEADER), "may not include"),
    ("includes", include("libshmbus/base/a.hpp", '"ring/r.hpp"', "libshmbus/ring/r.hpp"),
     "libshmbus/base/a.hpp:1: libshmbus/base may not include libshmbus/ring"),
    ("includes", include("libshmbus/ring/a.hpp", '"control/control.capnp.h"'), "may not include"),
    ("includes", include("libshmbus/client/a.hpp", '"control/control.capnp.h"'), None),
    ("includes", include("libshmbus/client/a.hpp", '"daemon/main.hpp"', "daemon/main.hpp"),
     "libshmbus/client may not include daemon"),
    ("includes", include("daemon/main.cpp", "<shmbus/bus.hpp>", HEADER), "may not include shmbus"),
    ("includes", include("daemon/main.cpp", "<shmbus/types.hpp>",
                         "libshmbus/include/shmbus/types.hpp"), None),
    ("includes", include("daemon/store/a.cpp", '"client/c.hpp"', "libshmbus/client/c.hpp"),
     "may not include libshmbus/client"),
    ("includes", include("libshmbus/spill/a.hpp", '"ring/r.hpp"', "libshmbus/ring/r.hpp"),
     "libshmbus/spill may not include libshmbus/ring"),
    ("includes", include("libshmbus/layout/a.hpp", '"spill/s.hpp"', "libshmbus/spill/s.hpp"),
     "libshmbus/layout may not include libshmbus/spill"),
    ("includes", include("daemon/store/a.cpp", '"spill/s.hpp"', "libshmbus/spill/s.hpp"), None),
    ("includes", include("daemon/store/a.cpp", '"ring/r.hpp"', "libshmbus/ring/r.hpp"),
     "daemon/store may not include libshmbus/ring"),
    ("includes", include("daemon/store/a.cpp", '"../supervisor/s.hpp"', "daemon/supervisor/s.hpp"),
     "daemon/store may not include daemon/supervisor"),
    ("includes", include("daemon/main.cpp", '"control/c.hpp"', "daemon/control/c.hpp"), None),
    ("includes", include("daemon/system/a.cpp", '"registry/r.hpp"', "daemon/registry/r.hpp"),
     "daemon/system may not include daemon/registry"),
    ("includes", include("tools/a.cpp", '"base/fd.hpp"', "libshmbus/base/fd.hpp"),
     "tools may not include libshmbus/base"),
    ("includes", include("examples/a.cpp", '"shmbus/bus.hpp"', HEADER), None),
    ("includes", include("daemon/new/a.cpp", "<vector>"), "no rule for the folder daemon/new"),
    ("includes", include("tests/a_test.cpp", '"base/fd.hpp"'), "nothing to look at"),
    ("forbidden_words", {}, "nothing to look at"),
    ("forbidden_words", {"a.cpp": "int a;\n" * 400, "b.sh": "mktemp -d XXXX" "XX\n"}, None),
    ("forbidden_words", {"a.hpp": "int a; // TO" "DO\n"}, "a.hpp:1: TO" "DO"),
    ("forbidden_words", {"dev": "# FIX" "ME\n"}, "dev:1: FIX" "ME"),
    ("forbidden_words", {"a.py": "\n" * 401}, "a.py: 401 lines, more than 400"),
    ("packages", {**PACKAGES, "README.md": TABLE}, None),
    ("packages", {**PACKAGES, "README.md": "# shmbus\n"}, "nothing to look at"),
    ("packages", {**PACKAGES, "README.md": TABLE.replace("meson", "make")},
     "make is in README.md's table, not in ./dev\nmeson is in ./dev, not in README.md's table"),
    ("packages", {**PACKAGES, "README.md": TABLE, "dev": DEV + "echo g++\n"}, "stands twice"),
    ("packages", {**PACKAGES, "README.md": TABLE, ".ci/run": "pip install x\n"}, "pip install"),
    ("packages", {**PACKAGES, "README.md": TABLE, "subprojects/a.wrap": ""}, "a.wrap: Debian's"),
    ("catalog", {}, "nothing to look at"),
    ("catalog", catalog(MESSAGE, ENTRY), None),
    ("catalog", catalog(MESSAGE, ""), "made has no entry"),
    ("catalog", catalog("", ENTRY), "is no message of"),
    ("catalog", catalog(MESSAGE + MESSAGE, ENTRY), "stands twice"),
    ("catalog", catalog(MESSAGE.replace("0a0a", "0A"), ENTRY), "no 32 hexadecimal digits"),
    ("catalog", catalog(MESSAGE, ENTRY.replace("Subject", "Support")), "has no subject"),
    ("catalog", catalog(MESSAGE, ENTRY.replace("TOPIC", "TOPICS")), "no field SHMBUS_TOPICS"),
    ("catalog", catalog(MESSAGE, ENTRY, "messages::gone"), "nobody says made"),
    ("readme", {"README.md": BLOCKS.format("./dev demo", "./dev test")}, None),
    ("readme", {"README.md": BLOCKS.format("./dev demo --fast", "./dev test")}, "## Try it"),
    ("readme", {"README.md": BLOCKS.format("./dev demo", "./dev build\n./dev test")}, "## Test it"),
    ("readme", {"README.md": "## Test it\n\n```sh\n./dev test\n```\n"}, "## Try it"),
]


def run(script, root):
    """Runs a script on a tree; returns whether it was content, and what it said."""
    path = [README, "--check"] if script == "readme" else [HERE / f"{script}_test.py"]
    done = subprocess.run(
        [sys.executable, *path, "--root", root], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    return done.returncode == 0, done.stdout


def main():
    failed = 0
    for script, files, complaint in CASES:
        with tempfile.TemporaryDirectory() as root:
            for name, text in files.items():
                file = Path(root) / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
                file.chmod(0o755)
            content, said = run(script, root)
        if content != (complaint is None) or (complaint or "") not in said:
            failed += 1
            print(f"{script}: expected {complaint or 'nothing'} for {files}, got: {said}")
    print(f"{len(CASES)} trees, {failed} judged wrongly")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
