"""Types of LLVM and their constants. There is one object for each type: equal is identical."""

from __future__ import annotations

import struct


class Undefined:
    """Stands for a value that nothing may depend on."""


class Type:
    """A type; calling it makes a constant."""

    __slots__ = ("_known", "_pointer", "text")
    _made: dict = {}

    def __new__(cls, *of):
        """The type of these parts, which is made once."""
        found = Type._made.get((cls, of))
        if found is None:
            found = Type._made[cls, of] = super().__new__(cls)
            found._known, found._pointer = {}, None
            found._make(*of)
        return found

    def _make(self, *of):
        raise NotImplementedError

    def __str__(self):
        return self.text

    __repr__ = __str__

    def __call__(self, value):
        return Constant(self, value)

    def as_pointer(self) -> PointerType:
        """The type of places where values of this one lie."""
        if self._pointer is None:
            self._pointer = PointerType(self)
        return self._pointer

    def part(self, _index) -> Type:
        """The type of what an index leads to."""
        raise TypeError(f"{self} has no parts")

    def spell(self, value) -> str:
        """A constant of this type: one of Python's numbers as LLVM writes it."""
        raise TypeError(f"{self} has no constants such as {value}")

    def nothing(self) -> str:
        """The constant whose bits are all zero."""
        return "zeroinitializer"


class VoidType(Type):
    """What a function gives that gives nothing."""

    __slots__ = ()

    def _make(self):
        self.text = "void"


class IntType(Type):
    """Whole numbers of some bits."""

    __slots__ = ("width",)

    def _make(self, width):
        self.width, self.text = width, f"i{width}"

    def __call__(self, value):
        found = self._known.get(value)
        if found is None:
            found = self._known[value] = Constant(self, value)
        return found

    def spell(self, value):
        return str(int(value))

    def nothing(self):
        return "0"


class _Real(Type):
    """Floating point numbers; constants are written as the bits of a double."""

    __slots__ = ()
    format = "d"

    def spell(self, value):
        try:
            (value,) = struct.unpack(self.format, struct.pack(self.format, value))
        except OverflowError:  # too large for this format
            value = float("inf") if value > 0 else -float("inf")
        return f"0x{struct.unpack('Q', struct.pack('d', value))[0]:016x}"

    def nothing(self):
        return "0.0"


class HalfType(_Real):
    """Of 16 bits."""

    __slots__ = ()
    format = "e"

    def _make(self):
        self.text = "half"


class BrainType(Type):
    """The upper half of a float, as instructions for it take it."""

    __slots__ = ()

    def _make(self):
        self.text = "bfloat"


class FloatType(_Real):
    """Of 32 bits."""

    __slots__ = ()
    format = "f"

    def _make(self):
        self.text = "float"


class DoubleType(_Real):
    """Of 64 bits."""

    __slots__ = ()

    def _make(self):
        self.text = "double"


class PointerType(Type):
    """Places; LLVM does not ask of what, we do."""

    __slots__ = ("pointee",)

    def _make(self, pointee):
        self.pointee, self.text = pointee, "ptr"

    def nothing(self):
        return "null"


class _Many(Type):
    """So many of one type."""

    __slots__ = ("count", "element")
    ends = "[]"

    def _make(self, element, count):
        self.element, self.count = element, count
        first, last = self.ends
        self.text = f"{first}{count} x {element.text}{last}"

    def part(self, _index):
        return self.element

    def spell(self, value):
        first, last = self.ends
        return f"{first}{', '.join([_typed(self.element, x) for x in value])}{last}"


class ArrayType(_Many):
    """In memory."""

    __slots__ = ()


class VectorType(_Many):
    """In a register; one number stands for all lanes."""

    __slots__ = ()
    ends = "<>"

    def spell(self, value):
        if not isinstance(value, (list, tuple)):
            return f"splat ({_typed(self.element, value)})"
        if (
            len({*map(id, value)}) > 1
            and len({_word(self.element, x) for x in value}) > 1
        ):
            return super().spell(value)
        return f"splat ({_typed(self.element, value[0])})"


class LiteralStructType(Type):
    """Some values of different types."""

    __slots__ = ("elements",)

    def __new__(cls, elements):
        return super().__new__(cls, *elements)

    def _make(self, *elements):
        self.elements = elements
        self.text = f"{{{', '.join([x.text for x in elements])}}}"

    def part(self, index):
        return self.elements[index]


class FunctionType(Type):
    """What a function takes and gives."""

    __slots__ = ("args", "return_type")

    def __new__(cls, return_type, args):
        return super().__new__(cls, return_type, *args)

    def _make(self, return_type, *args):
        self.return_type, self.args = return_type, args
        self.text = f"{return_type.text} ({', '.join([x.text for x in args])})"


class Value:
    """What an instruction may read: its type and its word."""

    __slots__ = ("text", "type")

    def __init__(self, kind: Type, text: str):
        self.type, self.text = kind, text

    def __str__(self):
        return f"{self.type.text} {self.text}"

    __repr__ = __str__


class Constant(Value):
    """A value known now: `constant` is Python's, a number, a list, None for zeros, Undefined."""

    __slots__ = ("constant",)

    def __init__(self, kind: Type, constant):
        self.type, self.constant = kind, constant
        self.text = _word(kind, constant)

    def of_all_lanes(self) -> Constant | None:
        """The number that all lanes of a vector are, if that is so."""
        if not self.text.startswith("splat"):
            return None
        x = self.constant
        x = x[0] if isinstance(x, (list, tuple)) else x
        return x if isinstance(x, Constant) else self.type.element(x)


BIT, BYTE, I32, I64 = (IntType(n) for n in (1, 8, 32, 64))
POINTER, VOID = BYTE.as_pointer(), VoidType()


def _word(kind, x) -> str:
    if isinstance(x, Value):
        return x.text
    if x is None:
        return kind.nothing()
    return "undef" if x is Undefined else kind.spell(x)


def _typed(kind, x) -> str:
    return f"{kind.text} {_word(kind, x)}"


def mangled(kind) -> str:
    """How the names of intrinsics write a type."""
    if isinstance(kind, VectorType):
        return f"v{kind.count}{mangled(kind.element)}"
    return {"float": "f32", "double": "f64", "half": "f16"}.get(kind.text, kind.text)


__all__ = [
    "BIT",
    "BYTE",
    "I32",
    "I64",
    "POINTER",
    "VOID",
    "ArrayType",
    "BrainType",
    "Constant",
    "DoubleType",
    "FloatType",
    "FunctionType",
    "HalfType",
    "IntType",
    "LiteralStructType",
    "PointerType",
    "Type",
    "Undefined",
    "Value",
    "VectorType",
    "VoidType",
    "mangled",
]
