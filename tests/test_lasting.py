"""What imports make counts as old in Python's search for garbage, and is still searched."""

import gc
import weakref

import pytest

from adjoint.core.lasting import lasting


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
