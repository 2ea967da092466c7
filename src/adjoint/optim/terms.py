"""The terms in which updates are written: factors, running means, decay, counts of steps.

An option is a number, or a tensor of one that a program may change from step to step.
"""

from __future__ import annotations

import numpy as np

from ..core.bind import Box, dtype_of
from ..core.primitive import op
from ..functional import alike, creation

_DOUBLE = np.dtype(np.float64)


def options(names: dict) -> dict:
    """The options among the local names of an `__init__`."""
    return {k: v for k, v in names.items() if k not in ("self", "params", "__class__")}


def number(c, x):
    """`c`, a number or a tensor of one, as a factor for the array `x`."""
    if not isinstance(c, Box):
        return c
    d = dtype_of(x)
    c = c.reshape(()) if c.ndim else c
    return c if dtype_of(c) == d else op.cast(c, dtype=d)


def begun(p, *means) -> dict:
    """The first state of `p`: no steps, and under each name a mean of zero."""
    return {"step": creation.zeros(())} | {name: alike.zeros_like(p) for name in means}


def counted(s):
    """The number of this step, which is counted in the state, in double precision."""
    t = s["step"]  # a user may have set it to a number
    s["step"] = (t if isinstance(t, Box) else creation.full((), float(t))) + 1
    return op.cast(s["step"], dtype=_DOUBLE)


def mean(m, x, rate):
    """The running mean `m`, moved towards `x` by the part `rate` of the way."""
    return m + (x - m) * number(rate, m)


def moments(s, g, o):
    """The means of g and of g² as the state keeps them, moved by the `betas`."""
    b1, b2 = o["betas"]
    m = s["exp_avg"] = mean(s["exp_avg"], g, 1 - b1)
    v = s["exp_avg_sq"] = mean(s["exp_avg_sq"], g * g, 1 - b2)
    return m, v


def given(c) -> bool:
    """Whether the option `c` is another number than 0; a tensor may become one."""
    return isinstance(c, Box) or bool(c)


def decayed(p, g, o):
    """p and g with weight decay: in p itself where it is decoupled, else in the gradient."""
    rate = o["weight_decay"]
    if not given(rate):
        return p, g
    if o.get("decoupled_weight_decay"):
        return p * number(1 - o["lr"] * rate, p), g
    return p, g + p * number(rate, p)


def power(b, t):
    """b ** t of a number and a tensor, in double precision."""
    b = op.cast(b, dtype=_DOUBLE) if isinstance(b, Box) else np.array(float(b))
    return op.pow(b, t)
