"""What the tests of the tree share: which files it has, and how a test reports."""

import argparse
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]


def files(root, *suffixes):
    """The files of the tree with one of these suffixes, as paths relative to its root."""
    for folder, folders, names in os.walk(root):
        at_root = Path(folder) == Path(root)
        folders[:] = sorted(
            f
            for f in folders
            if not (f in (".git", ".cache", "__pycache__") or at_root and f.startswith("build"))
        )
        for name in sorted(names):
            if name.endswith(suffixes):
                yield (Path(folder) / name).relative_to(root)


def main(check):
    """Runs check(root), which returns how much it looked at and what is wrong, and exits."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--root", type=Path, default=HERE, help="the tree to look at")
    looked_at, wrong = check(parser.parse_args().root.resolve())
    if not looked_at:
        wrong.append("nothing to look at: is this the root of the tree?")
    for line in wrong:
        print(line)
    print(f"{looked_at} looked at, {len(wrong)} wrong")
    sys.exit(1 if wrong else 0)
