"""Values of lanes: constants, calls, and ways between blocks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager, nullcontext

from ..llvm import text as ir
from ..llvm.flow import either
from ..llvm.types import mangled
from .kinds import FORMATS, Format, element_of, is_int_type


def shared_by_lanes(x):
    """The number that all lanes of x are seen to be, or None."""
    if isinstance(x, ir.Constant):
        return x.of_all_lanes()
    if getattr(x, "opname", "") != "shufflevector":
        return None
    first, _, places = x.operands
    zero = places.constant is None or set(places.constant) == {0}
    spread = getattr(first, "opname", "") == "insertelement"
    return first.operands[1] if zero and spread else None


class Values:
    """Values of `width` lanes at the builder's place, constants, calls and ways."""

    def __init__(self, builder: ir.IRBuilder, width: int):
        self.b, self.width = builder, width
        self._before: dict = {}  # block -> one through which every way to it leads
        self._written: dict = {}

    def vector(self, scalar):
        """The vector type of this element type."""
        return ir.VectorType(scalar, self.width) if self.width > 1 else scalar

    def format(self, x) -> Format:
        """The floating format of x."""
        return FORMATS[str(element_of(x.type))]

    def element(self, x):
        """The type of a lane of x."""
        return element_of(x.type)

    def splat(self, x):
        """One number in all lanes."""
        return x if self.width == 1 else self.b.splat(x, self.width)

    def counting(self, first):
        """first, first + 1, ..."""
        if self.width == 1:
            return first
        steps = ir.Constant(self.vector(first.type), list(range(self.width)))
        return self.b.add(self.splat(first), steps)

    def number(self, x, like):
        """`x` as it is, or a vector of the Python number `x` in the type of `like`."""
        if isinstance(x, ir.Value):
            return x
        kind = like.type if isinstance(like, ir.Value) else like
        value = int(x) if is_int_type(kind) else float(x)
        return ir.Constant(kind, value)

    def both(self, x, y):
        """Two operands, of which a Python number takes the type of the other."""
        like = x if isinstance(x, ir.Value) else y
        return self.number(x, like), self.number(y, like)

    def call(self, name: str, *xs, flags=()):
        """An LLVM intrinsic on vectors of one kind."""
        like = next(x for x in xs if isinstance(x, ir.Value))
        xs = [self.number(x, like) for x in xs]
        kind, text = like.type, f"llvm.{name}.{mangled(like.type)}"
        f = self.function(text, kind, [kind] * len(xs))
        return self.b.call(f, xs, fastmath=flags)

    def function(self, name: str, result, kinds):
        """A function that the module declares once."""
        return self.b.module.declared(name, result, kinds)

    @contextmanager
    def at_the_end_of(self, x):
        """Inside, what is written goes to the end of the block that x is of, if it is closed."""
        home = getattr(x, "parent", None)
        closed = isinstance(home, ir.Block) and home.is_terminated
        with self.b.goto_block(home) if closed else nullcontext():
            yield

    # ------------------------------------------------------------ ways

    def any(self, mask):
        """Whether the mask holds in a lane."""
        if not isinstance(mask.type, ir.VectorType):
            return mask
        bits = ir.IntType(self.width)
        return self.b.icmp_unsigned("!=", self.b.bitcast(mask, bits), bits(0))

    def rarely(self, mask, slow: Callable, *fast):
        """The values `fast`; if the mask holds in any lane, those that slow() writes."""
        b, head = self.b, self.b.block
        cold, done = b.append_basic_block("rare"), b.append_basic_block("done")
        b.cbranch(self.any(mask), cold, done).set_weights([1, 1000])
        b.position_at_end(cold)
        found = slow()
        end = b.block
        b.branch(done)
        self._before[done] = head
        b.position_at_end(done)
        pairs = zip(fast, found, strict=True)
        return tuple(either(b, x, head, y, end) for x, y in pairs)

    def repeated(self, condition: Callable, step: Callable, state):
        """step(*state) again and again, in each lane for as long as its condition holds."""
        b, before = self.b, self.b.block
        head, body, done = (b.append_basic_block(n) for n in ("again", "step", "done"))
        b.branch(head)
        b.position_at_end(head)
        now = [b.phi(x.type) for x in state]
        mask = condition(*now)
        b.cbranch(self.any(mask), body, done)
        b.position_at_end(body)
        after = [b.select(mask, x, p) for x, p in zip(step(*now), now, strict=True)]
        for phi, x, y in zip(now, state, after, strict=True):
            phi.add_incoming(x, before)
            phi.add_incoming(y, b.block)
        b.branch(head)
        b.position_at_end(done)
        return tuple(now)

    def once(self, write: Callable, x):
        """write(x), or what it gave before if that was on the way to this place."""
        key = write, x
        block, y = self._written.get(key, (None, None))
        here = self.b.block
        while here is not None and here is not block:
            here = self._before.get(here)
        if y is None or here is None:
            y = write(x)
            self._written[key] = self.b.block, y
        return y

    def shared(self, name: str, write: Callable, *xs, result=None, cold=False):
        """write(lanes, *xs) as a function that a module contains once.

        Its result is of the type of the first operand, unless `result` is a list of types.
        """
        kinds = [x.type for x in xs]
        text = f"adjoint.{name}.{'.'.join(map(mangled, kinds))}"
        f = self.b.module.globals.get(text)
        if f is None:
            to = ir.LiteralStructType(result) if result else kinds[0]
            f = self._function(text, ir.FunctionType(to, kinds), write, cold)
        y = self.b.call(f, xs)
        if result is None:
            return y
        return tuple(self.b.extract_value(y, i) for i in range(len(result)))

    def _function(self, name, kind, write, cold):
        """One of this module, or of that for rare ones, which this then names."""
        module = self.b.module
        home = module.rare if cold else module
        f = ir.Function(home, kind, name)
        f.mark("nounwind", *(("cold", "noinline", "optnone") if cold else ()))
        self._write(f, write)
        if home is module:
            f.linkage = "internal"
            return f
        f = ir.Function(module, kind, name)
        f.mark("nounwind", "cold")
        return f

    def _write(self, f, write):
        builder = ir.IRBuilder(f.append_basic_block())
        y = write(type(self)(builder, self.width), *f.args)
        if isinstance(y, tuple):
            parts, y = y, ir.Constant(f.return_type, ir.Undefined)
            for i, v in enumerate(parts):
                y = builder.insert_value(y, v, i)
        builder.ret(y)
