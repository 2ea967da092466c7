"""The builder: instructions at the end of a block, each written down as text at once."""

from __future__ import annotations

from contextlib import contextmanager

from .module import Block, Function, Instruction, Module, Phi, aligned
from .types import (
    BIT,
    I32,
    POINTER,
    VOID,
    Constant,
    LiteralStructType,
    Undefined,
    Value,
    VectorType,
    VoidType,
    mangled,
)


def _arithmetic(name):
    def write(self, x, y, flags=()):
        head = " ".join([name, *flags]) if flags else name
        kind = x.type
        line = f"{head} {kind.text} {x.text}, {y.text}"
        return self._value(kind, line, name, (x, y))

    return write


def _cast(name):
    def write(self, x, kind):
        if x.type is kind:
            return x
        line = f"{name} {x.type.text} {x.text} to {kind.text}"
        return self._value(kind, line, name, (x,))

    return write


def _compare(name, words):
    def write(self, sign, x, y, flags=()):
        kind = x.type
        to = VectorType(BIT, kind.count) if isinstance(kind, VectorType) else BIT
        head = " ".join([name, *flags, words[sign]])
        line = f"{head} {kind.text} {x.text}, {y.text}"
        return self._value(to, line, name, (x, y))

    return write


def _signs(first, equal, unequal):
    words = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
    words = {sign: first + word for sign, word in words.items()}
    return words | {"==": equal, "!=": unequal}


