"""Surface: what a program is given and what it gives, all that lies where its caller says."""

from __future__ import annotations

from typing import NamedTuple

from ...core.shape import Spec


class Port(NamedTuple):
    """One value of these: its number among them, which is in the code, and what it is."""

    number: int
    spec: Spec


class Surface:
    """The ports of a captured program. Its inputs come first; others go by the numbers given."""

    def __init__(self, captured, results: list[int], gradients: list[int], inside: int):
        c, graph = captured, captured.graph
        self.captured, self.inside = c, inside  # bytes of the memory that it works in
        inputs = [Port(i, v.spec) for i, v in enumerate(graph.inputs)]
        n = c.arguments
        self.arguments, self.states = inputs[:n], inputs[n : n + len(c.states)]
        self.extras = inputs[n + len(c.states) :]
        self.drawn = self.extras[: len(c.draws)]
        self.numbers = self.extras[len(c.draws) :]
        fresh = [
            graph.outputs[i].spec for i in (*range(c.count), *c.fresh()[c.count :])
        ]
        numbers = *results, *gradients
        made = [Port(*port) for port in zip(numbers, fresh, strict=True)]
        self.results, self.gradients = made[: c.count], made[c.count :]

    @property
    def specs(self) -> list[Spec]:
        """What is made anew: results, then gradients."""
        return [p.spec for p in (*self.results, *self.gradients)]

    def written(self) -> list[int]:
        """Numbers of the states whose memory is known before a call, and written."""
        states = enumerate(self.captured.states)
        return [i for i, s in states if s.place is None and s.written is not None]
