"""Eager steps in few operations: small parameters as one vector, large ones in pieces.

Only for optimizers whose `update` is pointwise, and for plain arrays that NumPy computes
with. All other parameters are left to the caller. Measured in docs/notes/optimizers.md.
"""

from __future__ import annotations

import numpy as np

from ..autodiff.tape import BASE, versioned
from ..core.bind import NUMPY, Box, floor
from ..errors import user_site

# Elements that are updated at a time: parameter, gradient, state and the intermediate
# results then stay in the second-level cache.
PIECE = 2**16


class Pack:
    """Parameters that are updated alike, with their gradients and states."""

    def __init__(self, names, scalars):
        self.names, self.scalars = (
            names,
            scalars,
        )  # of the state: arrays, single numbers
        self.params, self.grads, self.states = [], [], []
        self.size = 0

    def parts(self):
        """What fits together into a piece, each as a pack."""
        if self.size <= PIECE:
            yield self
            return
        start = size = 0
        for i, p in enumerate(self.params):
            n = p.value.size
            if size and size + n > PIECE:
                yield self.part(start, i)
                start, size = i, 0
            size += n
        yield self.part(start, len(self.params))

    def part(self, i, j):
        """The members i to j."""
        out = Pack(self.names, self.scalars)
        out.params, out.grads = self.params[i:j], self.grads[i:j]
        out.states = self.states[i:j]
        return out


def run(optimizer, params, o) -> list:
    """Update those parameters that can be packed; returns the others."""
    if floor.get() is not NUMPY:
        return params
    packs: dict = {}
    left = [p for p in params if not _add(packs, p, optimizer.state_of(p, o))]
    if not packs:
        return left
    site = user_site()
    for pack in packs.values():
        for part in pack.parts():
            _update(optimizer, part, o, site)
    return left


def _add(packs, p, s) -> bool:
    """Put `p` with those that are like it; False where it must go alone."""
    a, g = p.value, p._grad.value
    if not p.plain or not a.ndim or not a.size or not a.flags.writeable:
        return False
    dtype, shape = a.dtype, a.shape
    if type(g) is not np.ndarray or g.dtype != dtype or g.shape != shape:
        return False
    names, scalars, key = [], [], [dtype.num]
    for name, x in s.items():
        if not isinstance(x, Box) or not x.plain:
            return False
        v = x.value
        if not v.ndim:
            scalars.append(name)
            key += name, v.dtype.num, v.item()
        elif v.shape == shape and v.dtype == dtype:
            names.append(name)
            key.append(name)
        else:
            return False
    key = tuple(key)
    pack = packs.get(key)
    if pack is None:
        pack = packs[key] = Pack(names, scalars)
    pack.params.append(p)
    pack.grads.append(g)
    pack.size += a.size
    pack.states.append(s)
    return True


def _update(optimizer, pack, o, site):
    """Update the members of a pack, and write the results where they belong."""
    p = _flat([x.value for x in pack.params])
    g = _flat(pack.grads)
    old = {k: _flat([s[k].value for s in pack.states]) for k in pack.names}
    scalars = {k: pack.states[0][k].value for k in pack.scalars}
    if p.size <= PIECE:
        new = _results(optimizer, p, g, old, scalars, o)
    else:
        new = _in_pieces(optimizer, p, g, old, scalars, o)
    y = new.pop("")
    for name, value in new.items():
        _keep(pack, name, value, site)
    _write(pack.params, y, site)
    if pack.states[0]:
        optimizer.state.update(zip(pack.params, pack.states, strict=True))


def _in_pieces(optimizer, p, g, old, scalars, o):
    """The results for one large parameter."""
    new: dict = {}
    for start in range(0, p.size, PIECE):
        cut = slice(start, start + PIECE)
        parts = {k: v[cut] for k, v in old.items()}
        results = _results(optimizer, p[cut], g[cut], parts, scalars, o)
        for name, value in results.items():
            if not value.ndim:
                new[name] = value
                continue
            if name not in new:
                new[name] = p if not name else old.get(name, np.empty_like(p))
            new[name][cut] = value
    return new


def _results(optimizer, p, g, old, scalars, o):
    """The new arrays of what `update` changes, the parameter's under an empty name."""
    wrap = BASE.wrap
    s = {k: wrap(v) for k, v in old.items()}
    for k, v in scalars.items():
        s[k] = wrap(v)
    before, g = dict(s), wrap(g)
    y = optimizer.update(wrap(p), -g if o.get("maximize") else g, s, o)
    new = {k: _own(x) for k, x in s.items() if x is not before.get(k)}
    new[""] = _own(optimizer.result(y))
    return new


def _own(x):
    """The array of a result, which is no view of memory that is about to be written."""
    return x.value if x.value.base is None else x.value.copy()


def _flat(arrays):
    """The numbers of all arrays one after another, complex ones as pairs of reals."""
    if len(arrays) == 1:
        out = arrays[0].reshape(-1)
    else:
        out = np.concatenate([a.ravel() for a in arrays])
    return out.view(out.real.dtype) if out.dtype.kind == "c" else out


def _keep(pack, name, value, site):
    """Put new state where the old is, or into states that have none of that name."""
    states = pack.states
    if name in pack.names:
        _write([s[name] for s in states], value, site)
    elif name in pack.scalars:
        for s in states:
            s[name].value[...] = value
            _count(s[name], site)
    elif value.ndim:
        for p, s in zip(pack.params, states, strict=True):
            s[name] = BASE.wrap(np.empty(p.value.shape, p.value.dtype))
        _write([s[name] for s in states], value, site)
    else:
        for s in states:
            s[name] = BASE.wrap(value.copy())


def _write(tensors, flat, site):
    """Write each tensor's part into its memory, which counts as a write in place."""
    dtype, start = tensors[0].value.dtype, 0
    if dtype.kind == "c":
        flat = flat.view(dtype)
    for x in tensors:
        a = x.value
        end = start + a.size
        a[...] = flat[start:end].reshape(a.shape)
        start = end
        _count(x, site)


def _count(x, site):
    version = x.version or versioned(x)
    version.n += 1
    version.site = site
