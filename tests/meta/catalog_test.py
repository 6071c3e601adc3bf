#!/usr/bin/env python3
"""Checks that the journal's catalog and the daemon know the same messages, and that each is used."""

import re

import tree

MESSAGES = "daemon/system/messages.hpp"
CATALOG = "daemon/units/shmbus.catalog"
MESSAGE = re.compile(r'constexpr Message (\w+)\{"(\w*)", Level::\w+\}')
ENTRY = re.compile(r"^-- (\w+)\n((?:[A-Z][\w-]*: [^\n]*\n)*)\n(.*?)(?=^-- |\Z)", re.MULTILINE | re.DOTALL)
USE = re.compile(r"\bmessages::(\w+)")
FIELDS = {"SHMBUS_TOPIC", "SHMBUS_SUBSCRIPTION", "SHMBUS_SEQ", "SHMBUS_PEER_PID", "SHMBUS_PEER_UID",
          "SHMBUS_PEER_UNIT"}


def text_of(root, name):
    path = root / name
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def check(root):
    messages = MESSAGE.findall(text_of(root, MESSAGES))
    entries = ENTRY.findall(text_of(root, CATALOG))
    known = {identity: name for name, identity in messages}
    explained = {identity for identity, _, _ in entries}
    wrong = [f"{MESSAGES}: {name}: {identity} is no 32 hexadecimal digits"
             for name, identity in messages if not re.fullmatch(r"[0-9a-f]{32}", identity)]
    if len(known) != len(messages) or len(explained) != len(entries):
        wrong.append("a message id stands twice")
    wrong += [f"{MESSAGES}: {known[i]} has no entry in {CATALOG}" for i in known.keys() - explained]
    wrong += [f"{CATALOG}: {i} is no message of {MESSAGES}" for i in explained - known.keys()]
    for identity, head, text in entries:
        name = known.get(identity, identity)
        if "Subject: " not in head or not text.strip():
            wrong.append(f"{CATALOG}: {name} has no subject, or no text")
        wrong += [f"{CATALOG}: {name}: there is no field {field}"
                  for field in set(re.findall(r"@(\w+)@", text)) - FIELDS]
    used = set()
    for source in tree.files(root, ".cpp", ".hpp"):
        if source.parts[0] == "daemon":
            used.update(USE.findall((root / source).read_text(encoding="utf-8")))
    wrong += [f"{MESSAGES}: nobody says {name}" for name in known.values() if name not in used]
    return len(messages) + len(entries), sorted(wrong)


if __name__ == "__main__":
    tree.main(check)
