"""CSV, data frames, .npz and IDX files: what they become, and what is wrong with them where."""

import gzip
import io
import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import adjoint as ad
from adjoint import data
from adjoint.errors import ArgumentError, ArgumentTypeError, FileError


def table(text, *args, **kw):
    return data.from_csv(io.StringIO(text), *args, **kw)


def columns(rows):
    return [x.tolist() for x in rows.tensors]


IRIS = "length,width,kind\n5.1,3.5,setosa\n7.0,3.2,virginica\n6.4,,setosa\n"


# ---------------------------------------------------------------- CSV


def test_targets():
    text = "a,b,c\n1,2,0\n3,4.5,1\n"
    rows = table(text)
    assert columns(rows) == [[[1, 2, 0], [3, 4.5, 1]]] and rows.features == [*"abc"]
    rows = table(text, target="c")
    assert columns(rows) == [[[1, 2], [3, 4.5]], [0, 1]]
    assert rows.tensors[1].dtype is ad.int64 and rows.target == "c"
    values = table(text, target=1)
    assert columns(values) == [[[1, 0], [3, 1]], [2, 4.5]]
    assert values.tensors[1].dtype is ad.float32
    both = table(text, target=["b", -1], dtype=ad.float64)
    assert columns(both) == [[[1], [3]], [[2, 0], [4.5, 1]]]
    assert both.tensors[0].dtype is both.tensors[1].dtype is ad.float64
    chosen = table(text, "c", columns=["b"])
    assert columns(chosen) == [[[2], [4.5]], [0, 1]]


def test_texts_become_classes():
    rows = table(IRIS, "kind", missing=0)
    assert rows.classes == ["setosa", "virginica"]
    assert rows.tensors[1].tolist() == [0, 1, 0] and rows.tensors[0][2, 1] == 0
    assert math.isnan(table(IRIS, "kind", missing=math.nan).tensors[0][2, 1])
    assert "classes ['setosa', 'virginica']" in repr(rows)


def test_headers_delimiters_quotes_and_packing(tmp_path):
    assert columns(table("1,2\n3,4\n")) == [[[1, 2], [3, 4]]]
    assert table("1,2\n").features == ["0", "1"]
    assert table("1,2\n3,4\n", header=True).features == ["1", "2"]
    assert columns(table("a;b\n1;2\n", delimiter=";")) == [[[1, 2]]]
    quoted = table('"a, b",c\n"1","x\ny"\n2,z\n', "c")
    assert quoted.features == ["a, b"] and quoted.classes == ["x\ny", "z"]
    assert columns(table(" a , b \n 1 ,\t2\n\n3,4\n\n")) == [[[1, 2], [3, 4]]]
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress("\ufeffä,b\n1,2\n".encode()))
    assert data.from_csv(path).features == ["ä", "b"]
    plain = tmp_path / "x.csv"
    plain.write_bytes("ä,b\n1,2\n".encode("latin-1"))
    assert data.from_csv(str(plain), encoding="latin-1").features == ["ä", "b"]


@pytest.mark.parametrize(
    "text,kw,message",
    [
        ("", {}, "file is empty"),
        ("a,b\n", {}, "header and no rows"),
        ("a,b\n1,2\n\n3\n", {}, "line 4: 1 cells, the header has 2"),
        ("1,2\n3,4,5\n", {}, "line 2: 3 cells, the first row has 2"),
        ("a,b\n1,2\n3,x7\n", {}, "line 3, column 'b': 'x7' is not a number"),
        ('a,b\n1,2\n"3","4\n5"\n6,x\n', {}, "line 5, column 'b': 'x'|'4.n5' is not"),
        ("a;b\n1;2\n", {}, r"'1;2' is not a number(.|\n)*delimiter=';'\?"),
        ("a,b\n1,\n", {}, r"line 2, column 'b': the cell is empty(.|\n)*hint: missing"),
        ("a,b\n1, NA \n", {}, r"the cell is empty \(' NA '\)"),
        ("a,b\n1,x\n2,\n", {"target": "b"}, "line 3, column 'b': the cell is empty"),
        ("a,b\n1,x\n2,?\n", {"target": "b", "missing": 0}, "a class is missing"),
        ("a,b\n1,x\n2,3\n", {"target": "b"}, "line 2, column 'b': 'x' is not a number"),
        ('a,b\n1,"2\n', {}, "line 2 or after it: unexpected end of data"),
    ],
)
def test_what_is_wrong_and_where(text, kw, message):
    with pytest.raises(FileError, match=message):
        table(text, **kw)


