"""einsum: a sum over letters, taken apart into products of two."""

from __future__ import annotations

import itertools
import math

from ..core.primitive import op
from ..errors import ArgumentError
from .face import function, need_tensor, promote
from .precision import lower
from .products import LETTERS, pair


@function
def einsum(equation, *operands):
    """Einstein's sum: products over shared letters, summed over those not after the arrow.

    Without an arrow the result has the letters that occur once, in alphabetical order;
    `...` stands for leading dims that broadcast. Operands and lists of dims in turn say
    the same: einsum(a, [0, 1], b, [1, 2], [0, 2]).

    >>> einsum("ij,jk->ik", ones(2, 3), ones(3, 4)).shape
    adjoint.Size([2, 4])
    >>> einsum("ii", tensor([[1., 2.], [3., 4.]]))
    tensor(5.)
    """
    inputs, result, xs = _einsum_terms(equation, operands)
    for x in xs:
        pair(xs[0], x, "einsum") if len(xs) > 1 else need_tensor(x, "einsum")
    inputs, result = _einsum_ellipses(inputs, result, xs)
    terms = _einsum_terms_apart(inputs, result, xs)
    while len(terms) > 1:
        i, j = _cheapest_pair(terms, result)
        (la, a), (lb, b) = terms[i], terms[j]
        terms = [term for k, term in enumerate(terms) if k not in (i, j)]
        kept = _needed(terms, result)
        letters = [c for c in dict.fromkeys(la + lb) if c in kept]
        letters = result if not terms else letters
        terms.append((letters, _contracted(la, a, lb, b, letters)))
    ((letters, y),) = terms
    order = tuple(letters.index(c) for c in result)
    return y if order == tuple(range(len(order))) else op.permute(y, dims=order)


def _bad_einsum(text):
    raise ArgumentError(f"einsum(): {text}")


def _einsum_terms(equation, operands):
    """(labels of each operand, labels of the result or None, operands)."""
    if not isinstance(equation, str):
        given = (equation, *operands)
        count = len(given) // 2
        inputs = [list(labels) for labels in given[1 : 2 * count : 2]]
        result = list(given[-1]) if len(given) % 2 else None
        return inputs, result, given[: 2 * count : 2]
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    left, arrow, right = equation.replace(" ", "").partition("->")
    inputs = [_labels(part) for part in left.split(",")]
    if len(inputs) != len(operands):
        few = "fewer" if len(operands) < len(inputs) else "more"
        _bad_einsum(
            f"{few} operands were provided than specified in the equation {equation!r}: "
            f"{len(operands)} for {len(inputs)}"
        )
    return inputs, _labels(right) if arrow else None, operands


def _labels(text):
    """The letters of one operand, its dots as one Ellipsis."""
    head, dots, tail = text.partition("...")
    out = [*head, *([...] if dots else []), *tail]
    for c in out:
        if c is not ... and not (c.isalpha() and c.isascii()):
            _bad_einsum(
                f"invalid subscript {c!r} in {text!r}: letters and one '...' only"
            )
    return out


def _einsum_ellipses(inputs, result, xs):
    """The same with (..., k) for the dims under the dots, and the result written out."""
    most, full = 0, []
    for i, (labels, x) in enumerate(zip(inputs, xs, strict=True)):
        spare = x.ndim - len([c for c in labels if c is not ...])
        if spare < 0 or (spare and ... not in labels):
            _bad_einsum(
                f"the number of subscripts ({len(labels)}) does not match the number of "
                f"dimensions ({x.ndim}) for operand {i}"
            )
        most = max(most, spare)
        full.append((labels, spare))
    inputs = [_spread(labels, spare) for labels, spare in full]
    if result is None:
        once = [c for labels in inputs for c in labels if not isinstance(c, tuple)]
        letters = sorted(c for c in set(once) if once.count(c) == 1)
        return inputs, _spread([...], most) + letters
    _check_result(result, inputs)
    return inputs, _spread(result, most)


def _spread(labels, count):
    """Labels with the dots as `count` labels, counted from the last."""
    dots = [(..., k) for k in range(-count, 0)]
    return [d for c in labels for d in (dots if c is ... else [c])]


