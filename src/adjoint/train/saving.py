"""All of a training as one tree of numbers, to be written and taken up again bit for bit."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

from ..core import tree
from ..core.bind import Box
from ..core.generator import default_generator
from ..errors import ArgumentError
from ..io import load, save

FORMAT = 1
LAST, BEST = "last.ckpt", "best.ckpt"


def copied(state):
    """A tree whose tensors and arrays share no memory with the given one."""

    def copy(x):
        if isinstance(x, Box):
            return x.detach().clone()
        return x.copy() if isinstance(x, np.ndarray) else x

    return tree.map_leaves(copy, state)


def write(state: dict, path) -> None:
    """Save a tree to a file, whole or not at all."""
    save(state, path)


def read(path) -> dict:
    """The tree of a checkpoint, or of the last one in a folder."""
    path = Path(path)
    if path.is_dir() and (path / LAST).exists():
        path = path / LAST
    if not path.exists():
        raise ArgumentError(f"there is no checkpoint {path}")
    state = load(path)
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise ArgumentError(
            f"{path} is no checkpoint of a training",
            hint="model.load_state_dict(ad.load(path)) reads weights alone",
        )
    return state


# ---------------------------------------------------------------- random numbers


def random_state() -> dict:
    """Where the streams of random numbers are: ours, Python's and NumPy's."""
    version, words, gauss = random.getstate()
    kind, keys, pos, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "adjoint": list(default_generator.position()),
        "python": [version, np.array(words, np.int64), gauss],
        "numpy": [kind, np.array(keys).astype(np.int64), pos, has_gauss, cached],
    }


def set_random_state(state: dict) -> None:
    """Go on from what `random_state` gave."""
    seed, place = state["adjoint"]
    default_generator.go_to((int(seed), int(place)))
    version, words, gauss = state["python"]
    random.setstate((int(version), tuple(_array(words).tolist()), gauss))
    kind, keys, pos, has_gauss, cached = state["numpy"]
    keys = _array(keys).astype(np.uint32)
    np.random.set_state((kind, keys, int(pos), int(has_gauss), float(cached)))


def _array(x) -> np.ndarray:
    return x.numpy_of() if isinstance(x, Box) else np.asarray(x)


# ---------------------------------------------------------------- a training


def capture(loop) -> dict:
    """Everything that the rest of a training depends on."""
    step = loop.train_step
    return {
        "format": FORMAT,
        "position": loop.position(),
        "model": _state(loop.model),
        "optimizer": _state(loop.optimizer),
        "optimizer_kind": _name(loop.optimizer),
        "scaler": _state(getattr(step, "scaler", None)),
        "gradients": step.gradients(),
        "pending": step.pending,
        "loader": _state(loop.data) if _resumable(loop.data) else None,
        "epoch_random": loop.epoch_random,
        "random": random_state(),
        "means": {k: m.state_dict() for k, m in loop.means.items()},
        "metrics": [m.state_dict() for m in loop.metrics],
        "history": loop.history.state_dict(),
        "callbacks": [[_name(c), c.state_dict()] for c in loop.callbacks],
    }


def restore(loop, state: dict) -> None:
    """Put a training where `capture` found it; random numbers and order when it goes on."""
    if state["optimizer_kind"] != _name(loop.optimizer):
        raise ArgumentError(
            f"the checkpoint is of training with {state['optimizer_kind']}, "
            f"not with {_name(loop.optimizer)}"
        )
    for name in ("model", "optimizer"):
        held, given = getattr(loop, name), state[name]
        if held is not None and given is not None:
            held.load_state_dict(given)
    step = loop.train_step
    if getattr(step, "scaler", None) is not None and state["scaler"]:
        step.scaler.load_state_dict(state["scaler"])
    step.take_up(state["position"]["step"], state["pending"], state["gradients"])
    for metric, kept in zip(loop.metrics, state["metrics"], strict=False):
        metric.load_state_dict(kept)
    loop.take_means(state["means"])
    loop.history.load_state_dict(state["history"])
    _give(loop.callbacks, state["callbacks"])
    loop.go_to(state)


def _state(x):
    return None if x is None else x.state_dict()


def _resumable(data) -> bool:
    return hasattr(data, "state_dict") and hasattr(data, "load_state_dict")


def _name(x) -> str:
    return type(x).__name__


def _give(callbacks, states):
    """To each callback the state of the first of its class that is left."""
    left = list(states)
    for c in callbacks:
        for i, (name, state) in enumerate(left):
            if name == _name(c):
                c.load_state_dict(state)
                del left[i]
                break