def test_columns_that_are_not_there():
    with pytest.raises(ArgumentError, match=r"no column 'z'(.|\n)*the table has a, b"):
        table("a,b\n1,2\n", target="z")
    with pytest.raises(ArgumentError, match="columns: there is no column 2, the table"):
        table("a,b\n1,2\n", columns=[2])
    with pytest.raises(ArgumentError, match="no column is left"):
        table("a\n1\n", target="a")


def test_files_that_are_no_csv(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"a,b\n\xff\xfe,1\n")
    with pytest.raises(FileError, match=r"x.csv: .*not utf-8(.|\n)*latin-1"):
        data.from_csv(path)
    broken = tmp_path / "x.csv.gz"
    broken.write_bytes(gzip.compress(b"a,b\n1,2\n")[:-6])
    with pytest.raises(FileError, match="end-of-stream"):
        data.from_csv(broken)
    with pytest.raises(FileNotFoundError):
        data.from_csv(tmp_path / "none.csv")


cells = st.sampled_from(
    ["1", "-2.5", "1e3", "x", "", "NA", '"', "a b", "0", "\n", "\0"]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(cells, min_size=1, max_size=3), max_size=4), st.booleans())
def test_any_text_is_a_table_or_our_error(rows, with_target):
    text = "\n".join(",".join(r) for r in rows)
    try:
        made = table(text, target=-1 if with_target else None)
    except ad.errors.AdjointError:
        return
    assert len(made) and made.tensors[0].isfinite().all()


# ---------------------------------------------------------------- data frames


class Column:
    def __init__(self, values):
        self.values = values

    def to_numpy(self):
        return self.values


class Frame(dict):
    """What pandas and polars have in common."""

    def __init__(self, **columns):
        super().__init__({k: Column(np.asarray(v)) for k, v in columns.items()})

    columns = property(lambda self: list(self))


def test_frames():
    frame = Frame(a=[1, 2], b=[0.5, 1.5], kind=np.array(["x", "y"], object))
    rows = data.from_frame(frame, "kind")
    assert columns(rows) == [[[1, 0.5], [2, 1.5]], [0, 1]]
    assert rows.classes == ["x", "y"] and rows.features == ["a", "b"]
    labels = data.from_frame(Frame(a=[1.0], y=np.array([3], object)), "y")
    assert columns(labels) == [[[1]], [3]]
    with pytest.raises(FileError, match="row 1, column 'b': the cell is empty"):
        data.from_frame(Frame(a=[1, 2], b=[1, math.nan]))
    with pytest.raises(FileError, match=r"row 0, column 'b': 'q' is not a number"):
        data.from_frame(Frame(a=[1], b=["q"]))
    with pytest.raises(ArgumentTypeError, match="expected a data frame, got list"):
        data.from_frame([1, 2])
    with pytest.raises(ArgumentError, match="several columns 'a'"):
        data.from_frame(Frame(a=[[1, 2]]))


def test_pandas_frames():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": [1, 2], "b": pd.array([1, None], "Int64")})
    frame["kind"] = pd.Categorical(["u", "v"])
    rows = data.from_frame(frame, "kind", missing=-1)
    assert columns(rows) == [[[1, 1], [2, -1]], [0, 1]]
    with pytest.raises(FileError, match="row 1, column 'b': the cell is empty"):
        data.from_frame(frame, "kind")
    rows = data.TensorDataset(frame[["a"]], frame["a"])
    assert columns(rows) == [[[1], [2]], [1, 2]]


# ---------------------------------------------------------------- .npz


def test_npz(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, x=np.ones((3, 2)), y=np.arange(3), z=np.zeros(4), s=np.array(["a"]))
    rows = data.from_npz(path, "x", "y")
    assert len(rows) == 3 and rows[1][1].item() == 1
    assert list(data.read_npz(path)) == ["x", "y", "z", "s"]
    with pytest.raises(ArgumentError, match=r"no array 'w'(.|\n)*it has x, y, z, s"):
        data.from_npz(path, "w")
    with pytest.raises(ArgumentError, match=r"differ in length: .*'z': \[4\]"):
        data.from_npz(path)
    with pytest.raises(FileError, match=r"array 's' of <U1"):
        data.from_npz(path, "s")


