"""safetensors files and checkpoints: the format, hostile files, crashes, other readers."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import OrderedDict, defaultdict, namedtuple
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import adjoint as ad
from adjoint import nn, optim
from adjoint.errors import FileError
from adjoint.files import write_text
from adjoint.io import SafetensorError, header, safetensors, write_atomically

ROOT = Path(__file__).parents[1]
NAMES = "bool uint8 int8 int16 int32 int64 float16 float32 float64 complex64 bfloat16"
DTYPES = [getattr(ad, name) for name in NAMES.split()]
TENSORS = {
    letter: ad.arange(6).reshape(2, 3).to(d)
    for letter, d in zip("abcdefghijk", DTYPES, strict=True)
    if d is not None
}
TENSORS |= {"empty": ad.zeros(0, 3), "number": ad.tensor(2.5), "umlaut ü": ad.ones(1)}


def file_of(head, body=b"", pad=True):
    """A file with this header (an object or its text) and these bytes."""
    raw = head if isinstance(head, bytes) else json.dumps(head).encode()
    return len(raw).to_bytes(8, "little") + raw + body


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def same(a, b):
    return a.dtype is b.dtype and a.shape == b.shape and a.tolist() == b.tolist()


# ---------------------------------------------------------------- safetensors


def test_round_trip_of_every_dtype(tmp_path):
    path = tmp_path / "x.safetensors"
    safetensors.save_file(TENSORS, path, {"who": "me"})
    for state in (
        safetensors.load_file(path),
        safetensors.load_file(path, mmap=True),
        safetensors.load(path.read_bytes()),
    ):
        assert state.keys() == TENSORS.keys()
        assert all(same(state[k], x) for k, x in TENSORS.items())
        state["h"].zero_()
    with ad.io.safe_open(path) as f:
        assert f.keys() == sorted(TENSORS) and f.metadata() == {"who": "me"}
        assert all(same(x, TENSORS[k]) for k, x in f.get_tensors().items())
    assert safetensors.save(TENSORS, {"who": "me"}) == path.read_bytes()


def test_the_file_is_that_of_the_safetensors_package(tmp_path):
    numpy_ = pytest.importorskip("safetensors.numpy")
    arrays = {
        k: x.numpy() for k, x in TENSORS.items() if k not in ("k", "j", "umlaut ü")
    }
    arrays["u16"] = np.arange(3, dtype=np.uint16)
    ours = safetensors.save(arrays, {"who": "me"})
    assert ours == numpy_.save(arrays, {"who": "me"})
    back = numpy_.load(safetensors.save(TENSORS | {"k": ad.zeros(1)}))
    assert back["umlaut ü"].tolist() == [1] and back["j"].dtype == np.complex64


def test_pytorchs_files_and_models_go_both_ways(tmp_path):
    torch = pytest.importorskip("torch")
    package = pytest.importorskip("safetensors.torch")
    path = tmp_path / "m.safetensors"

    def model(lib):
        net = lib.nn.Sequential(lib.nn.Linear(3, 3), lib.nn.Tanh(), lib.nn.Linear(3, 3))
        net[2].weight = net[0].weight
        return net

    theirs, ours, back = model(torch), model(ad), model(torch)
    package.save_model(theirs, str(path))
    assert ad.io.load_model(ours, path) == ([], [])
    assert model(ad).load_state_dict(ad.io.load_file(path)) == ([], [])
    x = np.random.default_rng(0).random((4, 3), np.float32)
    y = theirs(torch.from_numpy(x)).detach().numpy()
    assert np.allclose(ours(ad.from_numpy(x)).detach().numpy(), y, atol=1e-6)

    ad.io.save_model(ours, path)
    assert package.load_model(back, str(path)) == (set(), [])
    assert np.allclose(back(torch.from_numpy(x)).detach().numpy(), y, atol=1e-6)
    extras = {"half": torch.ones(2, dtype=torch.bfloat16), "n": torch.tensor(True)}
    package.save_file(extras, str(path))
    loaded = ad.io.load_file(path)
    assert loaded["n"].item() is True
    if ad.bfloat16 is not None:
        assert loaded["half"].dtype is ad.bfloat16


def test_names_of_one_memory_are_written_once(tmp_path):
    path = tmp_path / "x.safetensors"
    w = ad.zeros(1000)
    ad.io.save_file({"b": w, "a": w.detach(), "part": w[:10]}, path)
    assert path.stat().st_size < 4400
    with ad.io.safe_open(path) as f:
        assert f.keys() == ["a", "part"] and f.metadata() == {"b": "a"}
    state = ad.io.load_file(path)
    state["a"][0] = 1
    assert state["b"][0] == 1 and state["part"][0] == 0
    ad.io.save_file({"b": w, "a": w.detach()}, path, {"b": "mine"})
    assert ad.io.load_file(path).keys() == {"a", "b"}


def test_views_and_orders_of_memory_are_written_as_their_values():
    x = ad.arange(12.0).reshape(3, 4)
    arrays = {
        "t": x.T,
        "step": x[:, ::2],
        "back": x.numpy()[::-1],
        "big": x.numpy().astype(">f4"),
        "wide": ad.ones(1).expand(3),
    }
    state = safetensors.load(safetensors.save(arrays))
    for name, a in arrays.items():
        assert np.array_equal(state[name].numpy(), np.asarray(a).astype("f4"))


def test_lazy_reading_leaves_the_file_alone(tmp_path):
    path = tmp_path / "x.safetensors"
    ad.io.save_file({"w": ad.arange(24.0).reshape(2, 3, 4), "n": ad.ones(1)}, path)
    before = path.read_bytes()
    with ad.io.safe_open(path, framework="pt") as f:
        w = f.get_tensor("w")
        part = f.get_slice("w")
        assert part.get_shape() == [2, 3, 4] and part.get_dtype() == "F32"
        whole = np.arange(24.0).reshape(2, 3, 4)
        for key in (0, (0, 1, 2), slice(1), (..., slice(None, None, 2)), (1, ..., 0)):
            assert np.array_equal(part[key].numpy(), whole[key])
        for key, error in ((3, ad.errors.DimError), ([0], ad.errors.ArgumentTypeError)):
            with pytest.raises(error, match="get_slice"):
                part[key]
        w.zero_()
        with pytest.raises(SafetensorError, match=r"no tensor 'v'(.|\n)*it has n, w"):
            f.get_tensor("v")
    assert path.read_bytes() == before and w.sum() == 0
    with pytest.raises(SafetensorError, match="was closed"):
        f.get_tensor("w")
    with ad.io.safe_open(path, framework="np") as f:
        assert type(f.get_tensor("w")) is np.ndarray
    with pytest.raises(ad.errors.ArgumentError, match=r'"adjoint" or "numpy", got .tf'):
        ad.io.safe_open(path, framework="tf")


def test_tensors_that_are_not_aligned_are(tmp_path):
    path = tmp_path / "x.safetensors"
    head = {"a": entry("U8", (1,), (0, 1)), "b": entry("F64", (1,), (1, 9))}
    path.write_bytes(file_of(head, b"\x07" + np.float64(3).tobytes()))
    with ad.io.safe_open(path) as f:
        b = f.get_tensor("b")
    assert b.item() == 3 and b.numpy().flags.aligned


def test_dtypes_that_are_not_here_are_refused_when_they_are_read(tmp_path):
    path = tmp_path / "x.safetensors"
    head = {"a": entry("F8_E4M3", (2,), (0, 2)), "b": entry("U16", (1,), (2, 4))}
    path.write_bytes(file_of(head, b"\0\0\5\0"))
    with ad.io.safe_open(path, "numpy") as f:
        assert f.get_tensor("b").tolist() == [5]
        with pytest.raises(
            SafetensorError, match="'a' has dtype F8_E4M3, which arrays"
        ):
            f.get_tensor("a")
    with ad.io.safe_open(path) as f:
        assert f.get_tensor("b").dtype == ad.uint16
        with pytest.raises(SafetensorError, match="F8_E4M3"):
            f.get_tensor("a")
    for x in (
        np.zeros(1, "c16"),
        np.array(["a"]),
        np.zeros(1, "M8[s]"),
        np.array([{}]),
    ):
        with pytest.raises(SafetensorError, match=r"'x' has dtype .* does not have"):
            safetensors.save({"x": x})


def test_what_cannot_be_saved_is_told_before_anything_is_written(tmp_path):
    path = tmp_path / "x.safetensors"
    for tensors, metadata, text in (
        ({"x": [1.0]}, None, "'x' is a list, not a tensor"),
        ({1: ad.ones(1)}, None, "name must be a text .*got 1"),
        ({"__metadata__": ad.ones(1)}, None, "name must be a text"),
        ({"\ud800": ad.ones(1)}, None, "name must be a text"),
        ([ad.ones(1)], None, "expected a dict"),
        ({"x": ad.ones(1)}, {"a": 1}, "texts to texts"),
    ):
        with pytest.raises(ad.errors.ArgumentTypeError, match=text):
            safetensors.save_file(tensors, path, metadata)
    assert list(tmp_path.iterdir()) == []


EIGHT = b"\0" * 8
HOSTILE = {
    "5 bytes, at least 8": b"hello",
    "0 bytes, at least 8": b"",
    "more than 100000000": (100_000_001).to_bytes(8, "little") + b"{}",
    "ends within its header": (1 << 20).to_bytes(8, "little") + b"{}",
    r"must begin with '\{'": file_of(b" {}"),
    "must begin": file_of(b"[]"),
    "not UTF-8": file_of(b'{"\xff": 1}'),
    "not JSON: Exp": file_of(b"{x"),
    "not JSON: Extra": file_of(b"{}{}"),
    "key 'x' twice": file_of(
        b'{"x":%s,"x":%s}' % ((json.dumps(entry()).encode(),) * 2), EIGHT
    ),
    "key 'dtype' twice": file_of(b'{"x":{"dtype":"F32","dtype":"F32"}}'),
    "nested too deeply": file_of(b'{"x":' + b"[" * 100_000),
    "Exceeds the limit|whole numbers": file_of(
        b'{"x":{"dtype":"U8","shape":[%s],"data_offsets":[0,0]}}' % (b"9" * 5000)
    ),
    "half of a surrogate pair": file_of(
        b'{"\\ud800":%s}' % json.dumps(entry()).encode(), EIGHT
    ),
    "'x' must be an object": file_of({"x": 3}),
    "has no dtype": file_of({"x": {}}),
    "has no shape": file_of({"x": {"dtype": "F32"}}),
    "unknown dtype 'F33'": file_of({"x": entry("F33")}, EIGHT),
    r"unknown dtype \[\]": file_of({"x": entry([])}, EIGHT),
    r"whole numbers: \[-2\]": file_of({"x": entry(shape=(-2,))}, EIGHT),
    r"whole numbers: \[2\.0\]": file_of({"x": entry(shape=(2.0,))}, EIGHT),
    r"whole numbers: \[True\]": file_of({"x": entry(shape=(True,))}, EIGHT),
    "whole numbers: 7": file_of({"x": {**entry(), "shape": 7}}, EIGHT),
    "at most 64": file_of({"x": entry(shape=(1,) * 65, offsets=(0, 4))}, EIGHT[:4]),
    r"\[begin, end\], got \[8, 0\]": file_of({"x": entry(offsets=(8, 0))}, EIGHT),
    r"\[begin, end\], got \[0, 8, 9\]": file_of({"x": entry(offsets=(0, 8, 9))}, EIGHT),
    r"\[begin, end\], got \[-8, 0\]": file_of({"x": entry(offsets=(-8, 0))}, EIGHT),
    r"shape \[3\] needs 12 bytes, its data_offsets give 8": file_of(
        {"x": entry(shape=(3,))}, EIGHT
    ),
    "needs 1.5 bytes": file_of({"x": entry("F4", (3,), (0, 2))}, EIGHT[:2]),
    "9223372036854775807": file_of({"x": entry("U8", (2**63 - 1, 3))}, EIGHT),
    "'y' overlaps": file_of({"x": entry(), "y": entry(offsets=(4, 12))}, EIGHT + EIGHT),
    "'y' leaves a gap": file_of({"x": entry(), "y": entry(offsets=(9, 17))}, EIGHT * 3),
    "need 8 bytes, the file has 7": file_of({"x": entry()}, EIGHT[:7]),
    "need 8 bytes, the file has 9": file_of({"x": entry()}, EIGHT + b"x"),
    "must map texts to texts": file_of({"__metadata__": {"a": 1}}),
    "map texts": file_of({"__metadata__": []}),
    "bytes other than 0, 1": file_of({"x": entry("BOOL", (8,))}, EIGHT[:7] + b"\2"),
    "need 0 bytes, the file has 1": file_of(
        {"x": entry("U8", (0, 2**62), (0, 0))}, b"x"
    ),
}


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_files_are_refused_and_say_why(text, tmp_path):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(HOSTILE[text])
    readers = (ad.io.load_file, ad.load, lambda p: ad.io.safe_open(p).get_tensors())
    for read in readers:
        with pytest.raises(SafetensorError, match=text) as found:
            read(path)
        assert "bad.safetensors" in str(found.value)
    with pytest.raises(SafetensorError, match=text):
        safetensors.load(HOSTILE[text])


def test_other_formats_are_recognized(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"x": torch.ones(2)}, tmp_path / "x.pt")
    with pytest.raises(SafetensorError, match=r"hint: .*as torch.save"):
        ad.load(tmp_path / "x.pt")


def test_an_empty_tensor_may_have_a_huge_size_beside_its_zero():
    data = file_of({"x": entry("U8", (0, 2**62, 2**62), (0, 0))})
    try:
        assert safetensors.load(data)["x"].numel() == 0
    except SafetensorError as error:
        assert "'x'" in str(error)


VALID = safetensors.save(
    {"a": ad.ones(2), "b": ad.tensor([True]), "c": ad.zeros(0)}, {"d": "a"}
)
CHECKPOINT = io.BytesIO()
ad.save({"a": (ad.ones(2), 1.5, None, {3: 1j}), "g": ad.Generator()}, CHECKPOINT)
pieces = st.one_of(
    st.binary(max_size=6),
    st.sampled_from(
        [b"{", b"}", b"[", b"]", b'"', b",", b":", b"-", b"9", b"e9", b"NaN", b"null"]
    ),
)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_no_mutated_file_gives_anything_but_our_error(data):
    raw = bytearray(data.draw(st.sampled_from([VALID, CHECKPOINT.getvalue()])))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw)))
        gone = data.draw(st.integers(0, 4))
        raw[at : at + gone] = data.draw(pieces)
    if data.draw(st.booleans()):  # reach what lies behind the size of the header
        size = int.from_bytes(VALID[:8], "little")
        raw[:8] = size.to_bytes(8, "little")
    for read in (safetensors.load, lambda b: ad.load(io.BytesIO(b))):
        with suppress(SafetensorError):
            read(bytes(raw))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["a", "x", "dtype", "shape", "data_offsets", "__metadata__"]
            )
            | st.sampled_from(
                ["tuple", "dict", "tensor", "generator", "complex", "pairs"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(json_values, st.binary(max_size=16))
def test_no_header_gives_anything_but_our_error(head, body):
    with suppress(SafetensorError):
        safetensors.load(file_of(head, body))


@settings(max_examples=300, deadline=None)
@given(json_values)
def test_no_structure_gives_anything_but_our_error(structure):
    metadata = {"format": "adjoint-checkpoint-1", "structure": json.dumps(structure)}
    data = safetensors.save({"a": ad.ones(2), "x": ad.tensor(1)}, metadata)
    with suppress(SafetensorError):
        ad.load(io.BytesIO(data))


# ---------------------------------------------------------------- checkpoints

Pair = namedtuple("Pair", "a b")
DATA = {
    "none": None,
    "flags": [True, False],
    "numbers": (0, -1, 2**70, 3**2000, 1.5, -0.0, 5e-324, 1e308, 0.1),
    "complex": 1 - 2.5j,
    "texts": ["", "ü", "\ud800", '"\\\n'],
    "bytes": b"\x00\xff",
    1: {2: {None: "deep", (1, "a"): "tuple key", True: "flag"}},
    -0.5: set("abc"),
    "frozen": frozenset([1, (2, 3)]),
    "empty": ([], (), {}, OrderedDict()),
    "ordered": OrderedDict([("b", 1), ("a", 2)]),
    "size": ad.Size((2, 3)),
    "dtype": ad.float16,
}


def test_python_values_come_back_as_they_were():
    file = io.BytesIO()
    ad.save(DATA, file)
    back = ad.load(io.BytesIO(file.getvalue()))
    assert back == DATA and repr(back["numbers"]) == repr(DATA["numbers"])
    assert list(back) == list(DATA)
    assert type(back["ordered"]) is OrderedDict and type(back["size"]) is ad.Size
    assert back["dtype"] is ad.float16
    infinite = io.BytesIO()
    ad.save([float("nan"), float("inf"), complex("-inf+nanj")], infinite)
    again = repr(ad.load(io.BytesIO(infinite.getvalue())))
    assert again == "[nan, inf, (-inf+nanj)]"


def test_tensors_arrays_and_numbers_of_numpy(tmp_path):
    g = ad.Generator().manual_seed(3)
    ad.rand(5, generator=g)
    shared = ad.arange(3)
    obj = {
        "tensors": list(TENSORS.values()),
        "double": ad.tensor([1 + 2j], dtype=ad.complex128),
        "array": np.arange(3, dtype=np.uint16),
        "mapped": np.memmap(tmp_path / "mapped", "f4", "w+", shape=(2,)),
        "numbers": [np.float32(1.5), np.int8(-3), np.bool_(True), np.complex128(1j)],
        "leaf": ad.ones(2, requires_grad=True),
        "parameters": [nn.Parameter(ad.ones(2)), nn.Parameter(ad.ones(1), False)],
        "twice": (shared, shared.detach()),
        "a": {"b": ad.ones(1)},
        "a.b": ad.zeros(1),
        "__metadata__": ad.ones(3),
        "format": shared.detach(),
        "generator": g,
    }
    path = tmp_path / "x.ckpt"
    ad.save(obj, path)
    for back in (ad.load(path), ad.load(str(path), mmap=True)):
        assert all(map(same, back["tensors"], obj["tensors"]))
        assert same(back["double"], obj["double"])
        assert back["array"].dtype == np.uint16 and back["array"].tolist() == [0, 1, 2]
        assert back["mapped"].tolist() == [0, 0]
        kinds = [type(x) for x in back["numbers"]]
        assert kinds == [np.float32, np.int8, np.bool_, np.complex128]
        assert back["numbers"] == obj["numbers"]
        assert back["leaf"].requires_grad and type(back["leaf"]) is ad.Tensor
        assert [p.requires_grad for p in back["parameters"]] == [True, False]
        assert all(type(p) is nn.Parameter for p in back["parameters"])
        one, other = back["twice"]
        one[0] = 7
        assert other[0] == 7 and back["format"].shape == (3,)
        assert (back["a"]["b"].item(), back["a.b"].item()) == (1, 0)
        assert back["__metadata__"].shape == (3,)
        expected = ad.rand(4, generator=g.clone_state())
        assert ad.rand(4, generator=back["generator"]).equal(expected)


def test_any_safetensors_file_loads_as_a_dict(tmp_path):
    path = tmp_path / "x.safetensors"
    w = ad.ones(2)
    ad.io.save_file({"w": w, "v": w}, path)
    back = ad.load(path)
    assert back["w"] is back["v"] and back["w"].tolist() == [1, 1]


def test_a_whole_training_run_comes_back(tmp_path):
    def start():
        ad.manual_seed(0)
        net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
        return net, optim.Adam(net.parameters(), lr=0.01)

    def steps(net, opt, n):
        losses = []
        for _ in range(n):
            opt.zero_grad()
            loss = (net(ad.randn(8, 3)) ** 2).mean()
            loss.backward()
            opt.step()
            losses.append(loss.item())
        return losses

    net, opt = start()
    steps(net, opt, 3)
    state = {
        "net": net.state_dict(),
        "opt": opt.state_dict(),
        "rng": ad.get_rng_state(),
    }
    ad.save(state, tmp_path / "run.ckpt")
    rest = steps(net, opt, 4)
    other, opt2 = start()
    back = ad.load(tmp_path / "run.ckpt")
    other.load_state_dict(back["net"])
    opt2.load_state_dict(back["opt"])
    ad.set_rng_state(back["rng"])
    assert steps(other, opt2, 4) == rest


def test_what_checkpoints_refuse_is_told_with_its_place(tmp_path):
    loop = []
    loop.append(loop)
    deep = []
    for _ in range(101):
        deep = [deep]
    for obj, text in (
        ({"a": [1, object()]}, r"'a.1' is a object"),
        ({"m": nn.Linear(1, 1)}, r"'m' is a Linear(.|\n)*hint: save its state_dict"),
        (defaultdict(list), r"the data is a defaultdict(.|\n)*hint: dict\(x\)"),
        (Pair(1, 2), r"is a Pair(.|\n)*hint: tuple\(x\)"),
        (loop, r"'0' contains itself"),
        (deep, "nested deeper than 100"),
        ({"f": print}, "'f' is a builtin_function_or_method"),
        ({"s": np.array(["a"])}, "'s' is an array of <U1"),
        ({"s": np.array([None])}, "'s' is an array of object"),
    ):
        with pytest.raises(ad.errors.AdjointError, match=text):
            ad.save(obj, tmp_path / "x")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ad.errors.ArgumentError, match="'cuda:0' is not available"):
        ad.load(tmp_path / "x", map_location="cuda:0")
    with pytest.raises(ad.errors.ArgumentError, match="'cuda:1' is not available"):
        ad.load(tmp_path / "x", map_location={"cuda:0": "cuda:1"})
    with pytest.raises(FileNotFoundError):
        ad.load(tmp_path / "x")
    for call in (ad.load, ad.io.load_file, ad.io.safe_open, lambda f: ad.save(1, f)):
        with pytest.raises(ad.errors.ArgumentTypeError, match=r"path .* got NoneType"):
            call(None)


@pytest.mark.parametrize("where", ["cpu", {"cuda:0": "cpu"}, lambda x, device: x])
def test_where_tensors_are_loaded_to(tmp_path, where):
    ad.save(ad.ones(2), tmp_path / "x")
    assert ad.load(tmp_path / "x", map_location=where).tolist() == [1.0, 1.0]


# ---------------------------------------------------------------- atomically


def test_a_write_that_fails_at_any_byte_leaves_the_old_file(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    new = b"all of the new file"

    def breaking(at):
        yield new[:at]
        raise OSError("disk")

    for at in range(len(new) + 1):
        with pytest.raises(OSError, match="disk"):
            write_atomically(path, breaking(at))
        assert path.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["fsync", "replace", "open"])
def test_a_system_call_that_fails_leaves_the_old_file(tmp_path, monkeypatch, call):
    path = tmp_path / "x"
    path.write_bytes(b"old")

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, [b"new"])
    monkeypatch.undo()
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="needs file size limits")
def test_a_full_disk_leaves_the_old_file(tmp_path):
    path = tmp_path / "x"
    ad.save({"old": ad.ones(3)}, path)
    code = (
        "import resource, signal, sys, adjoint as ad\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "ad.save({'new': ad.ones(100000)}, sys.argv[1])\n"
    )
    done = run_python(code, path)
    assert done.returncode == 1 and "File too large" in done.stderr
    assert ad.load(path)["old"].tolist() == [1, 1, 1]
    assert list(tmp_path.iterdir()) == [path]


def run_python(code, *args, **kw):
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", code, *map(str, args)]
    return subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=60, **kw
    )


def test_a_process_killed_while_it_saves_leaves_a_whole_file(tmp_path):
    path = tmp_path / "x"
    code = (
        "import sys, adjoint as ad\n"
        "for i in range(10**6):\n"
        "    ad.save({'i': i, 'x': ad.full((300_000,), i)}, sys.argv[1])\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], env=env)
    while not path.exists():
        time.sleep(0.01)
    rng, seen = np.random.default_rng(0), set()
    for pause in rng.random(12) * 0.05:
        process.send_signal(signal.SIGSTOP)
        seen.add(whole(path))
        process.send_signal(signal.SIGCONT)
        time.sleep(pause)
    process.kill()
    process.wait()
    seen.add(whole(path))
    assert len(seen) > 1


def whole(path):
    back = ad.load(path)
    assert (back["x"] == back["i"]).all()
    return back["i"]


def test_links_permissions_and_what_is_no_file(tmp_path):
    path, link = tmp_path / "x", tmp_path / "link"
    path.write_bytes(b"old")
    path.chmod(0o640)
    link.symlink_to(path)
    write_atomically(link, [b"new"])
    assert path.read_bytes() == b"new" and link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    with pytest.raises(ad.errors.ArgumentError, match="not a regular file"):
        write_atomically(tmp_path, [b"new"])
    with pytest.raises(FileNotFoundError, match=r"/none/x'"):
        write_atomically(tmp_path / "none" / "x", [b"new"])


def test_the_parser_is_strict_about_order_of_equal_places():
    entries = {"b": header.Entry("U8", (0,), 0, 0), "a": header.Entry("U8", (1,), 0, 1)}
    assert [name for name, _ in header.in_file_order(entries)] == ["b", "a"]


def test_folders_are_no_files(tmp_path):
    ad.io.save_file({"w": ad.ones(1)}, tmp_path / "w.safetensors")
    for read in (ad.load, ad.io.load_file, ad.io.safe_open):
        with pytest.raises(
            FileError, match=r"is a folder, not a file\n.*\n.*it holds w"
        ):
            read(tmp_path)


def test_texts_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    assert write_text(path, "old").read_text() == "old"

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    page = ad.plot.Page("new")
    for save in (page.save, ad.train.History().to_csv):
        with pytest.raises(OSError, match=r"No space left on device: '.*report\.html'"):
            save(path)
    assert os.listdir(tmp_path) == ["report.html"]
    assert path.read_text() == "old"
    monkeypatch.undo()
    assert write_text("/dev/null", "gone") == Path("/dev/null")
    with pytest.raises(RuntimeError, match="is not a regular file"):
        write_text(tmp_path, "x")
