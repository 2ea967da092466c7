"""Datasets, samplers and the loader: PyTorch's behaviour, exact resume, workers that fail."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections import OrderedDict, defaultdict, namedtuple
from pathlib import Path

import numpy as np
import pytest

import adjoint as ad
from adjoint import data
from adjoint.data import DataLoader, IterableDataset, TensorDataset
from adjoint.errors import FileError

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def seeded():
    ad.manual_seed(11)


@pytest.fixture(autouse=True)
def forked():
    """Workers that take what cannot be pickled, as was Python's default up to 3.13."""
    before = multiprocessing.get_start_method(allow_none=True)
    if "fork" in multiprocessing.get_all_start_methods():
        multiprocessing.set_start_method("fork", force=True)
    yield
    multiprocessing.set_start_method(before, force=True)


def lists(loader):
    return [b.tolist() for b in loader]


def generator(seed=0):
    return ad.Generator().manual_seed(seed)


class Items:
    """A dataset whose items can do anything."""

    def __init__(self, f, n=12):
        self.f, self.n = f, n

    def __getitem__(self, i):
        return self.f(i)

    def __len__(self):
        return self.n


class Stream(IterableDataset):
    """0 .. n-1, dealt to the workers in turn."""

    def __init__(self, n):
        self.n = n

    def __iter__(self):
        info = data.get_worker_info()
        start, step = (info.id, info.num_workers) if info else (0, 1)
        return iter(range(start, self.n, step))


# ---------------------------------------------------------------- datasets


def test_tensor_dataset_shares_memory_and_copies_batches():
    x = np.zeros((4, 2), np.float32)
    rows = TensorDataset(x, [0, 1, 2, 3])
    x[1, 0] = 5
    assert rows[1][0].tolist() == [5, 0]
    assert rows[-1][1].item() == 3
    (batch, _) = next(iter(DataLoader(rows, 4)))
    batch += 1
    assert x.sum() == 5


def test_rows_of_a_trained_table_have_gradients():
    table = ad.ones(4, 2, requires_grad=True)
    for (rows,) in DataLoader(TensorDataset(table), 2, shuffle=True):
        rows.sum().backward()
    assert table.grad.tolist() == [[1, 1]] * 4


def test_lengths_must_agree():
    with pytest.raises(ad.errors.ShapeError, match=r"equal lengths, got \[2, 3\]"):
        TensorDataset(ad.zeros(2), ad.zeros(3))
    with pytest.raises(ad.errors.ShapeError, match="equal lengths"):
        data.StackDataset([1], [2, 3])
    with pytest.raises(ad.errors.ArgumentError, match="at least one tensor"):
        TensorDataset()
    with pytest.raises(ad.errors.ArgumentError, match="by position or by name"):
        data.StackDataset([1], y=[2])
    with pytest.raises(ad.errors.ShapeError, match="0-d tensor has no rows"):
        TensorDataset(ad.tensor(1.0))


@pytest.mark.parametrize(
    "build",
    [
        lambda x: TensorDataset(x, x[:, 0]),
        lambda x: x,
        lambda x: x.numpy(),
        lambda x: x[:, 0].numpy(),
        lambda x: np.asfortranarray(x.numpy()),
        lambda x: data.StackDataset(x, TensorDataset(x)),
        lambda x: data.StackDataset(a=x, b=x.numpy()),
        lambda x: data.Subset(TensorDataset(x), list(range(20, 0, -1))),
        lambda x: data.Subset(x, np.arange(3, 24)),
        lambda x: data.Subset(x, ad.arange(2, 24)),
        lambda x: data.Subset(data.Subset(x, range(5, 25)), [3, 2, 7, 1, 1]),
        lambda x: data.StackDataset(list(range(25)), x),
        lambda x: data.ConcatDataset([TensorDataset(x), TensorDataset(x)]),
    ],
)
@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_had_at_once_are_what_collating_items_gives(build, shuffle):
    x = ad.arange(75.0).reshape(25, 3)
    fast = DataLoader(build(x), 4, shuffle=shuffle, generator=generator())
    slow = DataLoader(
        build(x),
        4,
        shuffle=shuffle,
        generator=generator(),
        collate_fn=lambda samples: data.default_collate(samples),
    )
    for a, b in zip(fast, slow, strict=True):
        assert type(a) is type(b) and repr(a) == repr(b)


