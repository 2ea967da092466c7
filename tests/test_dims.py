"""What is said of how dims go through operations, for every record: places are apart."""

import numpy as np
import pytest

import adjoint  # noqa: F401
from adjoint.core.primitive import op, spec_of
from adjoint.ir.dims import MET, carried, source
from adjoint.ir.graph import Graph

RECORDS = [p for p in op if p.samples is not None and p.outputs == 1]


def operation(prim, args, params):
    """One operation of a program, on values like these."""
    graph = Graph()
    inputs = [graph.add_input(f"x{i}", spec_of(x)) for i, x in enumerate(args)]
    graph.add(prim, inputs, params)
    return graph.operations[0]


def moved(x, d, place):
    """x with another number in one place of a dim."""
    y = np.array(x)
    y.swapaxes(0, d)[place] = y.swapaxes(0, d)[(place + 1) % y.shape[d]]
    return y


@pytest.mark.parametrize("prim", RECORDS, ids=lambda p: p.name)
def test_a_place_that_is_carried_decides_no_other(prim):
    for args, params in prim.samples(np.random.default_rng(0)):
        args = [np.asarray(x) for x in args]
        o = operation(prim, args, params)
        y = np.asarray(prim.eager(*args, **params))
        for i, x in enumerate(args):
            for d in range(x.ndim):
                end = carried(o, i, d)
                if end is None or end == MET:
                    continue
                assert y.shape[end] == x.shape[d], (i, d, end)
                assert source(o, i, end) == d
                for place in range(min(2, x.shape[d])):
                    others = [*args[:i], moved(x, d, place), *args[i + 1 :]]
                    z = np.asarray(prim.eager(*others, **params))
                    rest = [np.delete(v, place, end) for v in (y, z)]
                    np.testing.assert_allclose(*rest, 1e-12, 1e-12)
