"""Litmus tests in C: the subset of herd's format used here, and the axioms of RC11.

    Lahav, Vafeiadis, Kang, Hur, Dreyer: Repairing Sequential Consistency in C/C++11. PLDI 2017.

One difference: a release sequence is what C++20 says it is (only read-modify-writes continue it).
That allows more than C++11 and the paper do, so `Never` here is `Never` there, too; `c11` brings the
old rule back. All accesses are atomic. The expected value of a compare-exchange is a cell that
nobody else touches (`int* e`, as herd wants it); a failure is a load.
"""
import re

from litmus_core import Event, LitmusError, Path, Test, identity, read_header
import litmus_core

RELEASE = {"release", "acq_rel", "seq_cst"}
ACQUIRE = {"acquire", "acq_rel", "seq_cst", "consume"}

# ---- reading ------------------------------------------------------------------------------------

TOKEN = re.compile(r"\s*(//[^\n]*|[A-Za-z_]\w*|\d+|==|!=|[-(){};,*=&])")


def tokenize(text):
    tokens, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = TOKEN.match(text, at)
        if not match:
            raise LitmusError(f"cannot read: {text[at:at + 30]!r}")
        if not match.group(1).startswith("//"):
            tokens.append(match.group(1))
        at = match.end()
    return tokens


class Parser:
    """Recursive descent. Statements: ("if", condition, then, else) or ("do", register, expression)."""

    def __init__(self, tokens):
        self.tokens, self.at = tokens, 0

    def peek(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, want=None):
        got = self.peek()
        if not got or (want is not None and got != want):
            raise LitmusError(f"expected {want!r}, found {got!r}")
        self.at += 1
        return got

    def threads(self):
        result = []
        while self.peek():
            self.take()             # P0
            while self.take() != ")":
                pass                # parameters: the names are global anyway
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
            then, otherwise = self.block(), []
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
    return Test(name, info, values, Parser(tokenize(body)).threads(), condition)


# ---- running one thread -------------------------------------------------------------------------

FETCH = {"fetch_add": lambda old, v: old + v, "fetch_sub": lambda old, v: old - v,
         "fetch_or": lambda old, v: old | v, "fetch_and": lambda old, v: old & v,
         "exchange": lambda old, v: v}


class Run:
    """Follows one path through a thread, the values of its reads given in order."""

    def __init__(self, test, thread, guesses, values):
        self.test, self.thread, self.values = test, thread, values
        self.guesses, self.path = list(guesses), Path()
        self.block(test.threads[thread])

    def block(self, statements):
        for statement in statements:
            if statement[0] == "if":
                _, condition, then, otherwise = statement
                self.block(then if self.value(condition) else otherwise)
            else:
                _, register, expression = statement
                result = self.value(expression)
                if register:
                    self.path.registers[register] = result
            if self.path.needs:
                return

    def value(self, node):
        match node:
            case ("const", number):
                return number
            case ("name", name):
                return self.path.registers[name]
            case ("==", left, right):
                return int(self.value(left) == self.value(right))
            case ("!=", left, right):
                return int(self.value(left) != self.value(right))
            case ("call", function, arguments):
                return self.call(function, arguments)
        raise LitmusError(f"cannot evaluate {node}")

    def add(self, kind, loc, order, **values):
        event = Event(kind, self.thread, loc, order, **values)
        self.path.events.append(event)
        return event

    def read(self, event):
        if not self.guesses:
            self.path.needs = self.path.needs or sorted(self.values[event.loc])
            return 0
        event.reads = self.guesses.pop(0)
        return event.reads

    def call(self, function, arguments):
        names = [a[1] if a[0] == "name" else "" for a in arguments]
        orders = [n.removeprefix("memory_order_") for n in names if n.startswith("memory_order_")]
        loc, order = names[0], orders[0]
        if function == "thread_fence":
            self.add("F", "", order)
        elif function == "load":
            return self.read(self.add("R", loc, order))
        elif function == "store":
            self.add("W", loc, order, writes=self.value(arguments[1]))
        elif function == "compare_exchange_strong":
            return self.compare_exchange(loc, names[1], self.value(arguments[2]), orders)
        elif function in FETCH:
            operand = self.value(arguments[1])
            event = self.add("U", loc, order)
            event.writes = FETCH[function](self.read(event), operand)
            return event.reads or 0
        else:
            raise LitmusError(f"unknown function {function}")
        return 0

    def compare_exchange(self, loc, expected, desired, orders):
        event = self.add("U", loc, orders[0])
        if self.read(event) == self.test.init[expected]:
            event.writes = desired
            return 1
        event.kind, event.order = "R", orders[1]
        return 0


# ---- the axioms ---------------------------------------------------------------------------------

def happens_before(x, c11):
    """hb = (sb | sw)+; sw goes from a release, over a release sequence, to an acquire."""
    writes = identity(e for e in x.events if e.is_write)
    sequence = writes | x.rf.where(lambda a, b: b.kind == "U").closure()
    if c11:
        own = x.sb.where(lambda a, b: a.is_write and b.is_write and a.same_loc(b))
        sequence = (writes | own).then(sequence)
    release = identity(e for e in x.events if e.is_write and e.order in RELEASE)
    release |= x.sb.where(lambda a, b: a.kind == "F" and a.order in RELEASE and b.is_write)
    acquire = identity(e for e in x.events if e.is_read and e.order in ACQUIRE)
    acquire |= x.sb.where(lambda a, b: b.kind == "F" and b.order in ACQUIRE and a.is_read)
    sw = release.then(sequence).then(x.rf).then(acquire)
    return (x.sb | sw).closure()


def partial_sc(x, hb, rb, eco):
    """psc = psc_base | psc_F: what the seq_cst accesses and fences must agree on."""
    sb_other = x.sb.where(lambda a, b: not a.same_loc(b))
    hb_same = hb.where(lambda a, b: a.same_loc(b))
    scb = x.sb | sb_other.then(hb).then(sb_other) | hb_same | x.mo | rb
    accesses = identity(e for e in x.events if e.order == "seq_cst" and e.kind != "F")
    fences = identity(e for e in x.events if e.order == "seq_cst" and e.kind == "F")
    before = accesses | fences | fences.then(hb)
    after = accesses | fences | hb.then(fences)
    base = before.then(scb).then(after)
    return base | fences.then(hb | hb.then(eco).then(hb)).then(fences)


def consistent(x, c11=False):
    """The axioms of RC11: coherence, atomicity, SC, no thin air."""
    rb = x.rf.inverse().then(x.mo).where(lambda a, b: a is not b)
    eco = (x.rf | x.mo | rb).closure()
    if not eco.irreflexive():       # coherence of one location; with U as one event, atomicity
        return False
    hb = happens_before(x, c11)
    return (hb.irreflexive()
            and hb.then(eco).irreflexive()
            and partial_sc(x, hb, rb, eco).acyclic()
            and (x.sb | x.rf).acyclic())


def verdict(test, c11=False):
    def run(thread, guesses, values):
        return Run(test, thread, guesses, values).path
    return litmus_core.verdict(test, run, lambda x: consistent(x, c11))
