"""Versions: how often a piece of memory was written."""

from __future__ import annotations

from collections import defaultdict


class Version:
    """How often a piece of memory was written in place, shared by its views."""

    __slots__ = ("calls", "n", "site")

    def __init__(self):
        self.n, self.site, self.calls = 0, None, ()


_N = Version.n


class Counted(Version):
    """The version of memory that compiled programs write: their calls count too."""

    __slots__ = ()
    n = property(
        lambda self: _N.__get__(self) + sum(c.value for c in self.calls),
        lambda self, n: _N.__set__(self, n - sum(c.value for c in self.calls)),
    )

    @staticmethod
    def by(version: Version, calls) -> None:
        """Let `calls`, a counter, count in this version from now on."""
        n = version.n
        version.__class__ = Counted
        version.calls = (*version.calls, calls)
        version.n = n


def versioned(x) -> Version:
    """The version counter of `x`'s memory, which the node that saved it as result shares."""
    if x.version is None:
        x.version = _of_result(x.node)
    return x.version


def _of_result(node) -> Version:
    if node is None:
        return Version()
    if node.pick is not None:
        several = node.parents[0]
        several.y_version = several.y_version or Versions()
        return several.y_version.of[node.pick]
    node.y_version = node.y_version or Version()
    return node.y_version


class Versions:
    """Those of several results, as one: the operation that saved them reads them all."""

    def __init__(self):
        self.of = defaultdict(Version)

    n = property(lambda self: sum(v.n for v in self.of.values()))
    site = property(lambda self: next((v.site for v in self.of.values() if v.n), None))
