"""What a compiled function reads is looked at again: what helpers are given, slots, names."""

import dataclasses
import functools
import operator
import os

import pytest

import adjoint as ad


@dataclasses.dataclass
class Config:
    rate: float = 2.0


@dataclasses.dataclass(slots=True)
class Slotted:
    rate: float = 2.0
    kept: object = None

    def scaled(self, x):
        return x * self.rate


class Model:
    def __init__(self):
        self.config = Config()

    def go(self, c, x):
        return scaled(c, x) + scaled(self.config, x)


def scaled(c, x):
    return x * c.rate


def by_name(x, *, c=None):
    return scaled(c, x)


def deep(c, x, n=3):
    return deep(c, x, n - 1) if n else scaled(c, x)


CONFIG, SLOTTED, MODEL, RATE = Config(), Slotted(), Model(), 2.0
HALF = functools.partial(scaled, CONFIG)
ROW, TABLE = [CONFIG, Config(1.0)], {"a": CONFIG, "b": {"c": [CONFIG]}}
KEYED = {CONFIG.__class__: {"c": CONFIG}}


class Scaling:
    def __init__(self, rate=None):
        self.rate = RATE if rate is None else rate

    def __call__(self, x, c):
        return x * c.rate

    @classmethod
    def all(cls, x, c):
        return scaled(c, x)

    @staticmethod
    def each(x, c):
        return scaled(c, x)


class Further(Scaling):
    pass


class Layer(ad.nn.Module):
    def forward(self, x, c):
        return x * c.rate


SCALING, LAYER = Further(), Layer()


def local(x):
    c = CONFIG
    return scaled(c, scaled(c, x))


def writes(x):
    SLOTTED.kept = SLOTTED.kept + x
    return SLOTTED.kept * SLOTTED.rate


def mapped(x):
    return ad.func.vmap(lambda x: scaled(CONFIG, x))(x)


def in_loop(x):
    for _ in range(2):
        x = scaled(CONFIG, x)
    return x


def through(x):
    for c in ROW:
        x = x * c.rate
    for _, (c, d) in enumerate(zip(ROW, reversed(ROW), strict=True)):
        x = x + c.rate * d.rate
    return x


def by_comprehension(x):
    return x * sum(c.rate for c in ROW) * sum([c.rate for c in ROW[1:]])


def _all(x, row):
    for c in row:
        x = x + c.rate
    return x


def _rate(c):
    return c.rate


def scale_by(x, c):
    return x * c.rate


def by_key(x, *keys):
    for k in keys:
        x = x * TABLE[k].rate
    return x


def by_table(x):
    for k, c in TABLE.items():
        x = scaled(c, x) if k == "a" else scaled(c["c"][-1], x)
    return x * TABLE.get("b")["c"][0].rate


def within(x):
    def inner(c):
        return again(c) * 2

    def again(c):
        return x * c.rate

    return inner(ROW[0])


def writes_in_a_list(x):
    for s in (SLOTTED, SLOTTED):
        s.kept = s.kept + x
    return SLOTTED.kept * SLOTTED.rate


def branches(x):
    if len(ROW) == 2:
        c = ROW[0]
    else:
        c = ROW[1]
    return x * c.rate * (CONFIG if len(ROW) == 2 else SLOTTED).rate


def until(x):
    i = 0
    while i < 2:
        x = x * HOLDER.all()[i].rate
        i += 1
    return x


def rest_of(x):
    c, *others = HOLDER.all()
    return x * c.rate * others[0].rate


def matched(x):
    match HOLDER.kept:
        case Config(rate=rate):
            return x * rate


class Holder:
    shared = CONFIG

    def __init__(self):
        self.kept = CONFIG

    @property
    def seen(self):
        return self.kept

    def all(self):
        return [self.kept, CONFIG]

    def each(self):
        yield self.kept


