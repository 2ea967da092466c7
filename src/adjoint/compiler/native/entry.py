"""Entry: the function that Python calls, in machine code.

It checks the arguments against what the program was made for, finds their memory, runs the
program and makes tensors of new arrays: a call costs half a microsecond. Whatever is not as
expected it leaves to the caller, by answering MISS.
"""

from __future__ import annotations

from copy import copy

import numpy as np

from ...autodiff.node import Leaf
from ...core.bind import Box
from . import way
from .answers import Answers
from .guards import APART, LEAF
from .kernels.failures import FAILED
from .llvm import text as ir
from .llvm.types import BIT, I32, I64, POINTER
from .objects import COUNT, DATA, DESCR, FLAGS, ITEMS, LISTED, NDIM, SHAPE, SIZE, TYPE

ORDERED = 0x1 | 0x100  # flags of an array: row-major, aligned


class Entry(Answers):
    """Writes `call(self, args, n)`, beside a program whose `run(table)` it calls.

    `number_of(key)` is the place of a pointer in the table; objects that the code compares or
    calls are pointers there too, so that the code itself knows no address.
    """

    def __init__(self, program, number_of, long: bool):
        self.program, self.module = program, program.rare
        self.number_of, self.long = number_of, long
        run, failed = (program.globals[name].type.pointee for name in ("run", FAILED))
        self.run = ir.Function(self.module, run, "run")
        self.failed = ir.GlobalVariable(self.module, failed, FAILED)
        table = ir.GlobalVariable(self.module, POINTER.as_pointer(), "table")
        table.initializer = ir.Constant(table.type.pointee, None)
        kind = ir.FunctionType(POINTER, [POINTER, POINTER.as_pointer(), I64])
        f = ir.Function(self.module, kind, "call")
        self.args, self.count = f.args[1], f.args[2]
        self.b = ir.IRBuilder(f.append_basic_block("entry"))
        self.miss, self.end = map(f.append_basic_block, ("miss", "end"))
        self.table = self.b.load(table)
        self.owned = self.b.alloca(POINTER, way.MOST + 8)
        self.held = self.b.alloca(I64)
        self.answer, self.found = self.b.alloca(POINTER), self.b.alloca(POINTER)
        self.b.store(I64(0), self.held)

    # ------------------------------------------------------------ what Python has

    def item(self, key, name):
        """A dict's item; MISS is answered if there is none."""
        y = self._found(key, name)
        self.need(self.b.icmp_unsigned("!=", y, POINTER(None)))
        return y

    def missing(self, key, name):
        """A dict has no such item."""
        self.need(self.b.icmp_unsigned("==", self._found(key, name), POINTER(None)))

    def _found(self, key, name):
        return self.api(
            "PyDict_GetItemWithError", self.slot(key), self.slot(("name", name))
        )

    def holds(self, key, wanted: int):
        """A dict has so many items."""
        found = self.api("PyDict_Size", self.slot(key))
        self.need(self.b.icmp_signed("==", found, I64(wanted)))

    def kept(self, key, name, is_dict: bool):
        """What a dict, or a cell, keeps under a name."""
        if is_dict:
            return self.item(key, name)
        return self.own(self.slot(key), name)

    def items(self, key, wanted, count: int):
        """A list has the items that it had."""
        x = self.slot(key)
        self.need(self.b.icmp_unsigned("==", self.field(x, SIZE, I64), I64(count)))
        self._same_bits(self.field(x, LISTED), self.slot(wanted), 8 * count)

    def bits(self, key, wanted, size: int):
        """The memory of a tensor has the bits that it had."""
        self._same_bits(self.slot(key), self.slot(wanted), size)

    def _same_bits(self, x, y, size: int):
        f = self.module.declared("memcmp", I32, [POINTER, POINTER, I64])
        found = self.b.call(f, [x, y, I64(size)])
        self.need(self.b.icmp_unsigned("==", found, I32(0)))

    def member(self, x, i):
        """Item i of a tuple."""
        self.need(self.same(self.field(x, TYPE), self.slot(("type", tuple))))
        self.need(self.b.icmp_signed(">", self.field(x, SIZE, I64), I64(i)))
        return self.field(x, ITEMS + 8 * i)

    # ------------------------------------------------------------ what is checked

    def context(self, key, wanted):
        """A context variable has the value that it had."""
        self.api("PyContextVar_Get", self.slot(key), POINTER(None), self.found)
        value = self.b.load(self.found)
        self.drop(value)  # the context holds it
        self.need(self.same(value, self.slot(wanted)))

    def number(self, key, wanted):
        """A counter has the value that it had."""
        now, before = (self.b.load(self._counter(k)) for k in (key, wanted))
        self.need(self.b.icmp_unsigned("==", now, before))

    def arguments(self, n):
        """The tensors that are given, as many as are expected."""
        self.need(self.b.icmp_unsigned("==", self.count, I64(n)))
        places = (self.b.gep(self.args, [I64(i)]) for i in range(n))
        self.given = [self.b.load(p) for p in places]
        return self.given

    def memory_of(self, tensor, v, home=APART):
        """The table's pointer to a plain tensor's memory, if it is as expected.

        `home`: where it is in the graph of its results.
        """
        f = self._finder(len(v.spec.shape), home)
        dtype = self.slot(("dtype", v.spec.dtype))
        data = self.b.call(f, [tensor, self.table, dtype, *map(I64, v.spec.shape)])
        self.need(self.b.icmp_unsigned("!=", data, POINTER(None)))
        self.b.store(data, self.place(v))

    def _finder(self, rank: int, home: str):
        """(tensor, table, dtype, sizes) -> where its memory starts; null if it is another."""
        name = f"memory of a tensor of {rank} dims, {home}"
        f = self.module.globals.get(name)
        if f is None:
            kinds = [POINTER, POINTER.as_pointer(), POINTER, *[I64] * rank]
            f = self.module.internal(name, POINTER, kinds)
            self._write_finder(f, home)
        return f

    def _write_finder(self, f, home):
        e = copy(self)
        e.b, e.table = ir.IRBuilder(f.append_basic_block()), f.args[1]
        e.miss = f.append_basic_block("miss")
        tensor, _, dtype, *sizes = f.args
        e.need(e.same(e.field(tensor, TYPE), e.slot(("type", Box.face))))
        plain, node, x = (e.own(tensor, key) for key in ("plain", "node", "value"))
        e.need(e.same(plain, e.slot(("constant", True))))
        none, leaf = e.slot(("constant", None)), e.slot(("type", Leaf))
        if home == APART:
            e.need(e.same(node, none))
        elif home == LEAF:
            e.need(e.same(e.field(node, TYPE), leaf))
        else:
            e.need(e.other(node, none))
            e.need(e.other(e.field(node, TYPE), leaf))
        e.array(x, dtype, sizes)
        e.b.ret(e.field(x, DATA))
        ir.IRBuilder(e.miss).ret(POINTER(None))

    def apart(self, v, spans, count: int):
        """A value's memory is no part of those between pairs of addresses."""
        start = self._address(v)
        p = self.b.bitcast(self.slot(spans), I64.as_pointer())
        end = self.b.add(start, I64(v.spec.bytes))
        self.need(self.b.call(self._outside(), [start, end, p, I64(count)]))

    def apart_of(self, v, w):
        """Whether the memory of two values does not meet."""
        a, c = self._address(v), self._address(w)
        before = self.b.icmp_signed("<=", self.b.add(a, I64(v.spec.bytes)), c)
        after = self.b.icmp_signed("<=", self.b.add(c, I64(w.spec.bytes)), a)
        return self.b.or_(before, after)

    def _address(self, v):
        return self.b.ptrtoint(self.slot(v), I64)

    def _outside(self):
        """(start, end, pairs, their count) -> whether the span meets none of the pairs.

        It is written beside the program, for which LLVM makes an effort: there may be many.
        """
        kinds = [I64, I64, I64.as_pointer(), I64]
        if "outside" not in self.program.globals:
            kind = ir.FunctionType(BIT, kinds)
            self._write_outside(ir.Function(self.program, kind, "outside"))
        return self.module.declared("outside", BIT, kinds)

    def _write_outside(self, f):
        start, end, pairs, count = f.args
        first, head, body, no, yes = (f.append_basic_block() for _ in range(5))
        b = ir.IRBuilder(first)
        b.branch(head)
        b.position_at_end(head)
        i = b.phi(I64)
        i.add_incoming(I64(0), first)
        b.cbranch(b.icmp_signed("<", i, count), body, yes)
        b.position_at_end(body)
        p = b.gep(pairs, [b.mul(i, I64(2))])
        low, high = b.load(p), b.load(b.gep(p, [I64(1)]))
        meets = b.and_(b.icmp_signed("<", start, high), b.icmp_signed("<", low, end))
        i.add_incoming(b.add(i, I64(1)), body)
        b.cbranch(meets, no, head)
        for block, answer in ((no, 0), (yes, 1)):
            ir.IRBuilder(block).ret(BIT(answer))

    def array(self, x, dtype, sizes):
        """An array is of this shape and dtype, row-major and aligned."""
        b = self.b
        self.need(self.same(self.field(x, TYPE), self.slot(("type", np.ndarray))))
        self.need(self.same(self.field(x, DESCR), dtype))
        flags = b.and_(self.field(x, FLAGS, I32), I32(ORDERED))
        fits = b.icmp_unsigned("==", flags, I32(ORDERED))
        rank = b.icmp_unsigned("==", self.field(x, NDIM, I32), I32(len(sizes)))
        self.need(b.and_(fits, rank))
        dims = b.bitcast(self.field(x, SHAPE), I64.as_pointer())
        for i, n in enumerate(sizes):
            self.need(b.icmp_unsigned("==", b.load(b.gep(dims, [I64(i)])), n))

    def real(self, x, memory, v):
        """Python's float x goes to `memory`, where the program finds the value v."""
        self.need(self.same(self.field(x, TYPE), self.slot(("type", float))))
        kind = ir.DoubleType()
        p = self.slot(memory)
        self.b.store(self.field(x, DATA, kind), self.b.bitcast(p, kind.as_pointer()))
        self.b.store(p, self.place(v))

    def unshared(self, x, count):
        """Only `count` references to an object exist."""
        self.need(self.b.icmp_unsigned("==", self.field(x, COUNT, I32), I32(count)))

    # ------------------------------------------------------------ what is done

    def idle(self, i):
        """Nobody is about to take from the stream of random numbers."""
        self.need(self.b.icmp_unsigned("==", self._stream(i, 2), I64(0)))

    def draw(self, i, blocks: int, v):
        """Value v: the seed and the next block of a stream, of which so many are used up."""
        b, place = self.b, self._counter(("drawn", i))
        start = self._stream(i, 1)
        b.store(self._stream(i, 0), place)
        b.store(start, b.gep(place, [I64(1)]))
        after = b.and_(b.add(start, I64(blocks)), I64(2**63 - 1))
        b.store(after, b.gep(self._counter(("stream", i)), [I64(1)]))
        b.store(self.slot(("drawn", i)), self.place(v))

    def _stream(self, i, word):
        return self.b.load(self.b.gep(self._counter(("stream", i)), [I64(word)]))

    def claim(self, counters):
        """From here on no other thread may enter, until the answer or a miss."""
        self.claimed = counters
        self._claim(1)
        self.early, self.miss = self.miss, self.b.append_basic_block("give up")

    def go(self):
        """Run the program; other threads of Python run meanwhile if it is a long one."""
        self._run()
        self._claim(0)
        calls = self._counter("calls")
        self.b.store(self.b.add(self.b.load(calls), I64(1)), calls)

    def _counter(self, key):
        return self.b.bitcast(self.slot(key), I64.as_pointer())

    def _claim(self, value: int):
        for key in self.claimed:
            self.b.store(I64(value), self._counter(key))

    def _run(self):
        if self.long:
            state = self.api("PyEval_SaveThread")
            self.b.call(self.run, [self.table])
            self.api("PyEval_RestoreThread", state)
        else:
            self.b.call(self.run, [self.table])

    def give_up(self):
        """Where nothing was done the answer is MISS; and whatever it is, it is given."""
        b = self.b
        b.position_at_end(self.miss)
        self._claim(0)
        b.branch(self.early)
        b.position_at_end(self.early)
        self.api("PyErr_Clear")
        miss = self.slot("miss")
        self.api("Py_IncRef", miss)
        self.leave(miss)
        self.release()