def test_concat_chain_and_sums():
    both = data.Subset("abc", [0, 1]) + data.Subset("de", [1])
    assert [both[i] for i in range(-3, 3)] == ["a", "b", "e"] * 2
    with pytest.raises(ad.errors.DimError, match="index 3 is out of range for 3 items"):
        both[3]
    assert list(Stream(2) + Stream(1)) == [0, 1, 0]
    with pytest.raises(ad.errors.ArgumentTypeError, match="streams"):
        data.ConcatDataset([Stream(2)])
    with pytest.raises(ad.errors.ArgumentError, match="empty"):
        data.ConcatDataset([])


def test_random_split():
    parts = data.random_split(range(10), [0.5, 0.25, 0.25], generator())
    assert [len(p) for p in parts] == [6, 2, 2]
    assert sorted(i for p in parts for i in p) == list(range(10))
    again = data.random_split(range(10), [6, 2, 2], generator())
    assert [list(p) for p in again] == [list(p) for p in parts]
    with pytest.raises(ad.errors.ArgumentError, match="sum to 9, the dataset has 10"):
        data.random_split(range(10), [6, 3])
    with pytest.raises(ad.errors.ArgumentError, match="not between 0 and 1"):
        data.random_split(range(10), [1.5, -0.5])
    with pytest.warns(UserWarning, match="part 1 is empty"):
        data.random_split(range(3), [0.9, 0.1])


def test_names_are_also_where_pytorch_has_them():
    from adjoint.utils.checkpoint import checkpoint

    assert ad.utils.data.DataLoader is DataLoader and checkpoint is ad.checkpoint
    td = pytest.importorskip("torch.utils.data")
    files = {"dataset", "sampler", "dataloader"}
    assert set(ad.utils.data.__all__) <= {*td.__all__, "default_collate", *files}


# ---------------------------------------------------------------- samplers


def test_random_samplers_follow_their_generator():
    for make in (
        lambda g: data.RandomSampler(range(20), generator=g),
        lambda g: data.RandomSampler(range(20), True, 9, generator=g),
        lambda g: data.RandomSampler(range(4), num_samples=10, generator=g),
        lambda g: data.SubsetRandomSampler([5, 7, 9], generator=g),
        lambda g: data.WeightedRandomSampler([1.0, 2.0, 0.0], 8, generator=g),
    ):
        a, b = make(generator(3)), make(generator(3))
        first, second = list(a), list(a)
        assert (first, second) == (list(b), list(b))
        assert first != second or len(first) < 5
        assert len(first) == len(a) and all(type(i) is int for i in first)


def test_more_samples_than_items_are_whole_permutations():
    drawn = list(data.RandomSampler(range(4), num_samples=10))
    assert sorted(drawn[:4]) == sorted(drawn[4:8]) == [0, 1, 2, 3]


def test_weights_decide():
    drawn = list(data.WeightedRandomSampler([0.0, 3.0, 1.0], 4000))
    counts = np.bincount(drawn, minlength=3)
    assert counts[0] == 0 and abs(counts[1] / 4000 - 0.75) < 0.04
    distinct = list(data.WeightedRandomSampler([1.0, 1.0, 1.0], 3, replacement=False))
    assert sorted(distinct) == [0, 1, 2]


def test_wrong_sampler_arguments():
    for make, text in (
        (lambda: data.RandomSampler([]), "num_samples=?.*positive integer.*got 0"),
        (lambda: data.RandomSampler([1], num_samples=-1), "got -1"),
        (lambda: data.RandomSampler([1], replacement=1), "boolean value, but got 1"),
        (lambda: data.WeightedRandomSampler([[1.0]], 1), "1d sequence"),
        (lambda: data.BatchSampler([1], 0, False), "batch_size .*got 0"),
        (lambda: data.BatchSampler([1], 1, 0), "drop_last"),
        (lambda: list(data.RandomSampler([1], generator=7)), "must be a Generator"),
    ):
        with pytest.raises(ad.errors.AdjointError, match=text):
            make()


