#!/usr/bin/env python3
"""A small checker for litmus tests in herd's C format: is the outcome named in `exists` possible?

It reads the subset of the format used in litmus/, enumerates every candidate execution (what each
read reads from, in which order the writes to a location fall) and keeps those that satisfy the
axioms of RC11:

    Lahav, Vafeiadis, Kang, Hur, Dreyer: Repairing Sequential Consistency in C/C++11. PLDI 2017.

with one difference: a release sequence is what C++20 says it is (only read-modify-writes continue
it). That allows more than C++11 and the paper do, so `Never` here is `Never` there; --c11 adds the
old rule back.  Usage: litmus.py [--c11] FILE...

The header of a file may say `Expect=Never` or `Expect=Sometimes`; a different verdict is an error.
AArch64 tests go to litmus_arm.py.
"""
import itertools
import re
import sys
from dataclasses import dataclass, field

RELEASE = {"release", "acq_rel", "seq_cst"}
ACQUIRE = {"acquire", "acq_rel", "seq_cst", "consume"}


class LitmusError(Exception):
    """The file is not in the subset understood here."""


@dataclass(eq=False)
class Event:
    """One access or fence. An RMW is one event that is a read and a write."""
    kind: str                       # R, W, U (read-modify-write), F
    thread: int                     # -1: the initial writes
    loc: str = ""
    order: str = "relaxed"
    reads: int | None = None
    writes: int | None = None

    is_read = property(lambda e: e.kind in "RU")
    is_write = property(lambda e: e.kind in "WU")


@dataclass
class Test:
    name: str
    info: dict
    init: dict                      # location -> value
    threads: list                   # of statement lists
    condition: str
    arch: str = "C"
    registers: dict = field(default_factory=dict)


# ---- reading a file ---------------------------------------------------------------------------

def read_header(text):
    """Common to all architectures: name, Key=Value lines, initial state, body, exists clause."""
    text = re.sub(r"\(\*.*?\*\)", "", text, flags=re.S)
    head, rest = text.split("{", 1)
    first, *lines = head.strip().splitlines()
    arch, name = first.split()
    info = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith('"'))
    init, rest = rest.split("}", 1)
    body, condition = re.split(r"\bexists\b", rest, maxsplit=1)
    return arch, name, info, init, body.strip(), condition.strip()


TOKEN = re.compile(r"\s*(//[^\n]*|[A-Za-z_]\w*|\d+|==|!=|[-(){};,*=&])")


def tokenize(text):
    tokens, at = [], 0
    text = text.rstrip()
    while at < len(text):
        m = TOKEN.match(text, at)
        if not m:
            raise LitmusError(f"cannot read: {text[at:at + 30]!r}")
        if not m.group(1).startswith("//"):
            tokens.append(m.group(1))
        at = m.end()
    return tokens


class Parser:
    """Recursive descent over the statements of one thread."""

    def __init__(self, tokens):
        self.tokens, self.at = tokens, 0

    def peek(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, want=None):
        got = self.peek()
        if want is not None and got != want:
            raise LitmusError(f"expected {want!r}, found {got!r}")
        self.at += 1
        return got

    def threads(self):
        result = []
        while self.peek():
            self.take()             # P0
            while self.take() != ")":
                pass                # parameters: names are global anyway
            result.append(self.block())
        return result

    def block(self):
        self.take("{")
        statements = []
        while self.peek() != "}":
            statements.append(self.statement())
        self.take("}")
        return statements

    def statement(self):
        if self.peek() == "if":
            self.take()
            self.take("(")
            condition = self.expression()
            self.take(")")
            then = self.block()
            otherwise = []
            if self.peek() == "else":
                self.take()
                otherwise = self.block()
            return ("if", condition, then, otherwise)
        register = None
        if self.peek() == "int":
            self.take()
        if re.fullmatch(r"r\d+", self.peek()):
            register = self.take()
            self.take("=")
        expression = self.expression()
        self.take(";")
        return ("do", register, expression)

    def expression(self):
        left = self.primary()
        if self.peek() in ("==", "!="):
            return (self.take(), left, self.primary())
        return left

    def primary(self):
        token = self.take()
        if token.isdigit():
            return ("const", int(token))
        if self.peek() != "(":
            return ("name", token)
        self.take("(")
        arguments = []
        while self.peek() != ")":
            arguments.append(self.expression())
            if self.peek() == ",":
                self.take()
        self.take(")")
        return ("call", token.removeprefix("atomic_").removesuffix("_explicit"), arguments)


def parse(text):
    arch, name, info, init, body, condition = read_header(text)
    if arch != "C":
        raise LitmusError(f"{name}: {arch} is not C")
    values = {m[1]: int(m[2]) for m in re.finditer(r"(\w+)\s*=\s*(\d+)\s*;", init)}
    return Test(name, info, values, Parser(tokenize(body)).threads(), condition, arch)


# ---- running one thread alone -------------------------------------------------------------------

FETCH = {"fetch_add": lambda a, b: a + b, "fetch_sub": lambda a, b: a - b,
         "fetch_or": lambda a, b: a | b, "fetch_and": lambda a, b: a & b,
         "exchange": lambda a, b: b}