def test_files_that_are_no_npz(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, x=np.array([{}]))
    with pytest.raises(FileError, match="Object arrays cannot be loaded"):
        data.from_npz(path)
    for raw in (b"", b"PK\3\4 nonsense", b"text", b"\x80\4N."):
        path.write_bytes(raw)
        with pytest.raises(FileError, match=r"x\.npz"):
            data.from_npz(path)
    np.save(tmp_path / "x.npy", np.ones(3))
    with pytest.raises(FileError, match="single array"):
        data.from_npz(tmp_path / "x.npy")
    with pytest.raises(FileNotFoundError):
        data.from_npz(tmp_path / "none")


# ---------------------------------------------------------------- IDX


@pytest.mark.parametrize("name", ["x.idx", "x.idx.gz"])
@pytest.mark.parametrize("d", ["uint8", "int8", "int16", "int32", "float32", "float64"])
def test_idx_round_trip(tmp_path, name, d):
    path = tmp_path / name
    for shape in ((), (3,), (2, 0), (2, 3, 4)):
        x = (np.random.default_rng(0).random(shape) * 100).astype(d)
        data.write_idx(path, x)
        back = data.read_idx(path)
        assert back.dtype is getattr(ad, d) and back.shape == shape
        assert np.array_equal(back.numpy(), x)
        back += 1
    with pytest.raises(ArgumentTypeError, match="the format has no int64"):
        data.write_idx(path, ad.arange(3))


def test_the_bytes_of_idx(tmp_path):
    path = tmp_path / "x"
    data.write_idx(path, np.array([[1, -2]], np.int16))
    raw = bytes([0, 0, 0x0B, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 0xFF, 0xFE])
    assert path.read_bytes() == raw


def idx(kind=8, shape=(2,), body=b"ab"):
    return struct.pack(f">HBB{len(shape)}I", 0, kind, len(shape), *shape) + body


@pytest.mark.parametrize(
    "raw,text",
    [
        (b"", "not an IDX file: it begins with b''"),
        (b"\0\1\x08\1", "not an IDX file"),
        (idx(7), "not an IDX file"),
        (b"\0\0\x08\3\0\0", "ends within its header of 3 dims"),
        (b"\0\0\x08\xff" + b"\0" * 1020, "header of 255 dims"),
        (idx(body=b"a"), r"says \[2\] numbers of 1 bytes.*(has 9|only 1)"),
        (idx(body=b"abc"), r"(has 11|has more)"),
        (idx(shape=(2**32 - 1,) * 8), "4294967295"),
    ],
)
def test_hostile_idx_files(tmp_path, raw, text):
    path = tmp_path / "x"
    for content in (raw, gzip.compress(raw)):
        path.write_bytes(content)
        with pytest.raises(FileError, match=text):
            data.read_idx(path)
    path.write_bytes(gzip.compress(idx())[:-3])
    with pytest.raises(FileError, match="end-of-stream"):
        data.read_idx(path)


def test_mnist_pairs(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28)).astype(np.uint8)
    data.write_idx(tmp_path / "x.gz", images)
    data.write_idx(tmp_path / "y", np.arange(5, dtype=np.uint8))
    rows = data.from_idx(tmp_path / "x.gz", tmp_path / "y")
    x, y = rows.tensors
    assert x.shape == (5, 1, 28, 28) and y.dtype is ad.int64
    assert np.allclose(x.numpy()[:, 0] * 255, images)
    assert len(data.from_idx(tmp_path / "x.gz")[0]) == 1
    with pytest.raises(FileError, match="images are uint8"):
        data.from_idx(tmp_path / "y")
    data.write_idx(tmp_path / "y", np.arange(4, dtype=np.uint8))
    with pytest.raises(
        FileError, match=r"5 images need as many labels, these are \[4\]"
    ):
        data.from_idx(tmp_path / "x.gz", tmp_path / "y")
