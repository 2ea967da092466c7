"""Spelling: a module as the text that LLVM reads, in half the time of llvmlite's own.

That asks every value for its text through several methods, and most of a program is a few kinds
of instructions whose words come again and again. These are written here, each word once a
function; whatever is rare llvmlite writes.
"""

from __future__ import annotations

from llvmlite import ir
from llvmlite.ir import instructions as kinds


def spelled(module, functions) -> str:
    """The text of a module; `functions` has the texts of those that were spelled before."""
    lines = [
        f'; ModuleID = "{module.name}"',
        f'target triple = "{module.triple}"',
        f'target datalayout = "{module.data_layout}"',
    ]
    lines += [str(x.get_declaration()) for x in module.get_identified_types().values()]
    for x in module.globals.values():
        known = functions.get(x)
        lines.append(_global(x) if known is None else known)
    lines += map(str, module.metadata)
    return "\n".join(lines)


def forget(module) -> None:
    """Take a module apart, whose parts name each other: searching for them takes longer."""
    for f in module.globals.values():
        for block in getattr(f, "blocks", ()):
            for x in block.instructions:
                x.operands = ()
                if type(x) is kinds.PhiInstr:
                    x.incomings.clear()
            block.instructions.clear()


def _global(x) -> str:
    return function(x) if isinstance(x, ir.Function) and x.blocks else str(x)


def function(f) -> str:
    """The text of a function."""
    head: list = []
    f.descr_prototype(head)
    word, lines = _words(), [head[0], "{"]
    for block in f.blocks:
        lines.append(f"{word(block)[1:]}:")
        for x in block.instructions:
            write = None if x.metadata else _WRITERS.get(type(x))
            text = None if write is None else write(word, x)
            if text is None:
                lines.append(str(x))
            elif type(x.type) is ir.VoidType:
                lines.append(text)
            else:
                lines.append(f"{word(x)} = {text}")
    lines.append("}\n")
    return "\n".join(lines)


def _words():
    """word(x): the text of a type, or of a value where it is read, made once."""
    known: dict[int, str] = {}
    get = known.get

    def word(x):
        found = get(id(x))
        if found is None:
            found = known[id(x)] = _word(x, word)
        return found

    return word


def _word(x, word) -> str:
    if type(x) is ir.Constant:
        return _constant(x, word)
    if isinstance(x, (kinds.Instruction, ir.Block)):
        name = x.name
        if '"' not in name and "\\" not in name:
            return f'%"{name}"'
    if isinstance(x, ir.Value):
        return x.get_reference()
    plain = x.is_pointer and not x.is_opaque and not x.addrspace
    return f"{word(x.pointee)}*" if plain else str(x)


def _constant(x, word) -> str:
    """A number, or one that all lanes of a vector have."""
    value, kind = x.constant, type(x.type)
    if type(value) is int and kind is ir.IntType:
        return str(value)
    if type(value) is tuple and kind is ir.VectorType and len({*map(id, value)}) == 1:
        one = f"{word(value[0].type)} {word(value[0])}"
        return f"<{', '.join([one] * len(value))}>"
    return x.get_reference()


def _list(word, xs) -> str:
    """Values with their types."""
    return ", ".join([f"{word(x.type)} {word(x)}" for x in xs])


def _plain(word, x):
    """Arithmetic: one type for all."""
    name = " ".join([x.opname, *x.flags]) if x.flags else x.opname
    return f"{name} {word(x.type)} {', '.join([word(y) for y in x.operands])}"


def _typed(word, x):
    """Every operand with its type."""
    return f"{x.opname} {_list(word, x.operands)}"


def _select(word, x):
    return f"{' '.join(['select', *x.flags])} {_list(word, x.operands)}"


def _compare(word, x):
    y, z = x.operands
    name = " ".join([x.opname, *x.flags, x.op])
    return f"{name} {word(y.type)} {word(y)}, {word(z)}"


def _cast(word, x):
    y = x.operands[0]
    return f"{x.opname} {word(y.type)} {word(y)} to {word(x.type)}"


def _aligned(x):
    return "" if x.align is None else f", align {x.align}"


def _load(word, x):
    place = x.operands[0]
    return f"load {word(x.type)}, {word(place.type)} {word(place)}{_aligned(x)}"


def _store(word, x):
    return f"store {_list(word, x.operands)}{_aligned(x)}"


def _place(word, x):
    name = "getelementptr inbounds" if x.inbounds else "getelementptr"
    return f"{name} {word(x.source_etype)}, {_list(word, x.operands)}"


def _phi(word, x):
    ways = ", ".join([f"[{word(v)}, {word(b)}]" for v, b in x.incomings])
    return f"{' '.join(['phi', *x.flags])} {word(x.type)} {ways}"


def _call(word, x):
    f = x.callee.function_type
    if f.var_arg or x.tail or x.cconv or x.attributes or x.fastmath or x.arg_attributes:
        return None
    return f"call {word(f.return_type)} {word(x.callee)}({_list(word, x.args)})"


_WRITERS = {
    kinds.Instruction: _plain,
    kinds.SelectInstr: _select,
    kinds.ICMPInstr: _compare,
    kinds.FCMPInstr: _compare,
    kinds.CastInstr: _cast,
    kinds.LoadInstr: _load,
    kinds.StoreInstr: _store,
    kinds.GEPInstr: _place,
    kinds.PhiInstr: _phi,
    kinds.CallInstr: _call,
    kinds.Branch: _typed,
    kinds.ConditionalBranch: _typed,
    kinds.ExtractElement: _typed,
    kinds.InsertElement: _typed,
    kinds.ShuffleVector: _typed,
}

__all__ = ["forget", "function", "spelled"]
