#!/usr/bin/env python3
"""Runs what README.md tells a newcomer to run, as it stands there, in as bare an environment."""

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = {"Try it": "./dev demo", "Test it": "./dev test"}


def blocks(text):
    """Heading of second level: the `sh` blocks that stand under it."""
    found, heading, block = {}, None, None
    for line in text.splitlines():
        if block is not None:
            if line.strip() == "```":
                block = None
            else:
                block.append(line)
        elif line.strip() == "```sh":
            block = []
            found.setdefault(heading, []).append(block)
        elif match := re.fullmatch(r"## +(.*?) *", line):
            heading = match.group(1)
    return found


def faults(text):
    """What is wrong with the blocks: under each heading, one block of that one command."""
    found = blocks(text)
    return [
        f"README.md: under '## {heading}' stands {found.get(heading, [])}, not one block '{command}'"
        for heading, command in COMMANDS.items()
        if found.get(heading) != [[command]]
    ]


def run(command, root):
    """Runs a command with next to nothing in its environment; returns whether it ended well."""
    print(f"$ {command}", flush=True)
    bare = {name: os.environ[name] for name in ("HOME", "PATH")}
    start = time.monotonic()
    done = subprocess.run(
        command.split(), cwd=root, env={**bare, "TERM": "dumb"}, stdin=subprocess.DEVNULL
    )
    print(f"{command}: exit {done.returncode}, {time.monotonic() - start:.0f} s", flush=True)
    return done.returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="look at the blocks, run nothing")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2])
    options = parser.parse_args()
    wrong = faults((options.root / "README.md").read_text(encoding="utf-8"))
    for line in wrong:
        print(line)
    if wrong or options.check:
        sys.exit(1 if wrong else 0)
    ended_well = [run(command, options.root) for command in COMMANDS.values()]
    sys.exit(0 if all(ended_well) else 1)


if __name__ == "__main__":
    main()
