"""Afterwards: products that a loop only adds up are one product after it.

The gradient of a matrix that every step of a loop multiplies by is such a sum. Its two factors
become rows of the loop, and the product of all rows sums over the steps too.
"""

from __future__ import annotations

from ..core.primitive import op
from ..ops.contract import free_letter, letters_of, multiplications
from .graph import Const, Graph, Operation, Var
from .residuals import LIMIT
from .rewrite import expanded

LEAST = 2**16  # multiplications of a step from which on it is worth rows of memory


def added_up(graph: Graph) -> Graph:
    """The program with those products behind their loops."""
    out = []
    for o in graph.operations:
        out += _divided(o) if o.prim.name == "scan" else [o]
    graph.operations = out
    return graph


def _divided(o) -> list:
    """The scan without such sums, and the products that make them."""
    body = expanded(o.params["body"])
    found = _sums(body, o.params["carries"])
    if not found:
        return [o]
    loop, after = _Loop(o, body), []
    for i, product in found.items():
        after += loop.product(product, o.inputs[i], o.outputs[i])
    room = sum(v.spec.bytes for v in loop.new.values())
    return [loop.without(found), *after] if room <= LIMIT else [o]


def _sums(body, carries) -> dict:
    """Carries to which each step adds a product, and nothing else is done -> the product."""
    maker = {v: p for p in body.operations for v in p.outputs}
    readers: dict = {}
    for p in body.operations:
        for v in p.inputs:
            readers.setdefault(v, []).append(p)
    found = {}
    for i, (v, y) in enumerate(zip(body.inputs[:carries], body.outputs, strict=False)):
        add = maker.get(y)
        if add is None or add.prim.name != "add" or readers.get(v) != [add]:
            continue
        shown = [w for w in body.outputs if w in (v, y)]
        (term,) = [w for w in add.inputs if w is not v] or [v]
        product = maker.get(term)
        alone = len(shown) == 1 and y not in readers and readers.get(term) == [add]
        if alone and term not in body.outputs and _large(product):
            found[i] = product
    return found


def _large(p) -> bool:
    if p is None or p.prim.name != "contract":
        return False
    count = multiplications(p.params["spec"], [v.spec.shape for v in p.inputs])
    return count >= LEAST and not any(isinstance(v, Const) for v in p.inputs)


class _Loop:
    """A scan from which products are taken, and the rows that they need of it."""

    def __init__(self, o, body):
        self.o, self.body = o, body
        k, m = o.params["carries"], o.params["mapped"]
        self.rows = dict(zip(body.inputs[k : k + m], o.inputs[k:], strict=False))
        self.rows |= dict(zip(body.outputs[k:], o.outputs[k:], strict=True))
        self.outside = dict(zip(body.inputs[k + m :], o.inputs[k + m :], strict=True))
        self.new: dict = {}  # value of a step -> its rows

    def product(self, p, start, result) -> list:
        """start + the product of all steps' factors, which is the result."""
        left, right, out = letters_of(p.params["spec"])
        step = free_letter(left + right)
        factors, letters = [], []
        for v, own in zip(p.inputs, (left, right), strict=True):
            inside = v not in self.outside
            factors.append(self._row(v) if inside else self.outside[v])
            letters.append(step + own if inside else own)
        params = {**p.params, "spec": f"{letters[0]},{letters[1]}->{out}"}
        total = Var(f"{result.name}_sum", result.spec)
        inputs = start, total
        return [
            p.changed(inputs=tuple(factors), params=params, outputs=(total,)),
            Operation(op.add, inputs, {}, (result,), p.site, p.origin, p.path),
        ]

    def _row(self, v):
        """All steps' values of v."""
        found = self.rows.get(v) or self.new.get(v)
        if found is None:
            shape = (self.o.params["length"], *v.spec.shape)
            found = self.new[v] = Var(
                f"{v.name}_row", type(v.spec)(shape, v.spec.dtype)
            )
        return found

    def without(self, carries) -> Operation:
        """The scan without these carries, with the rows that were asked for."""
        o, body = self.o, self.body
        k = o.params["carries"]
        lean = Graph(body.name)
        lean.consts, lean.operations = body.consts, body.operations
        lean.inputs = _but(body.inputs, carries)
        lean.outputs = [*_but(body.outputs, carries), *self.new]
        params = {**o.params, "body": lean.without_dead(), "carries": k - len(carries)}
        outputs = (*_but(o.outputs, carries), *self.new.values())
        return o.changed(
            inputs=tuple(_but(o.inputs, carries)), params=params, outputs=outputs
        )


def _but(values, numbers) -> list:
    return [v for i, v in enumerate(values) if i not in numbers]