def test_batch_sampler_takes_any_iterable_and_subclasses_decide():
    assert list(data.BatchSampler("abcde", 2, True)) == [["a", "b"], ["c", "d"]]
    assert len(data.BatchSampler(range(5), 2, True)) == 2
    assert len(data.BatchSampler(range(5), 2, False)) == 3

    class Backwards(data.RandomSampler):
        def __iter__(self):
            return iter(range(len(self) - 1, -1, -1))

    x = ad.arange(5)
    assert lists(DataLoader(x, 2, sampler=Backwards(x))) == [[4, 3], [2, 1], [0]]

    class Pairs(data.BatchSampler):
        def __iter__(self):
            return iter([[0, 4], [1, 3]])

    pairs = Pairs(x, 2, False)
    assert lists(DataLoader(x, batch_sampler=pairs)) == [[0, 4], [1, 3]]


def test_an_index_out_of_range_is_named():
    loader = DataLoader(ad.arange(5), 2, sampler=[1, 7])
    with pytest.raises(ad.errors.DimError, match="index 7 for 5 rows"):
        list(loader)


# ---------------------------------------------------------------- collating

Point = namedtuple("Point", "x y")
SAMPLES = [
    [1, 2],
    [1.5, 2.5],
    [True, False],
    ["a", "b"],
    [b"a", b"b"],
    [(1, 2.0), (3, 4.0)],
    [("a", 2.0), ("b", 4.0)],
    [{"x": "a"}, {"x": "b"}],
    [[1, "a"], [2, "b"]],
    [{"x": 1, "y": [1, 2]}, {"x": 2, "y": [3, 4]}],
    [OrderedDict(a=1), OrderedDict(a=2)],
    [defaultdict(int, a=1), defaultdict(int, a=2)],
    [Point(1, (2, 3.0)), Point(4, (5, 6.0))],
    [np.float32(1), np.float32(2)],
    [np.int16(1), np.int16(2)],
    [np.zeros(2, np.float32), np.ones(2, np.float32)],
    [np.array(1), np.array(2)],
]


