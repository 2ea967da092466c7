"""Passes: what is done to a captured program, in order, before loops are made of it."""

from __future__ import annotations

import os

from .afterwards import added_up
from .again import redone
from .carries import gathered
from .graph import Graph
from .invariants import hoisted
from .joins import joined
from .latency import shortened
from .layouts import unturned
from .narrow import narrowed
from .pairs import paired
from .residuals import remembered
from .rewrite import expanded, separated, trimmed
from .simplify import simplified

PASSES = {
    "expand": expanded,
    "pair": paired,
    "simplify": simplified,
    "bundle": gathered,
    "shorten": shortened,
    "join": joined,
    "narrow": narrowed,
    "lay": unturned,
    "remember": remembered,
    "trim": trimmed,
    "add up": added_up,
    "hoist": hoisted,
    "do again": redone,
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
