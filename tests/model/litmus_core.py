"""What all litmus tests share: events, relations, candidate executions, the exists clause.

A test is a few threads. A candidate execution is one path through each thread, together with what
each read reads from (rf) and the order of the writes to each location (mo, elsewhere called co).
Which candidates are allowed is for the architecture to say: litmus_c.py, litmus_arm.py.
"""
import itertools
import re
from dataclasses import dataclass, field


ATOM = re.compile(r"(?:(\d+):)?\[?([A-Za-z_]\w*)\]?\s*=\s*(\d+)")    # 1:r1=2, x=2, [x]=2


class LitmusError(Exception):
    """The file is not in the subset understood here."""


@dataclass(eq=False)                # events are compared and hashed by identity
class Event:
    """One access or fence; U is a read-modify-write as one event."""
    kind: str                       # R, W, U, F
    thread: int                     # -1: the initial writes
    loc: str = ""
    order: str = ""                 # how strong: a memory_order, or the letters of an Arm instruction
    reads: int | None = None
    writes: int | None = None

    is_read = property(lambda e: e.kind in "RU")
    is_write = property(lambda e: e.kind in "WU")

    def same_loc(self, other):
        return bool(self.loc) and self.loc == other.loc


@dataclass
class Test:
    name: str
    info: dict                      # the Key=Value lines of the header
    init: dict                      # location -> value
    threads: list                   # each as its architecture likes it
    condition: str


class Relation(set):
    """A set of pairs of events."""

    def then(self, other):
        """Relational composition."""
        after = {}
        for b, c in other:
            after.setdefault(b, []).append(c)
        return Relation((a, c) for a, b in self for c in after.get(b, ()))

    def __or__(self, other):
        return Relation(set.__or__(self, other))

    def closure(self):
        """Transitive closure."""
        result = self
        while True:
            more = result | result.then(self)
            if len(more) == len(result):
                return result
            result = more

    def where(self, condition):
        return Relation((a, b) for a, b in self if condition(a, b))

    def inverse(self):
        return Relation((b, a) for a, b in self)

    def irreflexive(self):
        return all(a is not b for a, b in self)

    def acyclic(self):
        return self.closure().irreflexive()


def identity(events):
    return Relation((e, e) for e in events)


# ---- reading a file ---------------------------------------------------------------------------

def read_header(text):
    """(arch, name, info, initial state, body, condition), the last three as text."""
    text = re.sub(r"\(\*.*?\*\)", "", text, flags=re.S)
    head, rest = text.split("{", 1)
    first, *lines = head.strip().splitlines()
    arch, name = first.split()
    info = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith('"'))
    init, rest = rest.split("}", 1)
    body, condition = re.split(r"\bexists\b", rest, maxsplit=1)
    return arch, name, info, init, body.strip(), condition.strip()


# ---- paths through one thread -------------------------------------------------------------------

@dataclass
class Path:
    """One way through one thread. `needs` lists the possible answers if it ran out of guesses."""
    events: list = field(default_factory=list)
    registers: dict = field(default_factory=dict)
    needs: list = field(default_factory=list)
    deps: dict = field(default_factory=dict)     # name -> Relation; what the architecture wants to keep


def paths(run, thread, values):
    """Every path; run(thread, guesses, values) follows the guesses for what reads return."""
    complete, open_ = [], [()]
    while open_:
        guesses = open_.pop()
        path = run(thread, guesses, values)
        if path.needs:
            open_ += [guesses + (answer,) for answer in path.needs]
        else:
            complete.append(path)
    return complete


def all_paths(test, run):
    """The paths of all threads. The values a location can have are grown until nothing is new, or
    (counters would grow for ever) as often as there are writes that could depend on one another.
    The values the condition asks for are tried, too: it is for the axioms to forbid them."""
    asked = {int(match.group(3)) for match in ATOM.finditer(test.condition)}
    values = {loc: {value} | asked for loc, value in test.init.items()}
    depth = 0
    while True:
        result = [paths(run, thread, values) for thread in range(len(test.threads))]
        grown = {loc: set(known) for loc, known in values.items()}
        for path in itertools.chain(*result):
            for event in path.events:
                if event.is_write:
                    grown[event.loc].add(event.writes)
        writes = sum(max(sum(e.is_write for e in p.events) for p in some) for some in result)
        if grown == values or depth > writes:
            return result
        values = grown
        depth += 1


# ---- candidate executions -----------------------------------------------------------------------

@dataclass
class Execution:
    events: list
    sb: Relation                    # program order; the initial writes come first
    rf: Relation
    mo: Relation
    registers: list
    deps: dict

    def final(self, loc):
        """The last value written."""
        overwritten = {a for a, _ in self.mo}
        return next(e.writes for e in self.events
                    if e.is_write and e.loc == loc and e not in overwritten)


def reads_from(events):
    """Every choice of a write for each read, with equal values."""
    reads = [e for e in events if e.is_read]
    choices = [[w for w in events
                if w.is_write and w.loc == r.loc and w.writes == r.reads and w is not r]
               for r in reads]
    for writes in itertools.product(*choices):
        yield Relation(zip(writes, reads))


def modification_orders(events):
    """Every total order of the writes to each location, the initial write first."""
    per_location = []
    for loc in sorted({e.loc for e in events if e.is_write}):
        writes = [e for e in events if e.is_write and e.loc == loc]
        first = [e for e in writes if e.thread < 0]
        rest = [e for e in writes if e.thread >= 0]
        per_location.append([first + list(p) for p in itertools.permutations(rest)])
    for orders in itertools.product(*per_location):
        yield Relation(pair for order in orders for pair in itertools.combinations(order, 2))


def executions(test, run):
    init = [Event("W", -1, loc, "relaxed", None, value) for loc, value in test.init.items()]
    for chosen in itertools.product(*all_paths(test, run)):
        events = init + [e for path in chosen for e in path.events]
        sb = Relation((i, e) for i in init for e in events if e.thread >= 0)
        deps = {}
        for path in chosen:
            sb |= Relation(itertools.combinations(path.events, 2))
            for name, pairs in path.deps.items():
                deps[name] = deps.get(name, Relation()) | pairs
        registers = [path.registers for path in chosen]
        for rf in reads_from(events):
            for mo in modification_orders(events):
                yield Execution(events, sb, rf, mo, registers, deps)


# ---- the exists clause ----------------------------------------------------------------------------


def holds(condition, x):
    r"""Evaluate `1:r1=1 /\ ~(x=2) \/ [y]=1` in one execution."""
    def atom(match):
        thread, name, value = match.group(1), match.group(2), int(match.group(3))
        found = x.final(name) if thread is None else x.registers[int(thread)].get(name)
        return str(found == value)
    text = ATOM.sub(atom, condition)
    text = text.replace("/\\", " and ").replace("\\/", " or ").replace("~", " not ")
    if re.sub(r"\b(True|False|and|or|not)\b|[()\s]", "", text):
        raise LitmusError(f"cannot read the condition {condition!r}")
    return eval(text)  # pylint: disable=eval-used -- nothing but True False and or not ( )


def verdict(test, run, consistent):
    """`Sometimes` if a consistent execution satisfies the exists clause, else `Never`. A clause that
    not even an inconsistent candidate satisfies proves nothing: that is an error in the test."""
    possible = False
    for x in executions(test, run):
        if holds(test.condition, x):
            possible = True
            if consistent(x):
                return "Sometimes"
    if not possible:
        raise LitmusError(f"{test.name}: no candidate satisfies {test.condition}")
    return "Never"
