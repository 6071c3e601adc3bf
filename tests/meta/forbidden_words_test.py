#!/usr/bin/env python3
"""Checks that no source carries a mark of unfinished work or is too long to be read."""

import re

import tree

LONGEST = 400
READ_IN_ONE_GO = (".cpp", ".hpp", ".py")
SOURCES = READ_IN_ONE_GO + (".h", ".cc", ".capnp", ".pml", ".sh", ".build", ".yml", "dev", "run")
MARKS = re.compile(r"\b(" + "|".join(["TO" "DO", "FIX" "ME", "XX" "X"]) + r")\b")


def check(root):
    looked_at, wrong = 0, []
    for source in tree.files(root, *SOURCES):
        looked_at += 1
        lines = (root / source).read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            for mark in MARKS.findall(line):
                wrong.append(f"{source}:{number}: {mark}")
        if source.suffix in READ_IN_ONE_GO and len(lines) > LONGEST:
            wrong.append(f"{source}: {len(lines)} lines, more than {LONGEST}")
    return looked_at, wrong


if __name__ == "__main__":
    tree.main(check)
