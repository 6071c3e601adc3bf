"""Litmus tests in AArch64 assembly, and the axiomatic model of Armv8 (other-multi-copy atomic).

    Pulte, Flur, Deacon, French, Sarkar, Sewell: Simplifying ARM Concurrency. POPL 2018; the
    instructions with both acquire and release as in the Arm ARM, section B2.3.

Instructions: MOV; LDR, LDAR, LDAPR; STR, STLR; LDXR, LDAXR, STXR, STLXR; CAS, SWP, LDADD, LDSET with
A, L, AL; DMB ISH, ISHLD, ISHST; ISB; CBZ and CBNZ forward to a label. No address arithmetic, hence no address
dependencies. An event's `order` holds letters: A acquire, Q acquire-PC, L release.
"""
import re

from litmus_core import Event, LitmusError, Path, Relation, Test, identity, read_header
import litmus_core

ATOMICS = {"SWP": lambda old, v: v, "LDADD": lambda old, v: old + v, "LDSET": lambda old, v: old | v}
ATOMIC = re.compile(r"(CAS|SWP|LDADD|LDSET)(A?L?)$")


def parse(text):
    arch, name, info, init, body, condition = read_header(text)
    if arch != "AArch64":
        raise LitmusError(f"{name}: {arch} is not AArch64")
    values, pointers = {}, {}
    for item in filter(None, (part.strip() for part in init.split(";"))):
        left, right = (side.strip() for side in item.split("="))
        if ":" in left:
            pointers[left] = right
        else:
            values[left] = int(right)
    rows = [[cell.strip() for cell in row.split("|")] for row in body.split(";") if row.strip()]
    threads = []
    for number, column in enumerate(zip(*rows[1:])):
        own = {k.split(":")[1]: v for k, v in pointers.items() if k.startswith(f"{number}:")}
        threads.append((own, [cell for cell in column if cell]))
    return Test(name, info, values, threads, condition)


class Run:
    """Follows one path through a thread: the values of its reads, and whether STXR succeeds."""

    def __init__(self, test, thread, guesses, values):
        self.thread, self.values, self.guesses = thread, values, list(guesses)
        self.pointers, self.code = test.threads[thread]
        self.path = Path(deps={"rmw": Relation(), "amo": Relation(), "data": Relation(),
                               "ctrl": Relation()})
        self.sources = {}           # register -> the reads its value comes from
        self.branches = set()       # the reads a branch depended on
        self.reserved = None        # the last LDXR
        self.run()

    def run(self):
        at = 0
        while at < len(self.code) and not self.path.needs:
            line = self.code[at]
            at += 1
            if line.endswith(":"):
                continue
            operation, _, rest = line.partition(" ")
            operands = [o.strip(" []") for o in rest.split(",")]
            if operation in ("CBZ", "CBNZ"):
                register, label = operands
                self.branches |= self.sources.get(self.number(register), set())
                if (self.register(register) == 0) == (operation == "CBZ"):
                    at = self.code.index(label + ":")
            else:
                self.step(operation, operands)

    # registers: X3 and W3 are the same

    def number(self, name):
        return "X" + name[1:]

    def register(self, name):
        return self.path.registers.get(self.number(name), 0)

    def set(self, name, value, sources=()):
        self.path.registers[self.number(name)] = value
        self.sources[self.number(name)] = set(sources)

    # events

    def add(self, kind, pointer, order, *operands):
        loc = self.pointers[self.number(pointer)] if pointer else ""
        event = Event(kind, self.thread, loc, order)
        self.path.events.append(event)
        for operand in operands:
            self.path.deps["data"] |= {(r, event) for r in self.sources.get(self.number(operand), ())}
        self.path.deps["ctrl"] |= {(r, event) for r in self.branches}
        return event

    def guess(self, answers):
        if not self.guesses:
            self.path.needs = self.path.needs or sorted(answers)
            return 0
        return self.guesses.pop(0)

    def load(self, pointer, order, *operands):
        event = self.add("R", pointer, order, *operands)
        event.reads = self.guess(self.values[event.loc])
        return event

    def store(self, pointer, order, value, *operands):
        event = self.add("W", pointer, order, *operands)
        event.writes = value
        return event

    def pair(self, load, store, *names):
        for name in names:
            self.path.deps[name] |= {(load, store)}

    def step(self, operation, operands):
        if operation == "MOV":
            target, source = operands
            if source.startswith("#"):
                self.set(target, int(source[1:]))
            else:
                self.set(target, self.register(source), self.sources.get(self.number(source), ()))
        elif operation in ("LDR", "LDAR", "LDAPR", "LDXR", "LDAXR"):
            target, pointer = operands
            order = "Q" if operation == "LDAPR" else "A" if "A" in operation else ""
            event = self.load(pointer, order)
            self.set(target, event.reads, {event})
            if operation.endswith("XR"):
                self.reserved = event
        elif operation in ("STR", "STLR"):
            source, pointer = operands
            self.store(pointer, "L" if "L" in operation else "", self.register(source), source)
        elif operation in ("STXR", "STLXR"):
            self.store_exclusive(operation, *operands)
        elif ATOMIC.match(operation):
            self.atomic(*ATOMIC.match(operation).groups(), *operands)
        elif operation in ("DMB", "ISB"):
            self.add("F", "", " ".join([operation] + [o for o in operands if o]))
        else:
            raise LitmusError(f"unknown instruction {operation}")

    def store_exclusive(self, operation, status, source, pointer):
        failed = self.guess([0, 1])
        self.set(status, failed)
        if not failed and self.reserved is not None:
            event = self.store(pointer, "L" if "L" in operation else "", self.register(source), source)
            self.pair(self.reserved, event, "rmw")
        self.reserved = None

    def atomic(self, name, letters, first, second, pointer):
        """CAS: first is expected and result, second the new value. SWP and LD..: operand, result."""
        operands = (first, second) if name == "CAS" else (first,)
        before = {operand: self.sources.get(self.number(operand), set()) for operand in operands}
        values = {operand: self.register(operand) for operand in operands}
        load = self.load(pointer, "A" if "A" in letters else "", *operands)
        result = first if name == "CAS" else second
        self.set(result, load.reads, {load})
        if name == "CAS" and load.reads != values[first]:
            return
        written = values[second] if name == "CAS" else ATOMICS[name](load.reads, values[first])
        store = self.store(pointer, "L" if "L" in letters else "", written)
        for sources in before.values():
            self.path.deps["data"] |= {(read, store) for read in sources}
        self.pair(load, store, "rmw", "amo")


