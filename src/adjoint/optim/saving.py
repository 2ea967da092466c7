"""State of parameters: written in place, numbered for a state_dict, copied back from one."""

from __future__ import annotations

import numpy as np

from ..core.bind import Box, floor
from ..errors import ArgumentError
from ..functional import complexes, creation


def begun(s: dict) -> dict:
    """`s`, which is new: in a program it goes with the call, if nobody keeps it."""
    floor.get().makes(s)
    return s


def put(s: dict, name: str, old, new, p) -> None:
    """s[name] ← new, in the memory of `old` where that is a tensor."""
    if isinstance(old, Box) and isinstance(new, Box):
        old.copy_(new)
        return
    floor.get().replaces(s, name)
    if isinstance(new, Box):
        apart = p.is_complex() and not new.is_complex() and new.ndim == p.ndim + 1
        s[name] = complexes.view_as_complex(new.clone()) if apart else new.clone()
    else:
        s[name] = new


def apart(values: list, old: dict) -> list:
    """The results of an update, copied where they are the memory of another's old state."""
    mine = [None, *(old.get(k) for k in old)]
    mine += [None] * (len(values) - len(mine))
    known = {id(x) for x in old.values() if isinstance(x, Box)}
    return [
        v.clone() if id(v) in known and v is not own else v
        for v, own in zip(values, mine, strict=True)
    ]


def numbered(groups: list[dict], state: dict) -> dict:
    """A state_dict: parameters are numbers, counted through the groups."""
    params = [p for o in groups for p in o["params"]]
    number = {id(p): i for i, p in enumerate(params)}
    return {
        "state": {number.get(id(p), p): dict(s) for p, s in state.items() if s},
        "param_groups": [
            {**o, "params": [number[id(p)] for p in o["params"]]} for o in groups
        ],
    }


def matched(groups: list[dict], state_dict: dict) -> tuple[list, dict]:
    """The options of each group and the state of each parameter in a state_dict."""
    theirs = state_dict["param_groups"]
    if len(theirs) != len(groups):
        raise ArgumentError(
            "loaded state dict has a different number of parameter groups: "
            f"{len(theirs)}, the optimizer has {len(groups)}"
        )
    sizes = [[len(o["params"]) for o in some] for some in (theirs, groups)]
    if sizes[0] != sizes[1]:
        raise ArgumentError(
            "loaded state dict contains a parameter group that doesn't match the size "
            f"of optimizer's group: it has groups of {sizes[0]} parameters, the "
            f"optimizer of {sizes[1]}"
        )
    names = [i for o in theirs for i in o["params"]]
    params = [p for o in groups for p in o["params"]]
    by_name = dict(zip(names, params, strict=True))
    given = state_dict["state"]
    state = {by_name.get(i, i): _copied(s, by_name.get(i)) for i, s in given.items()}
    options = [{k: v for k, v in o.items() if k != "params"} for o in theirs]
    return [{k: _own(v) for k, v in o.items()} for o in options], state


def _own(x):
    if isinstance(x, tuple):
        return tuple(map(_own, x))
    x = creation.tensor(x) if isinstance(x, np.ndarray) else x
    return x.detach().clone() if isinstance(x, Box) else x


def _copied(x, p, name=""):
    """A copy of a piece of state, its tensors in the dtype of the parameter `p`."""
    if isinstance(x, dict):
        return {k: _copied(v, p, k) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return type(x)(_copied(v, p, name) for v in x)
    if name == "step" and isinstance(x, (int, float)):
        return creation.full((), float(x))
    if isinstance(x, (np.ndarray, np.generic)):
        x = creation.tensor(x)
    if not isinstance(x, Box):
        return x
    x = x.detach().clone()
    if p is None or name == "step" or not p.is_floating_point():
        return x
    return x.to(p.dtype)
