"""Files of arrays: `.npz`, and IDX, the format of MNIST."""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from typing import Any

import numpy as np

from ..core.bind import Box
from ..core.dtype import get_default_dtype
from ..errors import ArgumentError, ArgumentTypeError, FileError
from ..functional.face import FUNCTIONS
from .dataset import TensorDataset

# ---------------------------------------------------------------- .npz


def from_npz(path, *names: str) -> TensorDataset:
    """Arrays of a `.npz` file, by name or all in the file's order, as a dataset of their rows.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/data.npz"
    >>> np.savez(path, x=np.ones((3, 2), np.float32), y=np.arange(3))
    >>> from_npz(path, "x", "y")[2]
    (tensor([1., 1.]), tensor(2))
    """
    arrays = read_npz(path)
    for name in names:
        if name not in arrays:
            raise ArgumentError(
                f"{path} has no array {name!r}", hint=f"it has {', '.join(arrays)}"
            )
    chosen = {name: arrays[name] for name in names or arrays}
    shapes = {name: list(a.shape) for name, a in chosen.items()}
    if not chosen or len({s[0] if s else None for s in shapes.values()}) > 1:
        raise ArgumentError(
            f"{path}: the arrays differ in length: {shapes}",
            hint='name those that belong together: from_npz(path, "x_train", "y_train")',
        )
    return TensorDataset(*(_named_tensor(path, n, a) for n, a in chosen.items()))


def read_npz(path) -> dict[str, np.ndarray]:
    """The arrays of a `.npz` file by name; nothing is unpickled."""
    with open(path, "rb") as file:
        first = file.read(6)
        if not first.startswith((b"PK", b"\x93NUMPY", b"\x80")):
            raise FileError(f"{path} is no .npz file: it begins with {first!r}")
        file.seek(0)
        try:
            return _arrays_of(np.load(file, allow_pickle=False))
        except Exception as error:  # zipfile, zlib and NumPy's own parser have many
            raise FileError(f"{path}: {error}", hint=_hint(error)) from error


def _arrays_of(loaded) -> dict[str, np.ndarray]:
    if isinstance(loaded, np.ndarray):
        raise ValueError("the file holds a single array, which numpy.load reads")
    with loaded:
        return {name: loaded[name] for name in loaded.files}


def _hint(error: Exception) -> str:
    if "Object arrays" in str(error) or "pickle" in str(error):
        return "pickled objects could run any code: save arrays of numbers"
    return ""


def _named_tensor(path, name: str, a: np.ndarray):
    try:
        return FUNCTIONS["from_numpy"](np.ascontiguousarray(a))
    except TypeError as error:
        raise FileError(f"{path}: array {name!r} of {a.dtype}: {error}") from None


# ---------------------------------------------------------------- IDX

# the third byte of the file -> dtype of the numbers, big-endian
_IDX = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_CHUNK = 1 << 20


def read_idx(path):
    """The tensor in an IDX file, plain or gzipped, such as `train-images-idx3-ubyte.gz`.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/digits.idx"
    >>> write_idx(path, tensor([[1, 2], [3, 4]], dtype=uint8))
    >>> read_idx(path)
    tensor([[1, 2],
            [3, 4]], dtype=adjoint.uint8)
    """
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    try:
        with (gzip.open if packed else open)(path, "rb") as file:
            return _read_idx(path, file, None if packed else os.path.getsize(path))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise FileError(f"{path}: {error}") from None


def _read_idx(path, file: Any, total: int | None):
    d, shape = _idx_header(path, file)
    need = math.prod(shape) * d.itemsize
    begin = 4 + 4 * len(shape)
    if total is not None and total != begin + need:
        raise FileError(
            f"{path}: the header says {list(shape)} numbers of {d.itemsize} bytes, "
            f"{begin + need} bytes with itself; the file has {total}"
        )
    data = _at_most(file, need + 1)
    if len(data) != need:
        more = "more" if len(data) > need else f"only {len(data)}"
        raise FileError(
            f"{path}: the header says {list(shape)} numbers of {d.itemsize} bytes, "
            f"{need} together; the file has {more}"
        )
    a = np.frombuffer(data, d).reshape(shape)
    return FUNCTIONS["from_numpy"](a.astype(d.newbyteorder("=")))


def _idx_header(path, file) -> tuple[np.dtype, tuple[int, ...]]:
    head = file.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _IDX:
        raise FileError(
            f"{path} is not an IDX file: it begins with {head!r}, expected two zero bytes "
            f"and one of {[hex(k) for k in _IDX]}"
        )
    raw = file.read(4 * head[3])
    if len(raw) < 4 * head[3] or head[3] > 32:
        raise FileError(f"{path}: the file ends within its header of {head[3]} dims")
    return np.dtype(_IDX[head[2]]), struct.unpack(f">{head[3]}I", raw)


def _at_most(file, n: int) -> bytearray:
    """Up to n bytes: memory grows with what is there, not with what a header claims."""
    data = bytearray()
    while len(data) < n and (part := file.read(min(_CHUNK, n - len(data)))):
        data += part
    return data


def write_idx(path, x) -> None:
    """Write a tensor or an array as an IDX file; gzipped where the name ends in .gz."""
    a = np.asarray(x.detach().numpy() if isinstance(x, Box) else x)
    codes = {np.dtype(d).newbyteorder("="): code for code, d in _IDX.items()}
    if a.dtype not in codes:
        raise ArgumentTypeError(
            f"write_idx: the format has no {a.dtype}",
            hint=f"it has {', '.join(d.name for d in codes)}",
        )
    head = struct.pack(f">HBB{a.ndim}I", 0, codes[a.dtype], a.ndim, *a.shape)
    with (gzip.open if os.fspath(path).endswith(".gz") else open)(path, "wb") as file:
        file.write(head + a.astype(_IDX[codes[a.dtype]]).tobytes())


def from_idx(images, labels=None) -> TensorDataset:
    """A pair of IDX files, as MNIST comes: images [n, 1, rows, columns] from 0 to 1, int64 labels.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> write_idx(folder + "/x.gz", np.full((2, 1, 3), 255, np.uint8))
    >>> write_idx(folder + "/y", np.array([7, 2], np.uint8))
    >>> from_idx(folder + "/x.gz", folder + "/y")[0]
    (tensor([[[1., 1., 1.]]]), tensor(7))
    """
    x = read_idx(images)
    if x.ndim != 3 or str(x.dtype) != "adjoint.uint8":
        raise FileError(
            f"{images}: images are uint8 [n, rows, columns], this is "
            f"{x.dtype.name} {list(x.shape)}",
            hint="read_idx gives any IDX file as a tensor",
        )
    x = x.unsqueeze(1).to(get_default_dtype()) / 255
    if labels is None:
        return TensorDataset(x)
    y = read_idx(labels)
    if tuple(y.shape) != (len(x),):
        raise FileError(
            f"{labels}: {len(x)} images need as many labels, these are {list(y.shape)}"
        )
    return TensorDataset(x, y.long())
