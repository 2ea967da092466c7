"""Passes: what is done to a captured program, in order, before loops are made of it."""

from __future__ import annotations

import os
from importlib import import_module

from .carries import gathered
from .early import first
from .graph import Graph
from .joins import joined
from .pairs import paired
from .rewrite import expanded, separated, trimmed
from .simplify import simplified


class About:
    """A pass about the operations of one record, imported for programs that have one."""

    def __init__(self, record: str, module: str, name: str):
        self.record, self.module, self.name = record, module, name

    def __call__(self, graph: Graph) -> Graph:
        """The program that the pass makes of it."""
        if all(o.prim.name != self.record for o in graph.operations):
            return graph
        return getattr(import_module(self.module, __package__), self.name)(graph)


PASSES = {
    "expand": expanded,
    "pair": paired,
    "simplify": simplified,
    "bundle": gathered,
    "shorten": About("scan", ".latency", "shortened"),
    "join": joined,
    "narrow": About("contract", ".narrow", "narrowed"),
    "lay": About("contract", ".layouts", "unturned"),
    "remember": About("scan", ".residuals", "remembered"),
    "trim": trimmed,
    "add up": About("scan", ".afterwards", "added_up"),
    "hoist": About("scan", ".invariants", "hoisted"),
    "do again": About("contract", ".again", "redone"),
    "begin": first,
    "all": separated,
}


def prepared(graph: Graph, body: bool = False, last: str = "all") -> Graph:
    """The program after all passes, or those up to `last`; a body after those from outside.

    With ADJOINT_VERIFY=1 it is verified after each of them.
    """
    checked = os.environ.get("ADJOINT_VERIFY", "0") != "0"
    for name, change in PASSES.items():
        if not (body and name == "bundle"):
            graph = change(graph)
            if checked:
                graph.named_apart().verify()
        if name == last:
            break
    return graph.named_apart()


__all__ = ["PASSES", "prepared"]
