"""Cuts: a module as a few of about one size, on which LLVM works at the same time.

Functions stay together where LLVM looks from one into the other: what is known of numbers that
all callers give makes the code of a tile shorter. Only functions that are `alone` are cut off
from their callers, and take along the numbers that all of these write.
"""

from __future__ import annotations

import functools
import re
from collections import Counter

from .module import Function, GlobalVariable, Module
from .types import Constant, IntType

SMALL = 3000  # lines of a module that stays whole: LLVM has it done in 0.1 s
LEAST, MOST = 1500, 8  # lines of a piece, of which one more costs 4 ms; pieces
_WORD = re.compile(r'@"[^"]*"')


def cut(module: Module) -> list[str]:
    """The texts of modules that are this one together, the same for any number of threads."""
    functions = [f for f in module.globals.values() if _has_code(f)]
    lines = {f: f.done().count("\n") for f in functions}
    if sum(lines.values()) < SMALL:
        return [str(module)]
    cuts = _Cuts(module, functions)
    return cuts.texts(_packed(cuts.groups(), lines))


def _has_code(x) -> bool:
    return isinstance(x, Function) and bool(x.blocks)


def _packed(groups, lines) -> list[list]:
    """The groups in pieces, none much larger than others unless a group is; the largest first."""
    size = {id(group): sum(lines[f] for f in group) for group in groups}
    total, largest = sum(size.values()), max(size.values())
    count = min(MOST, total // LEAST, -(-total // largest))
    pieces: list = [(0, []) for _ in range(count)]
    for group in sorted(groups, key=lambda g: -size[id(g)]):
        i = min(range(count), key=lambda i: pieces[i][0])
        had, piece = pieces[i]
        pieces[i] = had + size[id(group)], [*piece, *group]
    return [piece for _, piece in sorted(pieces, key=lambda p: -p[0])]


class _Cuts:
    """A module's functions, and which of them name which."""

    def __init__(self, module, functions):
        self.module, self.functions = module, functions
        known = {x.text: x for x in module.globals.values()}
        words = {f: Counter(_WORD.findall(f.body())) for f in functions}
        self.uses = {f: [known[x] for x in found] for f, found in words.items()}
        self.named = sum(words.values(), Counter())
        self.home: dict = {}  # the piece that has a function
        self.hidden: set = set()  # those that others than their own pieces name
        self._known: dict = {}  # of functions, the numbers that all callers give

    def groups(self) -> list[list]:
        """Functions that stay together, in the order of the module."""
        group = {f: [f] for f in self.functions}
        for f in self.functions:
            for g in self.uses[f]:
                if g in group and not g.alone and group[g] is not group[f]:
                    more, rest = group[f], group[g]
                    more += rest
                    group |= dict.fromkeys(rest, more)
        return list({id(x): x for x in group.values()}.values())

    def texts(self, pieces) -> list[str]:
        """The text of each piece."""
        self.home = {f: i for i, piece in enumerate(pieces) for f in piece}
        crossing = {
            g
            for f in self.functions
            for g in self.uses[f]
            if self.home.get(g, self.home[f]) != self.home[f]
        }
        self.hidden = {g for g in crossing if g.linkage == "internal"}
        return [self._text(i, piece) for i, piece in enumerate(pieces)]

    def _text(self, i, piece) -> str:
        """A piece: its functions, and what they name, in the order of the module."""
        used = {*piece, *(x for f in piece for x in self.uses[f])}
        lines = [
            self._spelled(x, i)
            for x in self.module.globals.values()
            if x in used or (i == 0 and isinstance(x, GlobalVariable))
        ]
        return "\n".join([*lines, *self.module.notes(), ""])

    def _spelled(self, x, i) -> str:
        """What piece i says of a function or variable. Small tables are in each that reads them."""
        if isinstance(x, GlobalVariable):
            return str(x) if i == 0 or x.linkage else x.elsewhere()
        if not x.blocks:
            return str(x)
        linkage = "hidden" if x in self.hidden else x.linkage
        if self.home[x] != i:
            return x.head("declare", linkage)
        return self._taking_along(x) if x in self.hidden else str(x)

    # ------------------------------------------------------------ numbers that callers give

    def _taking_along(self, f) -> str:
        """A function that begins with the numbers which all of its callers write."""
        told = [(x, n) for x, n in zip(f.args, self._given(f), strict=True) if n]
        names = {x: f"%given{i}" for i, (x, _) in enumerate(told)}
        start = f"{{\n{f.blocks[0].name}:\n"
        lines = [f"{x.text} = or {x.type.text} {n}, 0\n" for x, n in told]
        body = f.body().removeprefix(start)
        head = f.head("define", "hidden", names=names)
        return f"{head}\n{start}{''.join(lines)}{body}"

    def _given(self, f) -> list:
        """For each argument the number that all callers write, as a text, if that is so."""
        found = self._known.get(f)
        if found is None:
            found = self._known[f] = [None] * len(f.args)
            calls = self._calls.get(f, [])
            if f.linkage == "internal" and len(calls) == self.named[f.text]:
                xs = zip(*(map(self._number, args) for args in calls), strict=True)
                found[:] = [x[0] if len({*x}) == 1 else None for x in xs]
        return found

    def _number(self, x) -> str | None:
        """A number as it is written, or as all callers of a function write it that hands it on."""
        if isinstance(x, Constant) and isinstance(x.type, IntType):
            return x.text
        f, i = self._argument.get(x, (None, 0))
        return f and self._given(f)[i]

    @functools.cached_property
    def _argument(self) -> dict:
        """Of each argument whose it is, and which."""
        return {x: (f, i) for f in self.functions for i, x in enumerate(f.args)}

    @functools.cached_property
    def _calls(self) -> dict:
        """What each function is given, call by call."""
        found: dict = {f: [] for f in self.functions}
        for f in self.functions:
            if found.keys().isdisjoint(self.uses[f]):
                continue
            for block in f.blocks:
                for i in block.instructions:
                    if i.opname == "call" and i.operands[0] in found:
                        found[i.operands[0]].append(i.operands[1:])
        return found
