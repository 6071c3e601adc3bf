#!/usr/bin/env python3
"""Checks that README.md's table of packages and the list in ./dev say the same, and that nothing is
fetched but Debian's packages."""

import re
import subprocess

import tree

FETCHERS = re.compile(
    r"\b(pip3?|pipx|npm|cargo|go|gem|conan|vcpkg)\s+(install|get|download)\b"
    r"|\b(curl|wget)\s|\bgit\s+(clone|submodule)\b|\badd-apt-repository\b"
)


def table(text):
    """The packages that README.md names: `these` in the first column of the table of packages."""
    named, inside = set(), False
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.lstrip().startswith("|"):
            inside = False
        elif re.fullmatch(r"(debian )?packages?", cells[0], re.IGNORECASE):
            inside = True
        elif inside:
            named.update(re.findall(r"`([^`]+)`", cells[0]))
    return named


def check(root):
    listed = subprocess.run(
        [root / "dev", "packages"], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.split()
    named = table((root / "README.md").read_text(encoding="utf-8"))
    wrong = [f"{name} is in ./dev, not in README.md's table" for name in set(listed) - named]
    wrong += [f"{name} is in README.md's table, not in ./dev" for name in named - set(listed)]
    wrong += [f"{name} stands twice in ./dev" for name in set(listed) if listed.count(name) > 1]
    for script in ["dev", ".ci/run"] + [str(f) for f in tree.files(root, ".build")]:
        for match in FETCHERS.finditer((root / script).read_text(encoding="utf-8")):
            wrong.append(f"{script}: {match.group().strip()}: Debian's packages only")
    wrong += [f"{wrap}: Debian's packages only" for wrap in tree.files(root, ".wrap")]
    return len(named), sorted(wrong)


if __name__ == "__main__":
    tree.main(check)
