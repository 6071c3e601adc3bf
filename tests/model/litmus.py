#!/usr/bin/env python3
"""A small checker for litmus tests: is the outcome named in `exists` possible?

    litmus.py [--c11] FILE...

C tests are held against RC11 (litmus_c.py), AArch64 tests against the Armv8 model (litmus_arm.py).
The header of a file may say `Expect=Never` or `Expect=Sometimes`; a different verdict is an error.
`Expect-c11=` is what to expect with --c11, where release sequences are as long as C++11 had them.
"""
import sys

import litmus_arm
import litmus_c


def check_text(text, c11=False):
    """(verdict, expected verdict or None)"""
    if text.lstrip().startswith("AArch64"):
        test = litmus_arm.parse(text)
        got = litmus_arm.verdict(test)
    else:
        test = litmus_c.parse(text)
        got = litmus_c.verdict(test, c11)
    expected = test.info.get("Expect")
    if c11:
        expected = test.info.get("Expect-c11", expected)
    return got, expected


def check_file(path, c11=False):
    with open(path, encoding="utf-8") as file:
        return check_text(file.read(), c11)


def main(arguments):
    c11 = "--c11" in arguments
    wrong = 0
    for path in (a for a in arguments if a != "--c11"):
        got, expected = check_file(path, c11)
        ok = expected in (None, got)
        wrong += not ok
        print(f"{got:9} {path}" + ("" if ok else f"   EXPECTED {expected}"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
