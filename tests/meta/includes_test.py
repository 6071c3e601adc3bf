#!/usr/bin/env python3
"""Checks which part of the tree includes which: dependencies point one way."""

import re
from pathlib import Path

import tree

# part: the parts it may include. A part is a folder; what names a file is that file alone.
# Every part may include itself and the system's headers.
LEAVES = {
    "shmbus/types.hpp",
    "shmbus/error.hpp",
    "shmbus/group.hpp",
    "shmbus/incident.hpp",
    "shmbus/log.hpp",
}
PROTOCOL = "control.capnp.h"  # generated
SHARED = {
    "libshmbus/base",
    "libshmbus/layout",
    "libshmbus/ring",
    "libshmbus/group",
    "libshmbus/control",
}
SPILL = LEAVES | {"libshmbus/base", "libshmbus/layout", "libshmbus/spill"}
DAEMON = SHARED | SPILL | {PROTOCOL, "daemon/system"}
MAY_INCLUDE = {
    "shmbus": set(),
    "libshmbus/base": LEAVES,
    "libshmbus/layout": LEAVES | {"libshmbus/base"},
    "libshmbus/ring": LEAVES | {"libshmbus/base", "libshmbus/layout"},
    "libshmbus/group": LEAVES | {"libshmbus/base", "libshmbus/layout"},
    "libshmbus/spill": SPILL,
    "libshmbus/text": LEAVES,
    "libshmbus/control": LEAVES | SHARED | {PROTOCOL},
    "libshmbus/client": SHARED | SPILL | {PROTOCOL, "shmbus"},
    "daemon/system": DAEMON,
    "daemon/parent": LEAVES | {"libshmbus/base", "daemon/system"},
    "daemon/registry": DAEMON | {"daemon/store", "daemon/spiller"},
    "daemon/store": SPILL | {"daemon/system", "libshmbus/group"},
    "daemon/spiller": DAEMON | {"daemon/store"},
    "daemon/supervisor": DAEMON | {"daemon/registry"},
    "daemon/control": DAEMON
    | {"daemon/registry", "daemon/spiller", "daemon/store", "daemon/supervisor"},
    "daemon/activation": DAEMON | {"daemon/registry"},
    "daemon": DAEMON
    | {"daemon/parent", "daemon/registry", "daemon/spiller", "daemon/store", "daemon/supervisor"}
    | {"daemon/activation", "daemon/control", "daemon/config"},
    "daemon/config": LEAVES
    | {"libshmbus/base", "libshmbus/text", "daemon/activation", "daemon/control"}
    | {"daemon/registry", "daemon/system"},
    "tools": {"shmbus", "libshmbus/text"},
    "examples": {"shmbus", "order.capnp.h"},  # the latter generated
}

# Where an include is looked for, after the folder of the file that has it.
INCLUDE_DIRS = ["libshmbus/include", "libshmbus", "", "daemon", "tools", "examples"]
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def part_of(path):
    """The part a file belongs to: None for one that is free to include anything."""
    parts = path.parts
    if parts[:3] == ("libshmbus", "include", "shmbus"):
        return "shmbus"
    if parts[0] in ("libshmbus", "daemon") and len(parts) > 2:
        return "/".join(parts[:2])
    return None if parts[0] == "tests" else parts[0]


def target_of(root, source, bracket, name):
    """The file of the tree that an include means: None for a system header."""
    beside = [source.parent] if bracket == '"' else []
    for folder in beside + [Path(d) for d in INCLUDE_DIRS]:
        found = (root / folder / name).resolve()
        if found.is_file() and found.is_relative_to(root):
            return found.relative_to(root)
    return None


def fault(root, source, part, bracket, name):
    """What is wrong with an include: None for nothing."""
    allowed = MAY_INCLUDE[part]
    if name.endswith(".capnp.h") and not name.startswith("capnp/"):
        return None if Path(name).name in allowed else f"{part} may not include {name}"
    target = target_of(root, source, bracket, name)
    if target is None:
        return None if bracket == "<" else f'"{name}" is no file of the tree: a system header is <>'
    to = part_of(target)
    leaf = f"shmbus/{target.name}" if to == "shmbus" else None
    return None if to == part or to in allowed or leaf in allowed else f"{part} may not include {to}"


def check(root):
    looked_at, wrong = 0, []
    for source in tree.files(root, ".hpp", ".cpp", ".h", ".cc"):
        part = part_of(source)
        if part is None:
            continue
        if part not in MAY_INCLUDE:
            wrong.append(f"{source}: no rule for the folder {part}")
            continue
        text = (root / source).read_text(encoding="utf-8")
        for match in INCLUDE.finditer(text):
            looked_at += 1
            trouble = fault(root, source, part, *match.groups())
            if trouble:
                line = text.count("\n", 0, match.start(1)) + 1
                wrong.append(f"{source}:{line}: {trouble}")
    return looked_at, wrong


if __name__ == "__main__":
    tree.main(check)