class IRBuilder:
    """Writes instructions at the end of a block."""

    def __init__(self, block: Block):
        self.block = block

    # -------------------------------------------------------- where

    @property
    def function(self) -> Function:
        """Which is written."""
        return self.block.function

    @property
    def module(self) -> Module:
        """Which it is of."""
        return self.block.function.module

    def append_basic_block(self, name: str = "") -> Block:
        """A new block of the function."""
        return self.block.function.append_basic_block(name)

    def position_at_end(self, block: Block) -> None:
        """Go on there."""
        self.block = block

    @contextmanager
    def goto_block(self, block: Block):
        """Inside, write at the end of another block, before it says where to go."""
        before, self.block = self.block, block
        yield
        self.block = before

    def goto_entry_block(self):
        """Inside, write in the function's first block."""
        return self.goto_block(self.block.function.blocks[0])

    def _value(self, kind, text, name, operands) -> Instruction:
        block = self.block
        function = block.function
        function.count = n = function.count + 1
        word = f"%v{n}"
        return self._insert(Instruction(kind, word), f"{word} = {text}", name, operands)

    def _effect(self, text, name, operands) -> Instruction:
        return self._insert(Instruction(VoidType(), ""), text, name, operands)

    def _insert(self, x, line, name, operands):
        block = self.block
        x.line, x.opname, x.operands, x.parent = line, name, operands, block
        block.instructions.append(x)
        return x

    def _last(self, text) -> Instruction:
        block = self.block
        if block.end is not None:
            raise ValueError(f"{block.name} ends already: {block.end.line}")
        block.end = x = Instruction(VoidType(), "")
        x.line, x.opname, x.operands, x.parent = text, "", (), block
        return x

    # -------------------------------------------------------- arithmetic

    add, sub, mul = map(_arithmetic, ("add", "sub", "mul"))
    udiv, sdiv, urem, srem = map(_arithmetic, ("udiv", "sdiv", "urem", "srem"))
    and_, or_, xor = map(_arithmetic, ("and", "or", "xor"))
    shl, lshr, ashr = map(_arithmetic, ("shl", "lshr", "ashr"))
    fadd, fsub, fmul = map(_arithmetic, ("fadd", "fsub", "fmul"))
    fdiv, frem = map(_arithmetic, ("fdiv", "frem"))
    icmp_signed = _compare("icmp", _signs("s", "eq", "ne"))
    icmp_unsigned = _compare("icmp", _signs("u", "eq", "ne"))
    fcmp_ordered = _compare("fcmp", _signs("o", "oeq", "one") | {"ord": "ord"})
    fcmp_unordered = _compare("fcmp", _signs("u", "ueq", "une") | {"uno": "uno"})
    trunc, zext, sext = map(_cast, ("trunc", "zext", "sext"))
    fptrunc, fpext = map(_cast, ("fptrunc", "fpext"))
    sitofp, uitofp, fptosi, fptoui = map(
        _cast, ("sitofp", "uitofp", "fptosi", "fptoui")
    )
    ptrtoint, inttoptr = map(_cast, ("ptrtoint", "inttoptr"))
    _bits = _cast("bitcast")

    def neg(self, x):
        """-x of whole numbers."""
        return self.sub(Constant(x.type, None), x)

    def not_(self, x):
        """All bits the other way round."""
        return self.xor(x, Constant(x.type, -1))

    def fneg(self, x):
        """-x."""
        return self._value(x.type, f"fneg {x.type.text} {x.text}", "fneg", (x,))

    def bitcast(self, x, kind):
        """The same bits as another type; where LLVM sees no difference, only we do."""
        if x.type is kind:
            return x
        if x.type.text != kind.text:
            return self._bits(x, kind)
        if isinstance(x, Instruction):
            y = Instruction(kind, x.text)
            y.line, y.opname = x.line, x.opname
            y.operands, y.parent = x.operands, x.parent
            return y
        return Value(kind, x.text)

    def select(self, mask, x, y):
        """x where the mask holds, else y."""
        kind = x.type
        line = f"select {mask}, {kind.text} {x.text}, {kind.text} {y.text}"
        return self._value(kind, line, "select", (mask, x, y))

    def phi(self, kind) -> Phi:
        """A value for each way that leads here, which are told later."""
        function = self.block.function
        function.count = n = function.count + 1
        x = Phi(kind, f"%v{n}")
        x.incomings = []
        return self._insert(x, "", "phi", ())

    # -------------------------------------------------------- parts

    def extract_element(self, x, i):
        """A lane."""
        line = f"extractelement {x}, {i}"
        return self._value(x.type.element, line, "extractelement", (x, i))

    def insert_element(self, x, y, i):
        """With another value in a lane."""
        line = f"insertelement {x}, {y}, {i}"
        return self._value(x.type, line, "insertelement", (x, y, i))

    def shuffle_vector(self, x, y, places):
        """Lanes of two vectors, one after the other, by their places."""
        kind = VectorType(x.type.element, places.type.count)
        line = f"shufflevector {x}, {y}, {places}"
        return self._value(kind, line, "shufflevector", (x, y, places))

    def splat(self, x, count: int):
        """One number in all lanes of a vector."""
        empty = Constant(VectorType(x.type, count), Undefined)
        first = Constant(VectorType(I32, count), None)
        return self.shuffle_vector(self.insert_element(empty, x, I32(0)), empty, first)

    def extract_value(self, x, i: int):
        """A part of a structure."""
        kind = x.type.part(i)
        return self._value(kind, f"extractvalue {x}, {i}", "extractvalue", (x,))

    def insert_value(self, x, y, i: int):
        """A structure with another part."""
        line = f"insertvalue {x}, {y}, {i}"
        return self._value(x.type, line, "insertvalue", (x, y))

    # -------------------------------------------------------- memory

    def alloca(self, kind, count: int | None = None):
        """A place, or some one after the other, until the function returns."""
        many = "" if count is None else f", {I32(count)}"
        line = f"alloca {kind.text}{many}"
        return self._value(kind.as_pointer(), line, "alloca", ())

    def gep(self, p, indices, inbounds: bool = False):
        """The place that indices lead to."""
        to = kind = p.type.pointee
        for i in indices[1:]:
            to = to.part(i.constant if isinstance(i, Constant) else None)
        head = "getelementptr inbounds" if inbounds else "getelementptr"
        line = f"{head} {kind.text}, ptr {p.text}, {', '.join(map(str, indices))}"
        name = "getelementptr"
        return self._value(to.as_pointer(), line, name, (p, *indices))

    def load(self, p, align: int | None = None):
        """What lies there."""
        kind = p.type.pointee
        line = f"load {kind.text}, ptr {p.text}{aligned(align)}"
        return self._value(kind, line, "load", (p,))

    def store(self, x, p, align: int | None = None):
        """Put a value there."""
        line = f"store {x.type.text} {x.text}, ptr {p.text}{aligned(align)}"
        return self._effect(line, "store", (x, p))

    def load_masked(self, p, mask, other, align: int):
        """Of a vector the lanes of the mask that lie there; for the rest those of another."""
        kind = p.type.pointee
        name, kinds = f"llvm.masked.load.{mangled(kind)}.p0", [I32, mask.type, kind]
        f = self.module.declared(name, kind, [p.type, *kinds])
        return self.call(f, [p, I32(align), mask, other])

    def store_masked(self, x, p, mask, align: int):
        """Put the lanes of the mask there."""
        name, kinds = f"llvm.masked.store.{mangled(x.type)}.p0", [I32, mask.type]
        f = self.module.declared(name, VOID, [x.type, p.type, *kinds])
        return self.call(f, [x, p, I32(align), mask])

    def load_atomic(self, p, order: str, align: int):
        """What lies there, which other threads write."""
        kind = p.type.pointee
        line = f"load atomic {kind.text}, ptr {p.text} {order}, align {align}"
        return self._value(kind, line, "load", (p,))

    def store_atomic(self, x, p, order: str, align: int):
        """Put a value where other threads read."""
        line = f"store atomic {x}, ptr {p.text} {order}, align {align}"
        return self._effect(line, "store", (x, p))

    def atomic_rmw(self, how: str, p, x, order: str):
        """Change what lies there at once; what it was before."""
        line = f"atomicrmw {how} ptr {p.text}, {x} {order}"
        return self._value(x.type, line, "atomicrmw", (p, x))

    def cmpxchg(self, p, old, new, order: str, failing: str):
        """Put `new` where `old` lies; what lay there, and whether it was done."""
        kind = LiteralStructType([old.type, BIT])
        line = f"cmpxchg ptr {p.text}, {old}, {new} {order} {failing}"
        return self._value(kind, line, "cmpxchg", (p, old, new))

    def prefetch(self, p, write: bool = False, level: int = 1):
        """Ask for a line of memory that is needed soon, in a level of caches."""
        p, kinds = self.bitcast(p, POINTER), [POINTER, I32, I32, I32]
        f = self.module.declared("llvm.prefetch.p0", VOID, kinds)
        return self.call(f, [p, I32(int(write)), I32(4 - level), I32(1)])

    def fence(self, order: str):
        """What was written before is seen before what is written after."""
        return self._effect(f"fence {order}", "fence", ())

    # -------------------------------------------------------- ways

    def call(self, f, args, fastmath=()):
        """What a function gives."""
        kind, args = f.type.pointee.return_type, tuple(args)
        head = " ".join(["call", *fastmath, kind.text]) if fastmath else f"call {kind}"
        line = (
            f"{head} {f.text}({', '.join([f'{x.type.text} {x.text}' for x in args])})"
        )
        if isinstance(kind, VoidType):
            return self._effect(line, "call", (f, *args))
        return self._value(kind, line, "call", (f, *args))

    def ret(self, x):
        """Give this."""
        return self._last(f"ret {x}")

    def ret_void(self):
        """Give nothing."""
        return self._last("ret void")

    def unreachable(self):
        """Nobody comes here."""
        return self._last("unreachable")

    def branch(self, block: Block):
        """Go there."""
        return self._last(f"br {block.text}")

    def cbranch(self, bit, yes: Block, no: Block):
        """Go to the one or the other."""
        return self._last(f"br {bit}, {yes.text}, {no.text}")

    @contextmanager
    def if_then(self, bit, likely: bool | None = None):
        """Inside, what is done if it holds."""
        yes, end = self.append_basic_block("if"), self.append_basic_block("endif")
        way = self.cbranch(bit, yes, end)
        if likely is not None:
            way.set_weights([99, 1] if likely else [1, 99])
        with self._until(yes, end):
            yield end
        self.block = end

    @contextmanager
    def if_else(self, bit):
        """Two contexts: what is done if it holds, and what if not."""
        yes, no = self.append_basic_block("if"), self.append_basic_block("else")
        end = self.append_basic_block("endif")
        self.cbranch(bit, yes, no)
        yield self._until(yes, end), self._until(no, end)
        self.block = end

    @contextmanager
    def _until(self, block, end):
        self.block = block
        yield
        if self.block.end is None:
            self.branch(end)
