"""Foreign: random numbers of NumPy and of Python, which a function may draw but no program can."""

from __future__ import annotations

import pickle
import sys

# Where to find the generator of a module; what nobody has imported nobody draws from.
_GENERATORS = {
    "random": lambda random: random._inst,
    "numpy.random": lambda random: random.mtrand._rand,
}


class Streams:
    """Generators that are not ours, and the states that they were in."""

    def __init__(self):
        self.known: dict = {}  # id -> (generator, its state)
        self.modules = _imported()
        for name in self.modules:
            self.see(_GENERATORS[name](sys.modules[name]))

    def see(self, x) -> None:
        """Something that the function reads."""
        if id(x) not in self.known and _kind(x):
            self.known[id(x)] = x, _state(x)

    def more(self) -> bool:
        """Whether a module with a generator was imported since."""
        return _imported() != self.modules

    def rewind(self) -> bool:
        """Have all go on from where they were; whether any has been drawn from."""
        moved = [
            (x, old) for x, old in self.known.values() if not _same(_state(x), old)
        ]
        for x, old in moved:
            _restore(x, old)
        return bool(moved)


def _imported() -> list[str]:
    return [name for name in _GENERATORS if name in sys.modules]


def _kind(x) -> str:
    """What its state is called: Python's, NumPy's of old, NumPy's; nothing if it has none."""
    random = sys.modules.get("random")
    if random is not None and isinstance(x, random.Random):
        return "state"
    if type(x).__module__.startswith("numpy.random"):
        return "_state" if hasattr(x, "get_state") else "bit_generator"
    return ""


def _state(x):
    kind = _kind(x)
    if kind == "bit_generator":
        return x.bit_generator.state
    return getattr(x, f"get{kind}")()


def _restore(x, state) -> None:
    if _kind(x) == "bit_generator":
        x.bit_generator.state = state
    else:
        getattr(x, f"set{_kind(x)}")(state)


def _same(x, y) -> bool:
    return pickle.dumps(x) == pickle.dumps(y)
