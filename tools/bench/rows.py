#!/usr/bin/env python3
"""Makes a Markdown table of what `shmbus bench --json` prints:

    ./dev bench --json | tools/bench/rows.py
"""

import json
import sys


def scaled(value, units):
    """In the largest unit that leaves a digit before the point; three digits."""
    if value is None:
        return ""
    worth, unit = next(((w, u) for w, u in units if value >= w), units[-1])
    number = value / worth
    return f"{number:.{2 if number < 10 else 1 if number < 100 else 0}f} {unit}"


def time(ns):
    return scaled(ns, [(1e6, "ms"), (1e3, "µs"), (1, "ns")])


def rate(per_s):
    return scaled(per_s, [(1e6, "M/s"), (1e3, "k/s"), (1, "/s")])


def size(count):
    return next(f"{count // w} {u}" for w, u in [(2**20, "MiB"), (2**10, "KiB"), (1, "B")] if count >= w)


def cells(row):
    is_rate = row["p50_ns"] is None
    yield row["case"]
    yield size(row["bytes"])
    yield rate(row["events_per_s"]) if is_rate else time(row["p50_ns"])
    yield "" if is_rate else time(row["p99_ns"])
    yield (rate if is_rate else time)(row["raw"])
    yield "" if row["ratio"] is None else f"{row['ratio']:.2f}"
    yield "" if row["ratio"] is None else f"{row['ratio_low']:.2f}–{row['ratio_high']:.2f}"
    yield str(row["slices"]) + ("" if row["enough"] else " (too few)")


def main():
    print("| case | payload | p50, or events | p99 | probe | ratio | 95 % | slices |")
    print("|---|---|---|---|---|---|---|---|")
    for row in json.load(sys.stdin):
        print(f"| {' | '.join(cells(row))} |")


if __name__ == "__main__":
    main()
