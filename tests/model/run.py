#!/usr/bin/env python3
"""Runs the models: every case of cases.txt through Spin, every litmus test through the checker.

    run.py [--long] [-k SUBSTRING] [-j JOBS] [--list]

One line a case, `N passed, N failed` at the end; the exit status is 1 if anything failed. Needs spin
and gcc (or $CC). What is verified is verified completely: a search that ran out of depth, memory or
time is a failure, and so is a mutation that fails in another way than cases.txt says.
"""
import argparse
import concurrent.futures
import dataclasses
import os
import pathlib
import re
import resource
import shlex
import subprocess
import sys
import tempfile
import time

import litmus

HERE = pathlib.Path(__file__).resolve().parent
VERDICTS = {"assert": "assertion violated", "stuck": "invalid end state"}


@dataclasses.dataclass
class Result:
    name: str
    ok: bool
    detail: str


@dataclasses.dataclass
class Case:
    verdict: str                    # holds, assert, stuck
    model: str
    flags: list
    long: bool

    @property
    def name(self):
        return " ".join([self.model] + self.flags)


class Failed(Exception):
    """What went wrong, in a line."""


# ---- Spin -----------------------------------------------------------------------------------------

def read_cases():
    cases = []
    for line in (HERE / "cases.txt").read_text(encoding="utf-8").splitlines():
        words = line.split("#")[0].split()
        if words:
            is_long = words[0] == "long"
            verdict, model, *flags = words[is_long:]
            cases.append(Case(verdict, model, flags, is_long))
    return cases


def model_text(model):
    return (HERE / f"{model}.pml").read_text(encoding="utf-8")


def run(command, directory, seconds):
    try:
        done = subprocess.run(command, cwd=directory, timeout=seconds, text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except subprocess.TimeoutExpired as late:
        raise Failed(f"{command[0]}: not done after {seconds} s") from late
    return done.returncode, done.stdout


def build(case, directory, memory):
    text = model_text(case.model)
    for flag in case.flags:
        name = flag.removeprefix("-D").split("=")[0]
        if not re.search(rf"\b{name}\b", text):
            raise Failed(f"{case.model}.pml knows no {name}")
    path = HERE / f"{case.model}.pml"
    for command in (["spin", "-a", *case.flags, str(path)],
                    [*shlex.split(os.environ.get("CC", "gcc")), "-O2", "-w", "-DSAFETY", "-DCOLLAPSE",
                     f"-DMEMLIM={memory}", "-o", "pan", "pan.c"]):
        # Longer than it takes with a processor to itself: others may have that meanwhile.
        status, output = run(command, directory, 900)
        if status != 0:
            lines = output.strip().splitlines() or ["no output"]
            raise Failed(f"{command[0]}: {lines[-1]}")


def search(case, directory, depth, seconds):
    """Runs pan; what it printed. Models with a monitor say themselves what a good end is: -E."""
    ends = ["-E"] if re.search(r"^\s*timeout;", model_text(case.model), re.M) else []
    _, output = run(["./pan", *ends, f"-m{depth}"], directory, seconds)
    return output


def judge(case, output):
    """Raises Failed unless the search ended as it should; the number of states."""
    errors = re.search(r"errors: (\d+)", output)
    states = re.search(r"(\d+) states, stored", output)
    if not errors or not states:
        raise Failed((output.strip().splitlines() or ["pan said nothing"])[0])
    for trouble in ("max search depth too small", "out of memory", "MEMLIM", "aborting"):
        if trouble in output:
            raise Failed(f"the search is not complete: {trouble}")
    found = re.search(r"^pan:\d+: (.*)$", output, re.M)
    if case.verdict == "holds":
        if found or errors[1] != "0":
            raise Failed(found[1] if found else f"errors: {errors[1]}")
        if "Search not completed" in output:
            raise Failed("the search is not complete")
    elif errors[1] == "0":
        raise Failed(f"the mutation was not noticed in {states[1]} states")
    elif not found or not found[1].startswith(VERDICTS[case.verdict]):
        raise Failed(f"fails otherwise than it should: {found[1] if found else 'unknown'}")
    return int(states[1])


def check_model(case, options):
    begin = time.monotonic()
    depth, memory, seconds = (5000000, 60000, 7200) if case.long else (200000, 3000, 500)
    try:
        with tempfile.TemporaryDirectory(prefix="model-") as directory:
            build(case, directory, memory)
            states = judge(case, search(case, directory, depth, seconds))
    except Failed as failure:
        return Result(case.name, False, f"{failure} ({time.monotonic() - begin:.1f} s)")
    what = "" if case.verdict == "holds" else "caught, "
    return Result(case.name, True, f"{what}{states} states {time.monotonic() - begin:.1f} s")


def check_table(cases):
    """Every mutation a model offers is run."""
    missing = []
    for path in sorted(HERE.glob("*.pml")):
        offered = set(re.findall(r"\bMUT_\w+", path.read_text(encoding="utf-8")))
        tried = {flag[2:] for case in cases if case.model == path.stem for flag in case.flags}
        missing += [f"{path.stem}: {name}" for name in sorted(offered - tried)]
    return Result("cases.txt", not missing,
                  "never tried: " + ", ".join(missing) if missing else "every mutation is tried")


# ---- litmus tests -------------------------------------------------------------------------------

def check_litmus(path):
    """Under C++20's release sequences and under C++11's; the file says what to expect."""
    name = str(path.relative_to(HERE).with_suffix(""))
    try:
        verdicts = []
        for c11 in (False, True):
            got, expected = litmus.check_file(path, c11)
            if expected is None:
                raise Failed("no Expect= in its header")
            if got != expected:
                raise Failed(f"{got}, expected {expected}" + (" (C++11)" if c11 else ""))
            verdicts.append(got)
    except Exception as failure:  # pylint: disable=broad-except -- a bad file fails, the rest goes on
        return Result(name, False, f"{type(failure).__name__}: {failure}")
    return Result(name, True, " ".join(dict.fromkeys(verdicts)))


# ---- all of it ------------------------------------------------------------------------------------

def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--long", action="store_true", help="the big sizes, too")
    parser.add_argument("-k", metavar="SUBSTRING", default="", help="only cases whose line contains it")
    parser.add_argument("-j", metavar="JOBS", type=int, default=os.cpu_count(), help="at a time")
    parser.add_argument("--list", action="store_true", help="name the cases, run nothing")
    return parser.parse_args()


def main():
    options = parse_arguments()
    table = read_cases()
    cases = [c for c in table if options.k in c.name and (options.long or not c.long)]
    tests = [p for p in sorted(HERE.glob("litmus/**/*.litmus"))
             if options.k in str(p.relative_to(HERE).with_suffix(""))]
    if options.list:
        print("\n".join([c.name for c in cases] + [str(t.relative_to(HERE)) for t in tests]))
        return 0
    passed = failed = 0
    begin = time.monotonic()

    def report(result):
        nonlocal passed, failed
        passed, failed = passed + result.ok, failed + (not result.ok)
        print("ok  " if result.ok else "FAIL", result.name, result.detail, flush=True)

    with concurrent.futures.ThreadPoolExecutor(options.j) as pool:
        cases.sort(key=lambda c: (not c.long, c.verdict != "holds"))   # what takes long first
        running = [pool.submit(check_model, case, options) for case in cases]
        for path in tests:
            report(check_litmus(path))
        for future in concurrent.futures.as_completed(running):
            report(future.result())
    if not options.k:
        report(check_table(table))
    cpu = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{time.monotonic() - begin:.0f} s, {cpu.ru_utime + cpu.ru_stime:.0f} s of processor time")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