class Run:
    """One path through one thread, given a value for every read (in order)."""

    def __init__(self, test, thread, guesses):
        self.test, self.thread, self.guesses = test, thread, list(guesses)
        self.registers, self.events, self.starved = {}, [], False
        self.block(test.threads[thread])

    def block(self, statements):
        for statement in statements:
            if self.starved:
                return
            if statement[0] == "if":
                _, condition, then, otherwise = statement
                self.block(then if self.value(condition) else otherwise)
            else:
                _, register, expression = statement
                result = self.value(expression)
                if register:
                    self.registers[register] = result

    def value(self, node):
        match node:
            case ("const", number):
                return number
            case ("name", name):
                return self.registers[name]
            case ("==", left, right):
                return int(self.value(left) == self.value(right))
            case ("!=", left, right):
                return int(self.value(left) != self.value(right))
            case ("call", function, arguments):
                return self.call(function, arguments)
        raise LitmusError(f"cannot evaluate {node}")

    def guess(self, event):
        """The next value read; when there is none left, the caller tries all of them."""
        self.events.append(event)
        if not self.guesses:
            self.starved = True
            return 0
        event.reads = self.guesses.pop(0)
        return event.reads

    def call(self, function, arguments):
        names = [a[1] if a[0] == "name" else None for a in arguments]
        orders = [n.removeprefix("memory_order_") for n in names if n and n.startswith("memory_order_")]
        if function == "thread_fence":
            self.events.append(Event("F", self.thread, order=orders[0]))
            return 0
        loc = names[0]
        if function == "load":
            return self.guess(Event("R", self.thread, loc, orders[0]))
        if function == "store":
            self.events.append(Event("W", self.thread, loc, orders[0], None, self.value(arguments[1])))
            return 0
        if function == "compare_exchange_strong":
            return self.compare_exchange(loc, names[1], self.value(arguments[2]), orders)
        if function in FETCH:
            operand = self.value(arguments[1])
            event = Event("U", self.thread, loc, orders[0])
            old = self.guess(event)
            event.writes = FETCH[function](old, operand)
            return old
        raise LitmusError(f"unknown function {function}")

    def compare_exchange(self, loc, expected, desired, orders):
        """`expected` names a private cell; only its initial value counts. A failure is a load."""
        event = Event("U", self.thread, loc, orders[0])
        old = self.guess(event)
        if old == self.test.init[expected]:
            event.writes = desired
            return 1
        event.kind, event.order = "R", orders[1]
        return 0


def paths(test, thread, values):
    """Every path through a thread whose reads return values some write could have written."""
    complete, open_ = [], [()]
    while open_:
        guesses = open_.pop()
        run = Run(test, thread, guesses)
        if not run.starved:
            complete.append(run)
            continue
        loc = run.events[-1].loc
        open_ += [guesses + (v,) for v in sorted(values.get(loc, {test.init.get(loc, 0)}))]
    return complete


def all_paths(test):
    """Paths of all threads, with the set of values per location grown to a fixed point."""
    values = {loc: {v} for loc, v in test.init.items()}
    while True:
        runs = [paths(test, t, values) for t in range(len(test.threads))]
        grown = {loc: set(vs) for loc, vs in values.items()}
        for run in itertools.chain(*runs):
            for event in run.events:
                if event.is_write:
                    grown.setdefault(event.loc, {0}).add(event.writes)
        if grown == values:
            return runs
        values = grown


# ---- candidate executions -----------------------------------------------------------------------

class Relation(set):
    """A set of pairs of events."""

    def then(self, other):
        after = {}
        for b, c in other:
            after.setdefault(b, []).append(c)
        return Relation((a, c) for a, b in self for c in after.get(b, ()))

    def closure(self):
        result = Relation(self)
        while True:
            more = result | result.then(self)
            if len(more) == len(result):
                return result
            result = Relation(more)

    def where(self, condition):
        return Relation((a, b) for a, b in self if condition(a, b))

    def acyclic(self):
        return all(a is not b for a, b in self.closure())


def identity(events):
    return Relation((e, e) for e in events)


@dataclass
class Execution:
    events: list
    sb: Relation
    rf: Relation
    mo: Relation
    registers: list

    def final(self, loc):
        last = [e for e in self.events if e.is_write and e.loc == loc]
        return next(e.writes for e in last if not any(a is e for a, _ in self.mo))


def reads_from(events):
    """Every assignment of a write to each read, with equal values."""
    reads = [e for e in events if e.is_read]
    choices = [[w for w in events if w.is_write and w.loc == r.loc and w.writes == r.reads and w is not r]
               for r in reads]
    for writes in itertools.product(*choices):
        yield Relation(zip(writes, reads))


def modification_orders(events):
    """Every total order of the writes to each location, initial writes first."""
    per_location = []
    for loc in sorted({e.loc for e in events if e.is_write}):
        writes = [e for e in events if e.is_write and e.loc == loc]
        first = [e for e in writes if e.thread < 0]
        rest = [e for e in writes if e.thread >= 0]
        per_location.append([first + list(p) for p in itertools.permutations(rest)])
    for orders in itertools.product(*per_location):
        yield Relation(pair for order in orders for pair in itertools.combinations(order, 2))


