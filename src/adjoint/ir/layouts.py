"""Layouts: products read and write arrays in the order in which they lie."""

from __future__ import annotations

from collections import Counter

from ..ops.contract import letters_of
from .graph import Graph


def unturned(graph: Graph) -> Graph:
    """The program whose contractions read what was permuted as it was before.

    einsum("ij,jk->ik", permute(x, (1, 0)), y) -> einsum("ji,jk->ik", x, y)
    permute(einsum("ij,jk->ik", x, y), (1, 0)) -> einsum("ij,jk->ki", x, y)
    """
    maker = {v: o for o in graph.operations for v in o.outputs}
    read = Counter(v for o in graph.operations for v in o.inputs)
    read.update(graph.outputs)
    only = {v: o for o in graph.operations for v in o.inputs if read[v] == 1}
    operations, taken = [], set()
    for o in graph.operations:
        if o in taken:
            continue
        if o.prim.name == "contract":
            o = _of_sources(o, maker)
            after = only.get(o.outputs[0])
            if _permutes(after) and _writable(o, after):
                o = _turned(o, after)
                taken.add(after)
                maker.update(dict.fromkeys(o.outputs, o))
        operations.append(o)
    graph.operations = operations
    return graph.without_dead()


def _permutes(o) -> bool:
    return o is not None and o.prim.name == "permute"


def _of_sources(o, maker):
    """The contraction of what its operands were permuted from."""
    *parts, out = letters_of(o.params["spec"])
    inputs = list(o.inputs)
    for i, v in enumerate(inputs):
        turn = maker.get(v)
        if not _permutes(turn):
            continue
        letters = dict(zip(turn.params["dims"], parts[i], strict=True))
        source = "".join(letters[d] for d in range(len(letters)))
        if not _counts_products(source, turn.inputs[0].spec.shape, parts[1 - i], out):
            parts[i], inputs[i] = source, turn.inputs[0]
    spec = f"{','.join(parts)}->{out}"
    return o.changed(inputs=tuple(inputs), params={**o.params, "spec": spec})


def _counts_products(letters, shape, other, out) -> bool:
    """Whether neighbours in memory belong to different products of matrices."""
    wide = [c for c, n in zip(letters, shape, strict=True) if n != 1]
    return bool(wide) and wide[-1] in other and wide[-1] in out


def _writable(o, after) -> bool:
    """Whether neighbours in the permuted result belong to one product."""
    left, right, _ = letters_of(o.params["spec"])
    turned, shape = _permuted(o, after), after.outputs[0].spec.shape
    wide = [c for c, n in zip(turned, shape, strict=True) if n != 1]
    return not (wide and wide[-1] in left and wide[-1] in right)


def _permuted(o, after) -> str:
    _, _, out = letters_of(o.params["spec"])
    return "".join(out[d] for d in after.params["dims"])


def _turned(o, after):
    """The contraction that writes its result permuted."""
    left, right, _ = letters_of(o.params["spec"])
    params = {**o.params, "spec": f"{left},{right}->{_permuted(o, after)}"}
    return o.changed(params=params, outputs=after.outputs)
