"""`set_flush_denormal`: numbers below the normal ones are 0, on every thread of a program."""

import threading

import numpy as np
import pytest

import adjoint as ad
from adjoint.core import denormals

TINY = {np.float32: 1e-40, np.float64: 1e-310}


@pytest.fixture
def flushed():
    if not ad.set_flush_denormal(True):
        pytest.skip("this processor or C library has no flag for it")
    yield
    assert ad.set_flush_denormal(False)


def some(dtype, n=2**20):
    return ad.tensor(np.full(n, TINY[dtype], dtype))


@pytest.mark.parametrize("dtype", TINY)
def test_denormals_are_numbers_at_first(dtype):
    x = some(dtype, 16)
    half = ad.compile(lambda x: x * 0.5)
    for _ in range(3):
        assert (half(x).numpy() == np.full(16, TINY[dtype], dtype) / 2).all()
    assert np.count_nonzero((x * 0.5).numpy()) == 16


@pytest.mark.parametrize("dtype", TINY)
def test_they_are_nothing_afterwards(flushed, dtype):
    x = some(dtype, 16)
    half = ad.compile(lambda x: x * 0.5)
    for _ in range(3):
        assert not half(x).numpy().view("u1").any()
    assert not (x * 0.5).numpy().view("u1").any()
    normal = ad.tensor(np.full(16, np.finfo(dtype).smallest_normal))
    assert not (normal * 0.5).numpy().any()  # what is written, too


def test_all_threads_of_a_program_do_as_its_caller():
    x, before = some(np.float32, 2**21), ad.get_num_threads()
    step = ad.compile(lambda x: ad.exp(x) * x)
    try:
        ad.set_num_threads(4)
        for _ in range(3):
            if not ad.set_flush_denormal(True):
                pytest.skip("this processor or C library has no flag for it")
            for _ in range(10):
                assert not step(x).numpy().any()
            ad.set_flush_denormal(False)
            for _ in range(10):
                assert step(x).numpy().all()
    finally:
        ad.set_flush_denormal(False)
        ad.set_num_threads(before)


def test_other_threads_of_python_have_their_own(flushed):
    found = []

    def run():
        ad.set_flush_denormal(False)
        found.append((some(np.float32, 4) * 1).numpy().all())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [True]
    assert not (some(np.float32, 4) * 1).numpy().any()


def test_a_machine_without_the_flag_says_so(monkeypatch):
    monkeypatch.setattr(denormals, "_LAYOUTS", {})
    assert ad.set_flush_denormal(True) is False
    assert np.count_nonzero((some(np.float32, 4) * 1).numpy()) == 4


def test_a_mode_that_is_no_bool():
    with pytest.raises(ad.errors.ArgumentTypeError, match="mode is a bool, got 1"):
        ad.set_flush_denormal(1)
