"""Drawing: random numbers, computed where they are read."""

from __future__ import annotations

from ..arithmetic.kinds import element
from ..arithmetic.stream import Stream
from .affine import Affine, in_order
from .elements import Elements


class Drawing(Elements):
    """Elements of a random stream, a function of its state and of their place."""

    def begin(self, k) -> None:
        """A kernel starts here."""
        self.round, self.start = k, self.b.block
        self.states: dict = {}  # state -> (seed, first block), read before all loops

    def _draw(self, o, index):
        return self.drawn(o, in_order(index, o.outputs[0].spec.shape))

    _random_bits = _random_uniform = _random_normal = _random_integers = _draw

    def drawn(self, o, flat: Affine):
        """Elements of a draw, counted through its shape."""
        stream = Stream(self.lanes, *self._state(o.inputs[0]))
        aligned = all(
            c == 1 if loop is self.inner else c % 4 == 0
            for loop, c in (*flat.terms.items(), (None, flat.const))
        )
        whole = aligned and self.inner in flat.terms and self.lanes.width > 1
        places = self.number(flat) if whole else self.lane_numbers(flat)
        x = o.prim.draw(stream, places, **o.params)
        return self.lanes.cast(x, element(o.outputs[0].spec.dtype))

    def _state(self, v):
        if v not in self.states:
            with self.b.goto_block(self.start), self.single():
                places = [(Affine(const=i),) for i in (0, 1)]
                self.states[v] = tuple(self.value(v, at) for at in places)
        return self.states[v]