def _check_result(result, inputs):
    known = {c for labels in inputs for c in labels}
    for c in result:
        if c is not ... and result.count(c) > 1:
            _bad_einsum(f"output subscript {c} appears more than once in the output")
        if c is not ... and c not in known:
            _bad_einsum(
                f"output subscript {c} does not appear in the equation for any input operand"
            )


def _einsum_terms_apart(inputs, result, xs):
    """Each operand with every letter once, of its full size, and needed elsewhere."""
    terms = [
        _diagonals(i, la, x) for i, (la, x) in enumerate(zip(inputs, xs, strict=True))
    ]
    sizes = {}
    for i, (labels, x) in enumerate(terms):
        for c, n in zip(labels, x.shape, strict=True):
            if sizes.setdefault(c, n) != n:
                if 1 not in (n, sizes[c]):
                    _bad_einsum(
                        f"subscript {c} has size {n} for operand {i} which does not broadcast "
                        f"with previously seen size {sizes[c]}"
                    )
                sizes[c] = max(n, sizes[c]) if 0 not in (n, sizes[c]) else 0
    terms = [_without_ones(labels, x, sizes) for labels, x in terms]
    for i, (labels, x) in enumerate(terms):
        kept = _needed(terms[:i] + terms[i + 1 :], result)
        lost = tuple(k for k, c in enumerate(labels) if c not in kept)
        if lost:
            y = op.sum(x, dim=lost, keepdim=False)
            terms[i] = ([c for c in labels if c in kept], y)
    return terms


def _diagonals(i, labels, x):
    """An operand in which a letter stands twice: the diagonal of the two dims."""
    labels = list(labels)
    while len(set(labels)) < len(labels):
        c = next(c for c in labels if labels.count(c) > 1)
        a = labels.index(c)
        b = labels.index(c, a + 1)
        if x.shape[a] != x.shape[b]:
            _bad_einsum(
                f"subscript {c} is repeated for operand {i} but the sizes don't match, "
                f"{x.shape[b]} != {x.shape[a]}"
            )
        x = op.diagonal(x, offset=0, dim1=a, dim2=b)
        labels = [d for k, d in enumerate(labels) if k not in (a, b)] + [c]
    return labels, x


def _without_ones(labels, x, sizes):
    """An operand without the dims of size 1 that broadcast."""
    lost = [k for k, c in enumerate(labels) if x.shape[k] != sizes[c]]
    if not lost:
        return labels, x
    shape = tuple(n for k, n in enumerate(x.shape) if k not in lost)
    return [c for k, c in enumerate(labels) if k not in lost], op.reshape(
        x, shape=shape
    )


def _needed(terms, result):
    return {c for labels, _ in terms for c in labels}.union(result)


def _cheapest_pair(terms, result):
    """The two operands whose product grows least beyond their own sizes: greedy, as usual."""
    if len(terms) == 2:
        return 0, 1

    def growth(pair):
        i, j = pair
        (la, a), (lb, b) = terms[i], terms[j]
        kept = _needed([t for k, t in enumerate(terms) if k not in pair], result)
        sizes = dict(zip(la + lb, (*a.shape, *b.shape), strict=True))
        size = math.prod(n for c, n in sizes.items() if c in kept)
        return size - math.prod(a.shape) - math.prod(b.shape), size

    return min(itertools.combinations(range(len(terms)), 2), key=growth)


def _contracted(la, a, lb, b, letters):
    names = dict(zip(dict.fromkeys([*la, *lb]), LETTERS, strict=False))
    summed = set(la) & set(lb) - set(letters)
    la, lb, lc = ("".join(names[c] for c in s) for s in (la, lb, letters))
    return (_summed if summed else _multiplied)(a, b, f"{la},{lb}->{lc}")


@lower
def _summed(a, b, spec):
    return op.contract(a, b, spec=spec)


def _multiplied(a, b, spec):
    """A product without a sum, of what may have come out in two precisions."""
    return op.contract(*promote("einsum", a, b), spec=spec)
