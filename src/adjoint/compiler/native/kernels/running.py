"""Running: what is carried along a dim, from element to element."""

from __future__ import annotations

import math

from ....core.primitive import op
from ..arithmetic.kinds import element
from .affine import Affine
from .elements import Elements
from .nests import looped
from .sums import HOW


class Running(Elements):
    """Kernels of running sums, products, extremes and of linear recurrences."""

    def _run_stages(self, k, chunks):
        """All lines along the dim, the last of the other dims in lanes if it comes after."""
        (o,) = k.roots
        d, shape = o.params["dim"], o.outputs[0].spec.shape
        if 0 in shape:
            return
        before, after = shape[:d], shape[d + 1 :]

        def line(e, index):
            e._line(o, index[:d], index[d:])

        yield looped((*before, *after), line, chunks, lanes=bool(after))

    def _line(self, o, before, after):
        y, n = o.outputs[0], o.outputs[0].spec.shape[o.params["dim"]]
        back = o.params.get("reverse", False)
        kinds = [self.lanes.vector(element(v.spec.dtype)) for v in (*o.inputs, y)]
        start, step = _STEPS[o.prim.name]
        with self.loop(0, n) as i:
            at = Affine({i.mark: -1}, n - 1) if back else Affine({i.mark: 1})
            index = (*before, at, *after)
            carried = i.carry(*(self.lanes.number(x, t) for x, t in start(kinds)))
            xs = [self.value(x, index) for x in o.inputs]
            after_it, *results = step(self, at, xs, carried, element(y.spec.dtype))
            for v, result in zip(o.outputs, results, strict=True):
                self.store(result, v, index)
            i.next(*after_it)


def _joined(name):
    """The running form of a reduction."""
    how = HOW[name]

    def step(e, at, xs, carried, kind):
        y = how.join(e.lanes, carried[0], e.lanes.cast(xs[0], kind))
        return [y], y

    return lambda kinds: [(how.first(kinds[-1]), kinds[-1])], step


def _place(name):
    """The last place of the extreme so far, or of a NaN."""
    how = HOW[name]

    def start(kinds):
        return [(how.first(kinds[0]), kinds[0]), (0, kinds[-1])]

    def step(e, at, xs, carried, kind):
        (x,), (y, place) = xs, carried
        y = how.join(e.lanes, y, x)
        new = e.lanes.logical_or(e.lanes.compare("==", x, y), e.lanes.isnan(x))
        place = e.lanes.select(new, e.lane_numbers(at), place)
        return [y, place], place

    return start, step


def _recurrence(e, at, xs, carried, kind):
    y = e.lanes.add(e.lanes.mul(xs[0], carried[0]), xs[1])
    return [y], y


def _of_parts(e, at, xs, carried, kind):
    (a, b, c, d), (y, z), lanes = xs, carried, e.lanes
    real = lanes.sub(lanes.mul(a, y), lanes.mul(b, z))
    imaginary = lanes.add(lanes.mul(a, z), lanes.mul(b, y))
    pair = lanes.add(real, c), lanes.add(imaginary, d)
    return pair, *pair


def _log_sum(e, at, xs, carried, kind):
    y = op.logaddexp.lower(e.lanes, carried[0], xs[0])
    return [y], y


_STEPS = {
    "cumsum": _joined("sum"),
    "cumprod": _joined("prod"),
    "cummax_index": _place("amax"),
    "cummin_index": _place("amin"),
    "recurrence": (lambda kinds: [(0, kinds[-1])], _recurrence),
    "recurrence_of_parts": (lambda kinds: [(0, kinds[-1])] * 2, _of_parts),
    "logcumsumexp": (lambda kinds: [(-math.inf, kinds[-1])], _log_sum),
}
