"""Passes: what is done to a captured program, in order, before loops are made of it."""

from __future__ import annotations

from .afterwards import added_up
from .again import redone
from .carries import gathered
from .graph import Graph
from .invariants import hoisted
from .joins import joined
from .latency import shortened
from .layouts import unturned
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
    "lay": unturned,
    "remember": remembered,
    "trim": trimmed,
    "add up": added_up,
    "hoist": hoisted,
    "do again": redone,
    "all": separated,
}


def prepared(graph: Graph, body: bool = False) -> Graph:
    """The program after all passes; of the body of a loop, after what was done from outside."""
    for name, change in PASSES.items():
        if not (body and name == "bundle"):
            graph = change(graph)
    return graph


__all__ = ["PASSES", "prepared"]
