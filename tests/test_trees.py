"""Containers of tensors: data classes are; those without end have an error that says so."""

import dataclasses
import logging
import typing

import pytest

import adjoint as ad
from adjoint import data
from adjoint.core import tree
from adjoint.errors import ArgumentError


def own_list():
    x: list = [ad.ones(2)]
    x.append(x)
    return x


def own_dict():
    x: dict = {"w": ad.ones(2)}
    x["inner"] = [x]
    return x


def own_tuple():
    x: tuple = ([], ad.ones(1))
    x[0].append(x)
    return x


ENDLESS = {
    own_list: r"a list contains itself: it is its own \[1\]",
    own_dict: r"a dict contains itself: it is its own \['inner'\]\[0\]",
    own_tuple: r"a tuple contains itself: it is its own \[0\]\[0\]",
}
WAYS = {
    "compile": lambda x: ad.compile(lambda x: ad.ones(1))(x),
    "compile, by name": lambda x: ad.compile(lambda x: ad.ones(1))(x=[x]),
    "program": lambda x: ad.compile(lambda x: ad.ones(1)).program(x),
    "grad": lambda x: ad.grad(lambda x: ad.ones(()))(x),
    "vmap": lambda x: ad.vmap(lambda x: ad.ones(1))(x),
    "results of vmap": lambda x: ad.vmap(lambda _: x)(ad.ones(2)),
    "results of vjp": lambda x: ad.vjp(lambda _: x, ad.ones(2)),
    "jvp": lambda x: ad.jvp(lambda x: x, (x,), (x,)),
    "jacrev": lambda x: ad.jacrev(lambda x: x)(x),
    "checkpoint": lambda x: ad.checkpoint(lambda x: ad.ones(1), x),
    "scan": lambda x: ad.scan(lambda c, _: (c, c), x, ad.ones(3)),
    "default_collate": lambda x: data.default_collate([x, x]),
    "default_convert": data.default_convert,
    "fit": lambda x: ad.train.fit(
        ad.nn.Linear(1, 1), [(x, x)], ad.nn.MSELoss(), ad.optim.SGD, progress=None
    ),
}


