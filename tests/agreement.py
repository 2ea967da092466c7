"""Agreement: a scenario run with a function as it is and with it compiled sees the same."""

import numpy as np

import adjoint as ad
from adjoint import compile


def shown(x):
    """What a scenario has seen, as plain lists."""
    if isinstance(x, ad.Tensor):
        return np.asarray(x.detach().numpy()).tolist()
    if isinstance(x, (list, tuple)):
        return [shown(v) for v in x]
    return {k: shown(v) for k, v in x.items()} if isinstance(x, dict) else x


def close(a, b) -> bool:
    """The same but for rounding; the signs of zeros count."""
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(close, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(close(a[k], b[k]) for k in a)
    if isinstance(a, float) and isinstance(b, float) and a and b:
        return bool(np.isclose(a, b, rtol=1e-5, atol=1e-6, equal_nan=True))
    return repr(a) == repr(b)


def agreeing():
    """(scenarios by name, the decorator that adds one: scenario(wrap) -> what it sees)."""
    cases: dict = {}

    def agrees(scenario):
        def check():
            want, got = shown(scenario(lambda f: f)), shown(scenario(compile))
            assert close(want, got), f"eager {want}\ncompiled {got}"

        cases[scenario.__name__] = check
        return scenario

    return cases, agrees