def executions(test):
    init = [Event("W", -1, loc, "relaxed", None, value) for loc, value in test.init.items()]
    for runs in itertools.product(*all_paths(test)):
        registers = [run.registers for run in runs]
        events = init + [e for run in runs for e in run.events]
        sb = Relation((i, e) for i in init for e in events if e.thread >= 0)
        for run in runs:
            sb |= Relation(itertools.combinations(run.events, 2))
        for rf in reads_from(events):
            for mo in modification_orders(events):
                yield Execution(events, Relation(sb), rf, mo, registers)


# ---- the axioms -----------------------------------------------------------------------------------

def happens_before(x, c11):
    """hb = (sb | sw)+; sw goes from a release, over a release sequence, to an acquire."""
    writes = [e for e in x.events if e.is_write]
    by_rmw = x.rf.where(lambda a, b: b.kind == "U")
    sequence = identity(writes) | by_rmw.closure()
    if c11:
        own = x.sb.where(lambda a, b: a.is_write and b.is_write and a.loc == b.loc)
        sequence = Relation(identity(writes) | own).then(Relation(identity(writes) | by_rmw.closure()))
    release = Relation((e, e) for e in writes if e.order in RELEASE)
    release |= x.sb.where(lambda a, b: a.kind == "F" and a.order in RELEASE and b.is_write)
    acquire = Relation((e, e) for e in x.events if e.is_read and e.order in ACQUIRE)
    acquire |= x.sb.where(lambda a, b: b.kind == "F" and b.order in ACQUIRE and a.is_read)
    sw = release.then(Relation(sequence)).then(x.rf).then(acquire)
    return Relation(x.sb | sw).closure()


def psc(x, hb, rb, eco):
    """The partial SC order of RC11: its accesses (base) and its fences."""
    sb_other = x.sb.where(lambda a, b: a.loc != b.loc)
    hb_same = hb.where(lambda a, b: a.loc and a.loc == b.loc)
    scb = Relation(x.sb | sb_other.then(hb).then(sb_other) | hb_same | x.mo | rb)
    accesses = identity(e for e in x.events if e.order == "seq_cst" and e.kind != "F")
    fences = identity(e for e in x.events if e.order == "seq_cst" and e.kind == "F")
    before = Relation(accesses | fences | fences.then(hb))
    after = Relation(accesses | fences | hb.then(fences))
    base = before.then(scb).then(after)
    fence = fences.then(Relation(hb | hb.then(eco).then(hb))).then(fences)
    return Relation(base | fence)


def consistent(x, c11=False):
    hb = happens_before(x, c11)
    if any(a is b for a, b in hb):
        return False
    inverse_rf = Relation((b, a) for a, b in x.rf)
    rb = inverse_rf.then(x.mo).where(lambda a, b: a is not b)
    eco = Relation(x.rf | x.mo | rb).closure()
    coherence = not any(a is b for a, b in hb.then(eco)) and not any(a is b for a, b in eco)
    return (coherence
            and psc(x, hb, rb, eco).acyclic()
            and Relation(x.sb | x.rf).acyclic())


# ---- the exists clause ----------------------------------------------------------------------------

def holds(condition, x):
    r"""Evaluate `1:r1=1 /\ ~(x=2) \/ [y]=1` in one execution."""
    def atom(m):
        thread, name, value = m.group(1), m.group(2), int(m.group(3))
        if thread is not None:
            return str(x.registers[int(thread)].get(name) == value)
        return str(x.final(name) == value)
    text = re.sub(r"(?:(\d+):)?\[?([A-Za-z_]\w*)\]?\s*=\s*(\d+)", atom, condition)
    text = text.replace("/\\", " and ").replace("\\/", " or ").replace("~", " not ")
    if re.sub(r"\b(True|False|and|or|not)\b|[()\s]", "", text):
        raise LitmusError(f"cannot read the condition {condition!r}")
    return eval(text)  # pylint: disable=eval-used -- only True, False, and, or, not, parentheses


def verdict(test, c11=False):
    """`Sometimes` if a consistent execution satisfies the exists clause, else `Never`."""
    for x in executions(test):
        if holds(test.condition, x) and consistent(x, c11):
            return "Sometimes"
    return "Never"


def check_file(path, c11=False):
    """(verdict, expected or None) of one file, whatever its architecture."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if text.lstrip().startswith("AArch64"):
        import litmus_arm
        test = litmus_arm.parse(text)
        return litmus_arm.verdict(test), test.info.get("Expect")
    test = parse(text)
    return verdict(test, c11), test.info.get("Expect")


def main(arguments):
    c11 = "--c11" in arguments
    wrong = 0
    for path in [a for a in arguments if a != "--c11"]:
        got, expected = check_file(path, c11)
        wrong += expected not in (None, got)
        print(f"{got:9} {'' if expected in (None, got) else 'expected ' + expected + ' '}{path}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