def described(x):
    """Values, container types and dtypes, whichever library's tensors."""
    if hasattr(x, "tolist") and hasattr(x, "dtype"):
        return str(x.dtype).split(".")[1], tuple(x.shape), x.tolist()
    if isinstance(x, dict):
        return type(x).__name__, {k: described(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return type(x).__name__, [described(v) for v in x]
    return x


@pytest.mark.parametrize("samples", SAMPLES, ids=str)
def test_default_collate_and_convert_are_pytorchs(samples):
    td = pytest.importorskip("torch.utils.data")
    assert described(data.default_collate(samples)) == described(
        td.default_collate(samples)
    )
    for sample in samples:
        assert described(data.default_convert(sample)) == described(
            td.default_convert(sample)
        )


def test_what_cannot_be_collated():
    for samples, text in (
        ([], "no samples"),
        ([None], "found NoneType"),
        ([(1, 2), (1,)], r"equal size, got sizes \[1, 2\]"),
        ([ad.zeros(2), ad.zeros(3)], r"\[2\] at sample 0 and \[3\] at sample 1"),
        ([{"a": 1}, {"b": 1}], r"keys \['a'\], sample 1 has \['b'\]"),
        ([ad.zeros(2), 1], "sample 0 is a tensor, sample 1 is a int"),
        ([np.array(["a"])], "cannot be a tensor"),
    ):
        with pytest.raises(ad.errors.AdjointError, match=text):
            data.default_collate(samples)


# ---------------------------------------------------------------- the loader


@pytest.mark.parametrize("workers", [0, 2])
def test_order_batches_and_lengths(workers):
    x = ad.arange(10)
    for kw, expected in (
        ({"batch_size": 4}, [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]),
        ({"batch_size": 4, "drop_last": True}, [[0, 1, 2, 3], [4, 5, 6, 7]]),
        ({"sampler": [3, 1], "batch_size": 2}, [[3, 1]]),
        ({"batch_sampler": [[9, 0], [4]]}, [[9, 0], [4]]),
        ({"batch_size": None}, list(range(10))),
    ):
        loader = DataLoader(x, num_workers=workers, **kw)
        assert lists(loader) == expected and len(loader) == len(expected)


def test_the_order_does_not_depend_on_the_number_of_workers():
    x, seen = ad.arange(50), []
    for workers in (0, 1, 3):
        loader = DataLoader(
            x, 4, shuffle=True, num_workers=workers, generator=generator()
        )
        seen.append([lists(loader), lists(loader)])
    assert seen[0] == seen[1] == seen[2]
    first, second = seen[0]
    assert first != second and sorted(i for b in first for i in b) == list(range(50))


def draw(i):
    return [i, random.random(), float(np.random.rand()), ad.rand(()).item()]


def test_what_a_batch_draws_depends_on_its_number_alone():
    seen = []
    for workers, prefetch in ((1, 2), (3, 1)):
        loader = DataLoader(
            Items(draw, 9),
            2,
            num_workers=workers,
            prefetch_factor=prefetch,
            generator=generator(),
        )
        seen.append([repr(b) for b in loader] + [repr(b) for b in loader])
    assert seen[0] == seen[1]
    assert len(set(seen[0])) == 10


def test_streams_are_read_in_turn():
    assert lists(DataLoader(Stream(7), 2)) == [[0, 1], [2, 3], [4, 5], [6]]
    loader = DataLoader(Stream(11), 2, num_workers=2)
    expected = [[0, 2], [1, 3], [4, 6], [5, 7], [8, 10], [9]]
    assert lists(loader) == lists(loader) == expected
    short = DataLoader(Stream(11), 2, num_workers=2, drop_last=True, prefetch_factor=5)
    assert lists(short) == expected[:-1]
    assert list(DataLoader(Stream(3), None)) == [0, 1, 2]
    with pytest.raises(TypeError):
        len(loader)


def test_batch_samplers_may_give_anything_that_items_take():
    items = Items(str, 9)
    for batches, expected in (
        ([["a", "b"]], [["a", "b"]]),
        ([[ad.tensor(3), 4]], [["tensor(3)", "4"]]),
        ([[(1, 2), (3,)]], [["(1, 2)", "(3,)"]]),
        ([np.array([1, 2])], [["1", "2"]]),
    ):
        assert list(DataLoader(items, batch_sampler=batches)) == expected
    assert lists(DataLoader(ad.arange(5), batch_sampler=[[ad.tensor(3), 4]])) == [
        [3, 4]
    ]


def test_wrong_loader_arguments():
    x = ad.arange(3)
    for kw, text in (
        ({"prefetch_factor": 2}, "prefetch_factor option could only"),
        ({"prefetch_factor": 0, "num_workers": 1}, "positive, got 0"),
        ({"persistent_workers": True}, "needs num_workers > 0"),
        ({"timeout": -1}, "non-negative, got -1"),
        ({"num_workers": -1}, "non-negative integer, got -1"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": 2.5}, "batch_size=2.5"),
        ({"shuffle": True, "sampler": [1]}, "mutually exclusive with shuffle"),
        ({"batch_sampler": [[1]], "shuffle": True}, "mutually exclusive with batch"),
        ({"batch_sampler": [[1]], "batch_size": 3}, "mutually exclusive with batch"),
        ({"batch_size": None, "drop_last": True}, "disables auto-batching"),
        ({"dataset": Stream(3), "shuffle": True}, "but got shuffle=True"),
        ({"dataset": Stream(3), "sampler": [1]}, "unspecified sampler option"),
    ):
        with pytest.raises(ValueError, match=text):
            DataLoader(**{"dataset": x, **kw})
    with pytest.raises(TypeError, match=r"got generator(.|\n)*IterableDataset"):
        DataLoader(i for i in range(3))


def test_a_dataset_that_raises_stop_iteration_does_not_end_the_epoch():
    def stop(i):
        raise StopIteration

    with pytest.raises(RuntimeError, match="the dataset raised StopIteration"):
        list(DataLoader(Items(stop)))


# ---------------------------------------------------------------- resuming


def loaders(**kw):
    def make(dataset):
        if not isinstance(dataset, IterableDataset):
            kw.setdefault("shuffle", True)
        return DataLoader(dataset, 4, **kw)

    return make


@pytest.mark.parametrize("dataset", [ad.arange(22), Items(draw, 22), Stream(22)])
@pytest.mark.parametrize(
    "workers", [{}, {"num_workers": 2}, {"num_workers": 2, "persistent_workers": True}]
)
def test_resuming_gives_exactly_the_batches_that_were_left(dataset, workers):
    if isinstance(dataset, Items) and not workers:
        pytest.skip("in this process what items draw is the default generator's affair")
    for after in (0, 4, 6):
        ad.manual_seed(5)
        loader = DataLoader(
            dataset,
            4,
            shuffle=not isinstance(dataset, Stream),
            generator=generator(),
            **workers,
        )
        list(loader)
        batches = iter(loader)
        for _ in range(after):
            next(batches)
        state, where = loader.state_dict(), ad.get_rng_state()
        rest = [repr(b) for b in batches]
        after_that = [repr(b) for b in loader]

        ad.set_rng_state(where)
        other = DataLoader(
            dataset,
            4,
            shuffle=not isinstance(dataset, Stream),
            generator=generator(77),
            **workers,
        )
        other.load_state_dict(state)
        assert other.state_dict() == state
        assert [repr(b) for b in other] == rest
        assert [repr(b) for b in other] == after_that


def test_resuming_needs_no_generator_of_its_own():
    loader = DataLoader(ad.arange(12), 3, shuffle=True)
    batches = iter(loader)
    next(batches)
    state, where = loader.state_dict(), ad.get_rng_state()
    rest = lists(batches) + lists(loader)
    other = DataLoader(ad.arange(12), 3, shuffle=True)
    ad.set_rng_state(where)
    other.load_state_dict(state)
    assert lists(other) + lists(other) == rest


def test_the_state_survives_break_and_is_numbers_only():
    import json

    loader = DataLoader(ad.arange(12), 3, shuffle=True, generator=generator())
    for i, _ in enumerate(loader):
        if i == 1:
            break
    state = json.loads(json.dumps(loader.state_dict()))
    assert state["epoch"]["given"] == 2
    loader.load_state_dict(state)
    assert len(lists(loader)) == 2
    assert loader.state_dict()["epoch"] is None


def test_a_sampler_with_a_state_of_its_own_is_asked():
    class Rotating(data.Sampler):
        def __init__(self):
            self.start = 0

        def __iter__(self):
            first, self.start = self.start, self.start + 1
            return iter([(first + i) % 4 for i in range(4)])

        def state_dict(self):
            return {"start": self.start}

        def load_state_dict(self, state):
            self.start = state["start"]

    loader = DataLoader(ad.arange(4), 1, sampler=Rotating())
    list(loader)
    batches = iter(loader)
    next(batches)
    state, rest = loader.state_dict(), lists(batches)
    other = DataLoader(ad.arange(4), 1, sampler=Rotating())
    other.load_state_dict(state)
    assert lists(other) == rest == [[2], [3], [0]]
    assert lists(other) == lists(loader)


def test_a_state_of_another_loader_is_refused():
    state = DataLoader(ad.arange(12), 3).state_dict()
    with pytest.raises(ad.errors.ArgumentError, match="items 12 there and 13 here"):
        DataLoader(ad.arange(13), 3).load_state_dict(state)
    with pytest.raises(ad.errors.ArgumentTypeError, match="not a state"):
        DataLoader(ad.arange(13), 3).load_state_dict({"epoch": 1})


# ---------------------------------------------------------------- workers


def alive(pids):
    return [p for p in pids if os.path.exists(f"/proc/{p}")]


def pids_of(batches):
    return [process.pid for process, _ in batches.pool.workers]


def test_workers_end_on_break_exhaustion_and_exceptions():
    loader = DataLoader(Items(float, 40), 2, num_workers=2)
    batches = iter(loader)
    pids = pids_of(batches)
    list(batches)
    assert not alive(pids)
    for _ in (batches := iter(loader)):
        pids = pids_of(batches)
        break
    del batches
    assert not alive(pids)
    with pytest.raises(ZeroDivisionError):
        _fail_in_loop(loader, pids)
    assert not alive(pids)


def _fail_in_loop(loader, pids):
    batches = iter(loader)
    pids[:] = pids_of(batches)
    for _ in batches:
        1 / 0  # noqa: B018


def test_persistent_workers_serve_many_epochs():
    loader = DataLoader(
        Items(lambda i: os.getpid(), 8), 2, num_workers=2, persistent_workers=True
    )
    first = {p for b in loader for p in b.tolist()}
    next(iter(loader))
    second = {p for b in loader for p in b.tolist()}
    assert first == second and len(first) == 2
    old = iter(loader)
    list(loader)
    with pytest.raises(ad.errors.ArgumentError, match="ended by a newer one"):
        next(old)
    assert alive(first)
    del loader, old
    assert not alive(first)


class PickyError(Exception):
    """Cannot be made again from its args."""

    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")


def fails(i):
    if i == 5:
        raise KeyError("five")
    if i == 7:
        raise PickyError(1, 2)
    if i == 9:
        raise ad.errors.ShapeError("nine", hint="ten")
    return i


def test_errors_are_passed_on_with_the_workers_traceback():
    batches = iter(DataLoader(Items(fails), 1, num_workers=2))
    seen = []
    for _ in range(12):
        try:
            seen.append(next(batches).item())
        except Exception as error:
            seen.append(error)
    assert [x for x in seen if isinstance(x, int)] == [0, 1, 2, 3, 4, 6, 8, 10, 11]
    five, seven, nine = seen[5], seen[7], seen[9]
    assert type(five) is KeyError and "in fails" in five.__notes__[0]
    assert "worker 1" in five.__notes__[0]
    assert type(seven) is data.WorkerError and "PickyError: 1 and 2" in str(seven)
    assert type(nine) is ad.errors.ShapeError and str(nine).count("hint: ten") == 1


def test_worker_init_fn_and_worker_info():
    def begin(worker_id):
        info = data.get_worker_info()
        info.dataset.seen = (worker_id, info.id, info.num_workers, info.seed)

    items = Items(lambda i: items.seen, 4)
    loader = DataLoader(items, None, num_workers=2, worker_init_fn=begin)
    a, b, *_ = list(loader)
    assert a[:3] == [0, 0, 2] and b[:3] == [1, 1, 2] and b[3] == a[3] + 1
    assert data.get_worker_info() is None

    def fail(worker_id):
        raise OSError("no disk")

    with pytest.raises(OSError, match="no disk"):
        list(DataLoader(items, num_workers=1, worker_init_fn=fail))


@pytest.mark.parametrize(
    "die,text",
    [
        (lambda: os._exit(3), "exit code 3"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "killed by SIGKILL"),
        (lambda: sys.exit(4), "exit code 4"),
    ],
)
def test_a_worker_that_dies_is_an_error_at_once(die, text):
    def item(i):
        return die() if i == 5 else i

    start = time.monotonic()
    with pytest.raises(
        data.WorkerError, match=rf"worker \d \(pid \d+\) exited .*{text}"
    ):
        list(DataLoader(Items(item), 1, num_workers=2))
    assert time.monotonic() - start < 15


def test_a_worker_that_is_killed_from_outside_while_another_is_awaited():
    def item(i):
        time.sleep(60 if i == 2 else 0)
        return i

    batches = iter(DataLoader(Items(item, 100), 1, num_workers=2))
    os.kill(pids_of(batches)[1], signal.SIGKILL)
    start = time.monotonic()
    with pytest.raises(data.WorkerError, match=r"worker 1 .*SIGKILL"):
        for _ in batches:
            pass
    assert time.monotonic() - start < 15
    with pytest.raises(StopIteration):
        next(batches)


def test_a_slow_worker_times_out():
    loader = DataLoader(Items(lambda i: time.sleep(90), 4), num_workers=1, timeout=0.3)
    start = time.monotonic()
    with pytest.raises(data.WorkerError, match=r"timed out after 0.3 seconds"):
        list(loader)
    assert time.monotonic() - start < 15


def test_large_batches_and_large_index_lists_do_not_block():
    x = np.arange(300_000, dtype=np.float64)
    loader = DataLoader(x, 150_000, shuffle=True, num_workers=1, prefetch_factor=2)
    total = sum(float(b.sum().item()) for b in loader)
    assert total == x.sum()


def test_tensors_of_every_dtype_come_through():
    names = ["bool", "uint8", "int16", "float16", "float64", "complex64"]
    names += ["bfloat16"] if ad.bfloat16 is not None else []
    for name in names:
        x = ad.ones(4, 3).to(getattr(ad, name))
        (batch,) = DataLoader(x, 4, num_workers=1)
        assert batch.dtype is x.dtype and batch.equal(x)
        batch.zero_()


def test_a_loader_with_workers_inside_a_worker_is_refused():
    inner = DataLoader(ad.arange(2), num_workers=1)
    with pytest.raises(ad.errors.ArgumentTypeError, match="not allowed to have chi"):
        list(DataLoader(Items(lambda i: next(iter(inner))), num_workers=1))


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_that_are_not_forked(method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip("there is no such method here")
    how = {"num_workers": 1, "multiprocessing_context": method}
    loader = DataLoader(ad.arange(6), 2, **how)
    assert lists(loader) == [[0, 1], [2, 3], [4, 5]]
    with pytest.raises(ad.errors.ArgumentTypeError, match="could not be") as caught:
        list(DataLoader(Items(lambda i: i), **how))
    assert "must be picklable" in str(caught.value) and "'fork'" in str(caught.value)


SCRIPT = """
import os, sys, time
import adjoint as ad
from adjoint.data import DataLoader

class Slow:
    def __len__(self): return 1000
    def __getitem__(self, i):
        time.sleep(0.01)
        return i

def main():
    batches = iter(DataLoader(Slow(), 4, num_workers=2, persistent_workers=%s))
    next(batches)
    print(*(p.pid for p, _ in batches.pool.workers), flush=True)
    %s

if __name__ == "__main__":
    main()
"""


def run_script(tmp_path, persistent, end):
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(SCRIPT) % (persistent, end))
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    process = subprocess.Popen(
        [sys.executable, str(path)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    pids = [int(p) for p in process.stdout.readline().split()]
    assert len(pids) == 2, process.communicate()[1]
    return process, pids


def gone(pids, seconds=8.0):
    end = time.monotonic() + seconds
    while alive(pids) and time.monotonic() < end:
        time.sleep(0.02)
    return not alive(pids)


@pytest.mark.parametrize("persistent", [True, False])
def test_workers_end_with_the_interpreter(tmp_path, persistent):
    process, pids = run_script(tmp_path, persistent, "globals()['kept'] = batches")
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0 and errors == ""
    assert gone(pids)


def test_workers_end_on_ctrl_c_without_a_word_of_theirs(tmp_path):
    process, pids = run_script(tmp_path, False, "[None for _ in batches]")
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert errors.count("Traceback") == 1 and "KeyboardInterrupt" in errors
    assert gone(pids)


def test_workers_end_when_the_parent_is_killed(tmp_path):
    process, pids = run_script(tmp_path, False, "time.sleep(60)")
    process.kill()
    process.communicate(timeout=20)
    assert gone(pids)


def test_a_text_is_no_npz(tmp_path):
    (tmp_path / "a.npz").write_text("hello")
    with pytest.raises(FileError, match=r"is no \.npz file: it begins with b'hello'"):
        data.from_npz(tmp_path / "a.npz")
