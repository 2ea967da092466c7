"""What imports make counts as old in Python's search for garbage, and is still searched."""

import gc
import weakref

import pytest

import adjoint as ad
from adjoint.core.lasting import SELDOM, lasting, seldom_swept


class Ring:
    def __init__(self):
        self.me = self


@pytest.fixture
def quiet():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def is_among(x, things):
    return any(x is y for y in things)


def test_all_is_old_and_none_is_frozen(quiet):
    before = gc.get_freeze_count()
    ring = Ring()
    assert is_among(ring, gc.get_objects(0))
    lasting()
    if not before:
        assert is_among(ring, gc.get_objects(2))
    assert gc.get_freeze_count() == before


def test_garbage_among_it_is_found(quiet):
    ring = weakref.ref(Ring())
    lasting()
    gc.collect()
    assert ring() is None


def test_what_somebody_froze_stays_frozen(quiet):
    gc.freeze()
    try:
        count = gc.get_freeze_count()
        lasting()
        assert gc.get_freeze_count() == count > 0
    finally:
        gc.unfreeze()


@pytest.fixture
def threshold():
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield (700, 10, 10)
    gc.set_threshold(*before)


def thresholds_inside(loop):
    seen = []
    loop(seen)
    return [t[0] for t in seen]


def scanned(seen):
    def body(c, _):
        seen.append(gc.get_threshold())
        return c + 1, None

    ad.scan(body, ad.tensor(0.0), None, length=2)


def repeated(seen):
    def body(x):
        seen.append(gc.get_threshold())
        return x + 1

    ad.while_loop(lambda x: x < 2, body, ad.tensor(0.0))


@pytest.mark.parametrize("loop", [scanned, repeated])
def test_long_loops_are_searched_seldom(threshold, loop):
    assert thresholds_inside(loop) == [SELDOM] * 2
    assert gc.get_threshold() == threshold


def test_an_error_leaves_the_search_as_it_was(threshold):
    with pytest.raises(ZeroDivisionError), seldom_swept(), seldom_swept():
        raise ZeroDivisionError
    assert gc.get_threshold() == threshold


@pytest.mark.parametrize("own", [(0, 10, 10), (SELDOM * 2, 10, 10)])
def test_a_threshold_of_ones_own_stays(threshold, own):
    gc.set_threshold(*own)
    with seldom_swept():
        assert gc.get_threshold() == own
    assert gc.get_threshold() == own


def test_what_is_set_meanwhile_stays(threshold):
    with seldom_swept():
        gc.set_threshold(900, 10, 10)
    assert gc.get_threshold() == (900, 10, 10)