@pytest.mark.parametrize("make", ENDLESS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("way", WAYS)
def test_a_container_that_contains_itself(make, way):
    with pytest.raises(ArgumentError, match=ENDLESS[make]) as found:
        WAYS[way](make())
    assert "test_trees.py" in str(found.value) and "hint: " in str(found.value)


@pytest.mark.parametrize("make", [own_list, own_tuple])
def test_a_tensor_of_a_list_that_contains_itself(make):
    with pytest.raises(ArgumentError, match="contains itself"):
        ad.tensor(make())


def test_the_way_to_itself_is_the_shortest_of_names():
    inner: dict = {"x": ad.ones(1)}
    inner["back"] = (0, inner)
    with pytest.raises(ArgumentError, match=r"its own \['back'\]\[1\]"):
        tree.flatten([1, {"a": inner}])


def test_too_many_containers_in_each_other():
    x = ad.ones(1)
    for _ in range(3000):
        x = [x]
    with pytest.raises(ArgumentError, match="3000 containers stand in each other"):
        tree.flatten(x)


def test_a_container_in_two_places_is_no_circle():
    """With as many ways through it as 2 to the 50, of which an error must not try each."""
    x: list = [ad.ones(1)]
    assert len(tree.flatten([x, x, {"x": x}])[0]) == 3
    end: list = []
    end.append(end)
    for _ in range(50):
        end = [end, end]
    with pytest.raises(ArgumentError, match="contains itself"):
        tree.flatten(end)


def test_a_recursion_of_the_users_own_stays_what_it_is():
    def endless(x):
        return ad.grad(endless)(x)

    with pytest.raises(RecursionError):
        endless(ad.ones(()))


# ---------------------------------------------------------------- where nobody is given them


def test_results_that_contain_themselves_are_made_as_written(caplog):
    @ad.compile
    def f(x):
        y: list = [x * 2]
        y.append(y)
        return y

    for i in range(3):
        y = f(ad.full((2,), float(i)))
        assert y[1] is y and y[0].tolist() == [2.0 * i] * 2
    told = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert len(told) == 1 and "a list contains itself" in told[0].message


def test_state_that_refers_to_itself_is_read_and_replaced():
    state = own_dict()

    @ad.compile
    def f(x):
        state["w"] = state["inner"][0]["w"] + x
        return state["w"] * 2

    for i in range(1, 5):
        assert f(ad.ones(2)).tolist() == [2.0 * (1 + i)] * 2
    assert len(f.programs) == 1


# ---------------------------------------------------------------- data classes


@dataclasses.dataclass
class Batch:
    x: object
    weights: object = None
    scale: float = 1.0


@dataclasses.dataclass(frozen=True)
class Frozen:
    x: object
    name: str = "a"
    made: typing.ClassVar[int] = 0

    def __post_init__(self):
        Frozen.made += 1


@dataclasses.dataclass(slots=True)
class Slotted:
    x: object
    y: object = None


@dataclasses.dataclass(eq=False)
class Known:
    x: object


def test_data_classes_that_are_compared_by_value_are_containers():
    for make in (Batch, Frozen, Slotted):
        kept = make(ad.ones(2), [1, {"a": 2}])
        leaves, shape = tree.flatten(kept)
        made = Frozen.made
        again = tree.unflatten(shape, leaves)
        assert type(again) is make and again is not kept and again.x is kept.x
        assert tree.flatten(again)[1] == shape and Frozen.made == made
    known = Known(1)
    assert tree.flatten(known)[0] == [known]
    more = Batch(1)
    more.also = 2
    assert tree.flatten(more)[0] == [more]  # it would be lost


@pytest.mark.parametrize("make", [Batch, Frozen, Slotted])
def test_data_classes_in_and_out_of_programs_and_transforms(make):
    def f(b):
        return make(b.x * 2, {"sum": b.x.sum()})

    def total(b):
        return f(b).x.pow(2).sum()

    compiled = ad.compile(f)
    for i in range(4):
        y = compiled(make(ad.full((2,), float(i)), None))
        assert type(y) is make and y.x.tolist() == [2.0 * i] * 2
        assert tree.flatten(y)[0][1].item() == 2 * i
    assert len(compiled.programs) == 1
    for g in (ad.grad(total), ad.compile(ad.grad(total))):
        for _ in range(2):
            assert g(Slotted(ad.ones(2), ad.ones(1))).x.tolist() == [8.0, 8.0]
    if make is not Batch:  # whose scale is no tensor that vmap could return
        assert ad.vmap(f)(Slotted(ad.ones(3, 2))).x.shape == (3, 2)


def test_what_of_a_data_class_makes_another_program(caplog):
    caplog.set_level(logging.INFO, "adjoint.compiler")

    @ad.compile
    def f(b):
        return b.x * b.scale if b.weights is None else b.x * b.weights

    x = ad.ones(2)
    batches = Batch(x), Batch(x * 2), Batch(x, x * 3), Batch(x, None, 4.0), Batch(x * 5)
    for b, want in zip(batches, (1, 2, 3, 4, 5), strict=True):
        assert f(b).tolist() == [want] * 2
    assert len(f.programs) == 3 and not f.unfit


def test_a_data_class_that_is_changed_is_the_callers(caplog):
    @ad.compile
    def f(b):
        b.x = b.x + 1
        return b.x.sum()

    b = Batch(ad.zeros(2))
    assert [f(b).item() for _ in range(4)] == [2, 4, 6, 8]
    assert caplog.text.count("it changes a list, dict or data class") == 1


def test_slices_and_sets_are_static(caplog):
    caplog.set_level(logging.INFO, "adjoint.compiler")
    f = ad.compile(lambda x, part: x[part] * 2)
    x = ad.arange(6.0)
    for part in (slice(1, 3), slice(1, 3), slice(None, None, 2), slice(1, 3)):
        assert f(x, part).tolist() == (x[part] * 2).tolist()
    assert len(f.programs) == 2 and "is slice(None, None, 2)" in caplog.text
    g = ad.compile(lambda x, names: x * ("a" in names) + len(names))
    for names in ({"a"}, {"a"}, {"b", "c"}, set(), {"a"}):
        assert g(ad.ones(()), names).item() == ("a" in names) + len(names)
    assert len(g.programs) == 3
    assert not any(r.levelno == logging.WARNING for r in caplog.records)
