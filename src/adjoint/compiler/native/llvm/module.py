"""What a module contains: functions, their blocks and instructions, which know their text."""

from __future__ import annotations

import itertools

from .types import I32, I64, ArrayType, Constant, FunctionType, Type, Value


class Module:
    """Functions and variables by their names."""

    def __init__(self, name: str = ""):
        self.name, self.globals, self.metadata = name, {}, {}
        self.rare = self  # has functions that are hardly called, or wait for others

    def get_unique_name(self, name: str) -> str:
        """A name that is free."""
        names = itertools.chain([name], (f"{name}.{i}" for i in itertools.count(1)))
        return next(x for x in names if x not in self.globals)

    def declared(self, name: str, result: Type, kinds) -> Function:
        """A function from elsewhere, or the one that this module has by that name."""
        found = self.globals.get(name)
        return found or Function(self, FunctionType(result, kinds), name)

    def internal(self, name: str, result: Type, kinds, *marks: str) -> Function:
        """A new function, which nobody else sees."""
        f = Function(self, FunctionType(result, kinds), name)
        f.linkage = "internal"
        f.mark(*marks)
        return f

    def table(self, name: str, numbers) -> GlobalVariable:
        """Whole numbers that code looks up, which nobody else sees."""
        kind = ArrayType(I64, len(numbers))
        x = GlobalVariable(self, kind, name)
        x.initializer = Constant(kind, list(numbers))
        x.linkage, x.global_constant = "internal", True
        return x

    def add_metadata(self, values) -> str:
        """A note that instructions may bear, by the number that it has in the module."""
        text = f"!{{{', '.join(map(str, values))}}}"
        return self.metadata.setdefault(text, f"!{len(self.metadata)}")

    def notes(self) -> list[str]:
        """The lines of its notes."""
        return [f"{number} = {text}" for text, number in self.metadata.items()]

    def __str__(self):
        return "\n".join([*map(str, self.globals.values()), *self.notes(), ""])

    def take_apart(self) -> None:
        """Its parts name each other, and searching for such garbage takes longer."""
        for x in self.globals.values():
            for block in getattr(x, "blocks", ()):
                for i in block.instructions:
                    i.operands = i.parent = None
                block.instructions.clear()


class _Global(Value):
    """What a module contains: a place by its name."""

    __slots__ = ("linkage", "module", "name")

    def __init__(self, module: Module, kind: Type, name: str):
        quoted = name.replace("\\", "\\5C").replace('"', "\\22")
        super().__init__(kind.as_pointer(), f'@"{quoted}"')
        self.module, self.name, self.linkage = module, name, ""
        if name in module.globals:
            raise ValueError(f"the module has {name!r} already")
        module.globals[name] = self


class GlobalVariable(_Global):
    """Memory of a module."""

    __slots__ = ("align", "global_constant", "initializer")

    def __init__(self, module: Module, kind: Type, name: str):
        super().__init__(module, kind, name)
        self.initializer, self.global_constant, self.align = None, False, None

    def __str__(self):
        if self.initializer is None:
            return self.elsewhere()
        what = "constant" if self.global_constant else "global"
        words = self.linkage, what, self.type.pointee.text, self.initializer.text
        head = " ".join(filter(None, words))
        return f"{self.text} = {head}{aligned(self.align)}"

    def elsewhere(self) -> str:
        """What other modules say of it."""
        head = f"{self.text} = external global {self.type.pointee.text}"
        return f"{head}{aligned(self.align)}"


class Argument(Value):
    """What a function is given."""

    __slots__ = ("attributes",)

    def mark(self, *attributes: str) -> None:
        """Tell LLVM more of it."""
        self.attributes = *self.attributes, *attributes


class Function(_Global):
    """A function; without blocks it is somewhere else."""

    __slots__ = ("alone", "args", "attributes", "blocks", "count", "written")

    def __init__(self, module: Module, kind: FunctionType, name: str):
        super().__init__(module, kind, name)
        self.args = [Argument(x, f"%a{i}") for i, x in enumerate(kind.args)]
        for x in self.args:
            x.attributes = ()
        self.attributes: list[str] = []
        self.blocks: list[Block] = []
        self.count, self.written = 0, None
        self.alone = False  # whether LLVM may work on it apart from its callers

    @property
    def return_type(self) -> Type:
        """The type of what it gives."""
        return self.type.pointee.return_type

    def mark(self, *attributes: str) -> None:
        """Tell LLVM more of it."""
        self.attributes += attributes

    def append_basic_block(self, name: str = "") -> Block:
        """A new block, after the others."""
        self.count += 1
        block = Block(self, f"{name or 'b'}{self.count}".replace(" ", "_"))
        self.blocks.append(block)
        return block

    def done(self) -> str:
        """Its text, which will not change any more."""
        self.written = self.body()
        return str(self)

    def __str__(self):
        if not self.blocks:
            return self.head("declare", self.linkage)
        return f"{self.head('define', self.linkage)}\n{self.body()}"

    def head(self, *words: str, names: dict | None = None) -> str:
        """Its first line; `names` are those of arguments that have others than usual."""
        names = names or {}
        args = [
            " ".join([x.type.text, *x.attributes, names.get(x, x.text)])
            for x in self.args
        ]
        head = " ".join(filter(None, (*words, self.return_type.text, self.text)))
        return " ".join([f"{head}({', '.join(args)})", *self.attributes])

    def body(self) -> str:
        """The lines of its blocks, in braces."""
        if self.written is not None:
            return self.written
        lines = ["{"]
        for block in self.blocks:
            lines.append(f"{block.name}:")
            lines += [x.line or x.spelled() for x in block.instructions]
            lines += [block.end.line] if block.end else []
        return "\n".join([*lines, "}"])


class Block:
    """Instructions one after the other, and one at the end that says where to go."""

    __slots__ = ("end", "function", "instructions", "name", "text")

    def __init__(self, function: Function, name: str):
        self.function, self.name, self.text = function, name, f"label %{name}"
        self.instructions: list[Instruction] = []
        self.end: Instruction | None = None

    @property
    def is_terminated(self) -> bool:
        """Whether it is said where to go."""
        return self.end is not None


class Instruction(Value):
    """A value, the line that makes it, and what that reads."""

    __slots__ = ("line", "operands", "opname", "parent")

    def set_metadata(self, name: str, mark: str) -> None:
        """Bear a note of the module's."""
        self.line += f", !{name} {mark}"

    def set_weights(self, weights) -> None:
        """How often a branch goes which way."""
        marks = ['!"branch_weights"', *(I32(w) for w in weights)]
        mark = self.parent.function.module.add_metadata(marks)
        self.set_metadata("prof", mark)


class Phi(Instruction):
    """The value that came with the way on which the block was entered."""

    __slots__ = ("incomings",)

    def add_incoming(self, value: Value, block: Block) -> None:
        """This value, for who comes from that block."""
        self.incomings.append((value, block))

    def spelled(self) -> str:
        """The line, once all ways are known."""
        ways = [f"[ {x.text}, %{block.name} ]" for x, block in self.incomings]
        return f"{self.text} = phi {self.type.text} {', '.join(ways)}"


def aligned(align: int | None) -> str:
    """How memory is said to be aligned, at the end of a line."""
    return "" if align is None else f", align {align}"
