"""Eager steps in few operations: small parameters as one vector, large ones in pieces.

Only for optimizers whose `update` is pointwise, and for plain arrays that NumPy computes
with. All other parameters are left to the caller. Measured in docs/notes/optimizers.md.
"""

from __future__ import annotations

import numpy as np

from ..autodiff.tape import BASE
from ..autodiff.versions import versioned
from ..core.bind import NUMPY, Box, floor
from ..errors import user_site

# Elements that are updated at a time: parameter, gradient, state and the intermediate
# results then stay in the second-level cache.
PIECE = 2**16


class Pack:
    """Parameters that are updated alike, with their gradients and states."""

    def __init__(self, names, scalars):
        # Of the state: arrays, single numbers.
        self.names, self.scalars = names, scalars
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
    packs, left = _packed(optimizer, params, o)
    if packs:
        site = user_site()
        for pack in packs:
            for part in pack.parts():
                _update(optimizer, part, o, site)
    return left


def _packed(optimizer, params, o):
    """Packs of those parameters that are plain arrays with states alike, and the others."""
    packs: dict = {}
    left, known, owners = [], optimizer.state, set()
    for p in params:
        s = known.get(p) or optimizer.state_of(p, o)
        a, g = p.value, p._grad.value
        shape, d = a.shape, a.dtype
        owner = id(a if a.base is None else a.base)
        first = owner not in owners  # others go on from what it has written
        owners.add(owner)
        plain = first and p.plain and shape and a.size and a.flags.writeable
        if not plain or type(g) is not np.ndarray or g.shape != shape or g.dtype != d:
            left.append(p)
            continue
        key = _key(s, a) if s else d.num
        pack = packs.get(key)
        if pack is None:
            if key is None:
                left.append(p)
                continue
            scalars = [k for k, x in s.items() if not x.value.ndim]
            pack = packs[key] = Pack([k for k in s if k not in scalars], scalars)
        pack.params.append(p)
        pack.grads.append(g)
        pack.states.append(s)
        pack.size += a.size
    return packs.values(), left


def _key(s, a):
    """What states must share to be packed: names, dtypes and single numbers. None: alone."""
    key, shape, d = [a.dtype.num], a.shape, a.dtype
    for name, x in s.items():
        if not isinstance(x, Box) or not x.plain:
            return None
        v = x.value
        if not v.ndim:
            key += name, v.dtype.num, v.item()
        elif v.shape == shape and v.dtype == d:
            key.append(name)
        else:
            return None
    return tuple(key)


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
        for x, s in zip(pack.params, pack.states, strict=True):
            if optimizer.state.get(x) is not s:
                optimizer.state[x] = s


def _in_pieces(optimizer, p, g, old, scalars, o):
    """The results for one large parameter."""
    new: dict = {}
    for start in range(0, p.size, PIECE):
        cut = slice(start, start + PIECE)
        parts = {k: v[cut] for k, v in old.items()}
        results = _results(optimizer, p[cut], g[cut], parts, scalars, o)
        for name, value in results.items():
            if not np.ndim(value):
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
    before, p, g = dict(s), wrap(p), wrap(g)
    y = optimizer.update(p, -g if o.get("maximize") else g, s, o)
    new = {k: _own(x) for k, x in s.items() if x is not before.get(k)}
    new[""] = _own(optimizer.result(p, y))
    return new


def _own(x):
    """The array of a result, which is no view of memory that is about to be written."""
    if not isinstance(x, Box):
        return x
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
            x = s[name]
            x.value[...] = value
            version = x.version or versioned(x)
            version.n += 1
            version.site = site
    elif np.ndim(value):
        for p, s in zip(pack.params, states, strict=True):
            s[name] = BASE.wrap(np.empty(p.value.shape, p.value.dtype))
        _write([s[name] for s in states], value, site)
    else:
        for s in states:
            s[name] = BASE.wrap(value.copy()) if type(value) is np.ndarray else value


def _write(tensors, flat, site):
    """Write each tensor's part into its memory, which counts as a write in place."""
    dtype, start = tensors[0].value.dtype, 0
    if dtype.kind == "c":
        flat = flat.view(dtype)
    done = len(tensors) == 1 and np.may_share_memory(flat, tensors[0].value)
    for x in tensors:
        a = x.value
        end = start + a.size
        if not done:  # in pieces
            a[...] = flat[start:end].reshape(a.shape)
        start = end
        version = x.version or versioned(x)
        version.n += 1
        version.site = site
