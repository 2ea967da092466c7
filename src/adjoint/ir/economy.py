"""Economy: values that are computed a second time near a late reader, instead of being kept.

The way back reads what the way forward made, last first: at the turn all of it is alive. Here
those values are found that free the most memory while there is too little of it, for the time
that computing them again takes. What they were made of is computed again with them where it is
gone, so whole stretches between values that stay are run a second time, as with checkpoints.
Random numbers are the same again: they follow from the place in their stream.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from .graph import Graph, Var

SMALL = 8  # times as large a value must be for another to be kept on its account
CLOSE = 20  # parts of the least room to which it is known


@dataclass(eq=False)
class Life:
    """A value in memory: when it is made and read, what it is made of, what that takes."""

    bytes: int
    made: int
    reads: list[int]
    sources: tuple = ()  # values in memory that it is computed from
    cost: float | None = None  # nanoseconds; None if it is computed once only
    kept: bool = True  # whether it is there after the loop that makes it
    until: float = float("inf")  # when something that it is made of is written over


@dataclass(eq=False)
class Plan:
    """When each value lives, as loops are planned for a program."""

    lives: dict[Var, Life]  # in the order of the program
    rest: np.ndarray  # bytes of all else at each time
    time: dict  # operation whose result has memory -> when it runs
    stored: set  # values that have memory of their own

    @cached_property
    def values(self) -> list:
        """All of them, in the order of the program."""
        return list(self.lives)

    @cached_property
    def number(self) -> dict:
        return {v: i for i, v in enumerate(self.values)}

    @cached_property
    def ends(self) -> dict:
        """value -> when it is read for the last time, if nothing is computed again."""
        return {v: max(x.reads, default=x.made) for v, x in self.lives.items()}

    @cached_property
    def alive(self) -> np.ndarray:
        """Bytes at each time, if nothing is computed again."""
        out = self.rest.copy()
        for v, life in self.lives.items():
            if life.kept:
                out[life.made : self.ends[v] + 1] += life.bytes
        return out


class Choice:
    """Which values are dropped, each with the time of its last reader before that."""

    def __init__(self, plan: Plan, dropped: dict | None = None):
        self.plan, self.dropped = plan, dropped or {}
        self.end = dict(plan.ends)  # value -> when it is read for the last time
        self.second: dict = {}  # dropped value -> (when it is computed again, last read)
        self.alive, self._over = plan.alive.copy(), None  # bytes at each time
        later: dict = {}  # value -> when others are computed again that are made of it
        todo = [-plan.number[v] for v in self.dropped]  # the last in the program first
        heapq.heapify(todo)
        while todo:
            v = plan.values[-heapq.heappop(todo)]
            if self._look(v, later.get(v, ())):
                for u in plan.lives[v].sources:
                    if u not in later and u not in self.dropped:
                        heapq.heappush(todo, -plan.number[u])
                    later.setdefault(u, []).append(self.second[v][0])

    def _look(self, v, later) -> bool:
        """Note when a value lives, which is also read at times `later`; whether twice."""
        life, old = self.plan.lives[v], self.end[v]
        reads = [*life.reads, *later]
        split = self.dropped.get(v, float("inf"))
        late = [t for t in reads if t > split]
        self.end[v] = end = max((t for t in reads if t <= split), default=life.made)
        if late:
            self.second[v] = min(late), max(late)
        if life.kept:
            self.alive[end + 1 : old + 1] -= life.bytes
            self.alive[old + 1 : end + 1] += life.bytes
            if late:
                self.alive[min(late) : max(late) + 1] += life.bytes
        return bool(late)

    @property
    def peak(self) -> int:
        return int(self.alive.max(initial=0))

    @property
    def cost(self) -> float:
        """Nanoseconds of what is computed again."""
        return sum(self.plan.lives[v].cost or 0 for v in self.second)

    def over(self, room):
        """At how many times before each there is too little memory."""
        if self._over is None:
            self._over = np.concatenate([[0], np.cumsum(self.alive > room)])
        return self._over

    def excess(self, room) -> int:
        """Bytes that are too many, summed over time."""
        return int(np.maximum(self.alive - room, 0).sum())

    def better(self, other, room) -> bool:
        """Whether less is too much than in another, and nothing where it was not."""
        worse = (self.alive > room) & (other.alive <= room)
        less = not worse.any() and self.excess(room) < other.excess(room)
        return less and self.possible()

    def possible(self) -> bool:
        """Whether all that is read again is still there."""
        pairs = ((self.plan.lives[v], t) for v, (t, _) in self.second.items())
        return all(t < life.until for life, t in pairs)

    def also(self, more) -> Choice:
        return Choice(self.plan, {**self.dropped, **more})

    def without(self, v) -> Choice:
        """With v kept."""
        dropped = {u: t for u, t in self.dropped.items() if u is not v}
        return Choice(self.plan, dropped)


def chosen(plan: Plan, room: int) -> Choice:
    """What to compute again, so that at most `room` bytes live at a time if that can be."""
    best, waiting = Choice(plan), list(plan.lives)
    while best.peak > room:
        tried, waiting = _dropped(best, room, waiting)
        if tried is best:
            tried, waiting = _kept(best, room), list(plan.lives)
        if tried is best:
            return best
        best = tried
    return _lean(best, room)


def least(plan: Plan) -> int:
    """The fewest bytes that some choice was found for."""
    low, high = 0, Choice(plan).peak
    while high - low > high // CLOSE:
        room = (low + high) // 2
        peak = chosen(plan, room).peak
        low, high = (low, peak) if peak <= room else (room, min(high, peak))
    for part in range(1, CLOSE, 2):  # less may be found for less
        high = min(high, chosen(plan, high - high * part // (2 * CLOSE)).peak)
    return high


def _dropped(best, room, values):
    """(a better choice that drops more of some values, those that did not help)."""
    queue, aside = _Queue(best, room, values), []
    while best.peak > room:
        v, more = queue.next(best)
        if v is None:
            break
        tried = best.also(more)
        if tried.better(best, room):
            best = tried
        else:
            aside.append(v)
    return best, aside


def _kept(best, room):
    """A better choice that keeps one more value, so that shorter stretches are run again."""
    found = best
    for v in best.dropped:
        tried = best.without(v)
        if tried.better(found, room):
            found = tried
    return found


def _lean(choice, room) -> Choice:
    """Without what turned out not to be needed, the dearest first."""
    lives = choice.plan.lives
    for v in sorted(choice.dropped, key=lambda v: -(lives[v].cost or 0)):
        if lives[v].kept:
            tried = choice.without(v)
            if tried.peak <= room and tried.possible():
                choice = tried
    return choice


class _Queue:
    """Values by what they free for their cost; looked at anew when it is their turn."""

    def __init__(self, choice, room, values):
        self.room, self.number = room, {v: i for i, v in enumerate(values)}
        self.heap = []
        for v in values:
            self._push(v, _gain(choice, v, room)[0])

    def _push(self, v, gain):
        if gain > 0:
            heapq.heappush(self.heap, (-gain, self.number[v], v))

    def next(self, choice):
        """(the best value, what has to be dropped with it); (None, {}) if there is none."""
        while self.heap:
            _, _, v = heapq.heappop(self.heap)
            if v in choice.dropped:
                continue
            gain, more = _gain(choice, v, self.room)
            if not self.heap or gain >= -self.heap[0][0]:
                if gain > 0:
                    return v, more
            else:
                self._push(v, gain)
        return None, {}


def _gain(choice, v, room):
    """(bytes freed while there are too many, summed over time, for a nanosecond; what to drop)."""
    life = choice.plan.lives[v]
    if life.cost is None or not life.kept or v in choice.dropped:
        return 0.0, {}
    over = choice.over(room)
    count, split, again = max(_gaps(life, over), default=(0, 0, 0))
    if not count:
        return 0.0, {}
    with_it = _with(choice, v, split, again, over)
    if with_it is None:
        return 0.0, {}
    more, cost, lost = with_it
    return (life.bytes * count - lost) / (cost + 1), more


def _gaps(life, over):
    """(how long there is too little memory, between one reader and the next)."""
    times = [life.made, *sorted(life.reads)]
    for first, last in pairwise(times):
        if last - first > 1:
            yield int(over[last] - over[first + 1]), first, last


def _with(choice, v, split, again, over):
    """(what is dropped so that v can be computed again then, its cost, bytes kept longer)."""
    lives = choice.plan.lives
    more, cost, lost, todo = {v: split}, 0.0, 0, [v]
    while todo:
        life = lives[todo.pop()]
        if again >= life.until:
            return None
        cost += life.cost
        for u in life.sources:
            source, end = lives[u], choice.end[u]
            if u in more or (source.kept and end >= again):
                continue
            first, last = choice.second.get(u, (again, end))
            if first <= again <= last:
                continue
            if source.cost is not None and (
                not source.kept or source.bytes * SMALL > lives[v].bytes
            ):
                if u not in choice.second:
                    more[u] = end
                    todo.append(u)
                lost += source.bytes * _between(over, again, first)
            elif source.kept:
                lost += source.bytes * _between(over, end, again)
            else:
                return None
    return more, cost, lost


def _between(over, first, last) -> int:
    return max(0, int(over[last] - over[first]))


# ---------------------------------------------------------------- the program


def computed_again(graph: Graph, choice: Choice) -> Graph:
    """The program in which late readers of what is dropped read what is computed again."""
    out = _Again(graph, choice).graph
    out.verify()
    return out


class _Again:
    """Writes the operations down in order, each second computation before its first reader."""

    def __init__(self, graph, choice):
        self.old, self.choice, self.plan = graph, choice, choice.plan
        self.maker = {v: o for o in graph.operations for v in o.outputs}
        self.order = {o: i for i, o in enumerate(graph.operations)}
        self.operations: list = []
        self.again: dict = {}  # value -> its second self
        self.copies: dict = {}
        for o in graph.operations:
            when = self.plan.time.get(o)
            if when is not None:
                inputs = tuple(self._at(v, when) for v in o.inputs)
                o = o if inputs == o.inputs else o.changed(inputs=inputs)
            self.operations.append(o)
        self.graph = self._whole()

    def _whole(self) -> Graph:
        """The program without what nobody reads any more."""
        live, kept = set(self.old.outputs), []
        for o in reversed(self.operations):
            if not live.isdisjoint(o.outputs):
                kept.append(o)
                live.update(o.inputs)
        out = Graph(self.old.name)
        out.inputs, out.outputs = self.old.inputs, self.old.outputs
        out.consts, out.operations = self.old.consts, kept[::-1]
        out.again = {new: v for v, new in self.again.items() if new in live}
        return out

    def _late(self, v, when) -> bool:
        return v in self.choice.dropped and when > self.choice.dropped[v]

    def _at(self, v, when):
        """What is read for `v` at a time: itself, or its second self."""
        o = self.maker.get(v)
        if o is None or v in self.plan.stored:
            return self._second(v) if self._late(v, when) else v
        inputs = tuple(self._at(x, when) for x in o.inputs)
        return v if inputs == o.inputs else self._copied(o, inputs, 0)

    def _copied(self, o, inputs, reader):
        """The result of an operation on other inputs; each reader's copies are its own."""
        key = o, inputs, reader
        if key not in self.copies:
            (v,) = o.outputs
            y = self.copies[key] = Var(f"{v.name}_{len(self.copies) + 1}", v.spec)
            self.operations.append(o.changed(inputs=inputs, outputs=(y,), origin=(o,)))
        return self.copies[key]

    def _second(self, v):
        """v computed again, after all that has to be computed again for it."""
        needed, todo = set(), [v]
        while todo:
            u = todo.pop()
            if u not in needed and u not in self.again:
                needed.add(u)
                when = self.choice.second[u][0]
                sources = self.plan.lives[u].sources
                todo += [w for w in sources if self._late(w, when)]
        for u in sorted(needed, key=lambda u: self.order[self.maker[u]]):
            o, when = self.maker[u], self.choice.second[u][0]
            inputs = tuple(self._own(x, when, u) for x in o.inputs)
            y = self.again[u] = Var(f"{u.name}_again", u.spec)
            self.operations.append(o.changed(inputs=inputs, outputs=(y,), origin=(o,)))
        return self.again[v]

    def _own(self, v, when, reader):
        """The same of what is computed where it is read: anew for each second computation."""
        o = self.maker.get(v)
        if o is None or v in self.plan.stored:
            return self._at(v, when)
        inputs = tuple(self._own(x, when, reader) for x in o.inputs)
        return self._copied(o, inputs, reader)