# ---- the model --------------------------------------------------------------------------------

def is_fence(event, kind):
    return event.kind == "F" and event.order == kind


def barrier_ordered(x, po, amo):
    """bob: what fences and the letters A, Q, L keep in order."""
    reads = identity(e for e in x.events if e.kind == "R" and e.thread >= 0)
    writes = identity(e for e in x.events if e.kind == "W" and e.thread >= 0)
    acquire = identity(e for e, _ in reads if "A" in e.order)
    weak_acquire = identity(e for e, _ in reads if "Q" in e.order)
    release = identity(e for e, _ in writes if "L" in e.order)
    full, loads, stores = (identity(e for e in x.events if is_fence(e, kind))
                           for kind in ("DMB ISH", "DMB ISHLD", "DMB ISHST"))
    coi = x.mo.where(lambda a, b: a.thread == b.thread)
    return (po.then(full).then(po)
            | po.then(acquire.then(amo).then(release)).then(po)
            | release.then(po).then(acquire)
            | reads.then(po).then(loads).then(po)
            | (acquire | weak_acquire).then(po)
            | writes.then(po).then(stores).then(po).then(writes)
            | po.then(release)
            | po.then(release).then(coi))


def dependency_ordered(x, po):
    """dob, without address dependencies."""
    data, ctrl = x.deps["data"], x.deps["ctrl"]
    isb = identity(e for e in x.events if is_fence(e, "ISB"))
    same_thread = lambda a, b: a.thread == b.thread
    return (data
            | ctrl.where(lambda a, b: b.kind == "W")
            | ctrl.then(isb).then(po).where(lambda a, b: b.kind == "R")
            | (ctrl | data).then(x.mo.where(same_thread))
            | data.then(x.rf.where(same_thread)))


def consistent(x):
    """internal: coherence; external: ob is acyclic; atomic: nobody writes between the two of an rmw."""
    po = x.sb.where(lambda a, b: a.thread >= 0)
    rmw, amo = x.deps["rmw"], x.deps["amo"]
    other = lambda a, b: a.thread != b.thread
    fr = x.rf.inverse().then(x.mo)
    po_loc = po.where(lambda a, b: a.same_loc(b))
    if not (po_loc | x.mo | fr | x.rf).acyclic():
        return False
    if rmw & fr.where(other).then(x.mo.where(other)):
        return False
    observed = (x.rf | fr | x.mo).where(other)
    written = identity(w for _, w in rmw)
    to_own_acquire = x.rf.where(lambda a, b: a.thread == b.thread and set(b.order) & {"A", "Q"})
    atomic_ordered = rmw | written.then(to_own_acquire)
    ob = observed | dependency_ordered(x, po) | atomic_ordered | barrier_ordered(x, po, amo)
    return ob.acyclic()


def verdict(test):
    def run(thread, guesses, values):
        return Run(test, thread, guesses, values).path
    return litmus_core.verdict(test, run, consistent)