HOLDER = Holder()
READERS = {
    "after a branch": branches,
    "in while": until,
    "the rest of several": rest_of,
    "a pattern": matched,
    "a property's object": lambda x: x * HOLDER.seen.rate,
    "what a method gives": lambda x: x * sum(c.rate for c in HOLDER.all()),
    "what a generator gives": lambda x: x * sum(c.rate for c in HOLDER.each()),
    "an object that a class keeps": lambda x: x * HOLDER.shared.rate,
    "an object in a new dict": lambda x: x * {"a": HOLDER.kept}["a"].rate,
    "by a getter": lambda x: x * operator.attrgetter("rate")(HOLDER.kept),
    "the largest": lambda x: x * max(HOLDER.all(), key=lambda c: c.rate).rate,
    "one after the other": lambda x: functools.reduce(scale_by, HOLDER.all(), x),
    "an item of a list": lambda x: x * ROW[0].rate,
    "objects of a list": through,
    "a comprehension": by_comprehension,
    "a list handed on": lambda x: _all(x, ROW) + _all(x, tuple(ROW)),
    "a key that is not known": lambda x: by_key(x, *"aa"),
    "items of a dict": by_table,
    "a dict of a dict": lambda x: x * KEYED[type(CONFIG)]["c"].rate,
    "objects that map goes through": lambda x: x * sum(map(_rate, ROW)),
    "functions inside": within,
    "objects in a list that are written": writes_in_a_list,
    "an object handed on": lambda x: scaled(CONFIG, x + 1),
    "by keyword": lambda x: by_name(x, c=CONFIG),
    "to a partial": lambda x: HALF(x),
    "through several": lambda x: deep(CONFIG, x),
    "to a method": lambda x: MODEL.go(CONFIG, x),
    "to an object that is called": lambda x: SCALING(x, CONFIG),
    "to a class's method": lambda x: SCALING.all(x, CONFIG) + Scaling.all(x, CONFIG),
    "to a function in a class": lambda x: SCALING.each(x, CONFIG) * 2,
    "to a module": lambda x: LAYER(x, CONFIG),
    "as an object is made": lambda x: x * Scaling().rate + Scaling(CONFIG.rate).rate,
    "by a local name": local,
    "in a loop": in_loop,
    "in a transform": mapped,
    "a slot": lambda x: x * SLOTTED.rate,
    "a slot of what is handed on": lambda x: scaled(SLOTTED, x),
    "a slot in a method": lambda x: SLOTTED.scaled(x),
    "a slot that is written": writes,
    "globals()": lambda x: x * globals()["RATE"],
    "vars()": lambda x: x * vars(CONFIG)["rate"],
    "getattr": lambda x: x * getattr(CONFIG, "rate"),  # noqa: B009
    "os.environ": lambda x: x * float(os.environ["ADJOINT_TEST_RATE"]),
    "os.environ.get": lambda x: x * float(os.environ.get("ADJOINT_TEST_OTHER", "2")),
    "os.getenv": lambda x: x * float(os.getenv("ADJOINT_TEST_OTHER", "2")),
    "in os.environ": lambda x: x * (3 if "ADJOINT_TEST_OTHER" in os.environ else 2),
}


def set_to(rate, monkeypatch):
    """All that is read; other than at first also a variable that was not there."""
    for x in (CONFIG, SLOTTED, MODEL.config):
        x.rate = rate
    monkeypatch.setitem(globals(), "RATE", rate)
    monkeypatch.setenv("ADJOINT_TEST_RATE", str(rate))
    if rate == 2.0:
        monkeypatch.delenv("ADJOINT_TEST_OTHER", raising=False)
        SLOTTED.kept = ad.zeros(3)
    else:
        monkeypatch.setenv("ADJOINT_TEST_OTHER", str(rate))


@pytest.mark.parametrize("name", READERS)
def test_what_changed_is_found(name, monkeypatch):
    f, x = READERS[name], ad.ones(3)

    def calls(f):
        found = []
        for rate, count in ((2.0, 4), (5.0, 2), (2.0, 1)):
            set_to(rate, monkeypatch)
            found += [f(x) for _ in range(count)]
        return found

    expected = calls(f)
    for y, wanted in zip(calls(ad.compile(f)), expected, strict=True):
        assert y.equal(wanted)
    set_to(2.0, monkeypatch)


def test_long_chains_of_objects_do_not_end_it():
    class Link:
        def __init__(self, after):
            self.after, self.rate = after, 2.0

    last = None
    for _ in range(5000):
        last = Link(last)

    def walk(c, x):
        return x * c.rate if c.after is None else walk(c.after, x)

    def f(x):
        return scaled(last, x) if x.shape else walk(last, x)

    g = ad.compile(f)
    assert [g(ad.ones(2)).tolist() for _ in range(3)] == [[2.0, 2.0]] * 3


def test_what_is_too_much_is_told(caplog):
    class Many:
        pass

    many = Many()
    vars(many).update({f"a{i}": float(i) for i in range(300)})
    code = "def f(x):\n" + "".join(f"    x = x + many.a{i}\n" for i in range(300))
    names = {"many": many, "scaled": scaled, "CONFIG": CONFIG}
    exec(code + "    return scaled(CONFIG, x)\n", names)
    g = ad.compile(names["f"])
    with caplog.at_level("WARNING", "adjoint.compiler"):
        for _ in range(3):
            g(ad.zeros(2))
    assert "'a199', and what is read after it" in caplog.text
