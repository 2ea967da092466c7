"""Tensor: the face. Its operations are methods taken from `functional`; here is what it is."""

from __future__ import annotations

import math
import weakref

import numpy as np

from . import array_api, functional
from .autodiff import backward as reverse
from .autodiff.inplace import assign, in_place_of, shared
from .autodiff.modes import inferring
from .autodiff.node import Handle, Leaf, edge_of
from .autodiff.straight import viewed
from .autodiff.tape import BASE
from .autodiff.versions import versioned
from .autodiff.views import adopt, layout, refresh
from .core import dtype as dt
from .core.bind import Box, at_bottom, dtype_of, floor, moved, note_change
from .core.device import need_cpu
from .core.dtype import DType
from .core.primitive import op
from .core.shape import norm_dim, row_by_row
from .errors import (
    ArgumentError,
    ArgumentTypeError,
    DimError,
    DtypeError,
    GradError,
    TraceError,
    calling_site,
    in_our_words,
)
from .functional.face import (
    FUNCTIONS,
    METHODS,
    OPERANDS,
    need_operands,
    need_tensor,
    np_dtype,
)
from .functional.in_place import in_place
from .ir.instead import instead
from .printing import OPTIONS, show_array, with_suffixes


class Size(tuple):
    """A shape.

    >>> zeros(2, 3).shape.numel()
    6
    """

    __slots__ = ()

    def __repr__(self):
        return f"adjoint.Size({list(self)})"

    def numel(self) -> int:
        """How many elements a tensor of this shape has."""
        return math.prod(self)


class Tensor(Box):
    """An n-dimensional array that remembers how it was computed.

    >>> x = Tensor([1., 2.]).requires_grad_()
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    # What most tensors leave as it is; a tensor holds only `value` and what differs.
    node = None  # the place in the graph; None: nothing is recorded of it
    _grad = None
    version = None
    base, chain, seen, writes = None, (), 0, 0
    post_hooks = retainer = None
    inference = False
    name = None
    tangent = None
    detached = False  # a section shows that it is cut off
    __array_priority__ = 1000

    def __init__(self, *data, dtype=None, device=None):
        need_cpu(device)
        d = np_dtype(dtype) or dt.get_default_dtype().np
        if len(data) == 1 and isinstance(data[0], (list, tuple, np.ndarray, Box)):
            self.value = functional.creation.array_of(data[0], d)
        elif not data:
            self.value = np.zeros(0, d)
        else:
            self.value = np.zeros(functional.shapes.sizes(data), d)
        self.plain = True

    # ------------------------------------------------------------ what it is

    @property
    def shape(self) -> Size:
        """The sizes of the dims."""
        if self.plain:
            return Size(self.value.shape)
        shape, d = self.value.shape, self.__dict__.get("batch_dim")
        return Size(shape if d is None else (*shape[:d], *shape[d + 1 :]))

    @property
    def ndim(self) -> int:
        """How many dims."""
        n = self.value.ndim
        if self.plain:
            return n
        return n - 1 if self.__dict__.get("batch_dim") is not None else n

    dtype = property(lambda self: dt.BY_NUMPY[dtype_of(self)], doc="The element type.")
    device = property(lambda self: CPU, doc="Where the numbers are.")
    layout = property(lambda self: "strided")
    itemsize = property(lambda self: dtype_of(self).itemsize)
    nbytes = property(lambda self: self.numel() * self.itemsize)
    T = property(
        lambda self: viewed(op.permute, self, dims=tuple(range(self.ndim)[::-1]))
    )
    mT = property(lambda self: functional.grids.mT(self))
    H = property(lambda self: functional.grids.H(self))
    mH = property(lambda self: functional.grids.mH(self))
    real = property(
        lambda self: functional.complexes.real(self),
        lambda self, new: self.real.copy_(new),
        doc="The real part, a view that can be assigned.",
    )
    imag = property(
        lambda self: functional.complexes.imag(self),
        lambda self, new: self.imag.copy_(new),
        doc="The imaginary part, a view that can be assigned.",
    )
    is_cuda = is_sparse = is_quantized = is_meta = is_nested = is_mps = False
    is_cpu = True

    def size(self, dim=None):
        """The shape, or the size of one dim."""
        return self.shape if dim is None else self.shape[self._one_of_dims(dim)]

    def dim(self) -> int:
        """How many dims."""
        return self.ndim

    ndimension = dim

    def numel(self) -> int:
        """How many elements."""
        return self.shape.numel()

    nelement = numel

    def size_of(self) -> int:
        """How many elements, as the engine asks."""
        return self.shape.numel()

    def element_size(self) -> int:
        """Bytes of one element."""
        return self.itemsize

    def stride(self, dim=None):
        """Steps in memory, in elements."""
        steps = self._strides()
        return steps if dim is None else steps[self._one_of_dims(dim)]

    def _one_of_dims(self, dim) -> int:
        if not self.ndim:
            raise DimError(f"dim {dim} of a 0-d tensor, which has none")
        return norm_dim(dim, self.ndim)

    def _strides(self) -> tuple[int, ...]:
        value, d = self.value, self.__dict__.get("batch_dim")
        if isinstance(value, np.ndarray):
            steps = tuple(s // value.itemsize for s in value.strides)
        elif isinstance(value, Tensor):
            steps = value._strides()
        else:
            steps = tuple(s // dtype_of(self).itemsize for s in layout(self).strides)
        return steps if d is None else (*steps[:d], *steps[d + 1 :])

    def is_contiguous(self, memory_format=None) -> bool:
        """Whether the elements lie row by row without gaps."""
        value = self.value
        if isinstance(value, np.ndarray) and "batch_dim" not in self.__dict__:
            return value.flags.c_contiguous
        pairs = zip(self.shape, self._strides(), row_by_row(self.shape), strict=True)
        return not self.numel() or all(n == 1 or a == b for n, a, b in pairs)

    def contiguous(self, memory_format=None):
        """This tensor, copied only where its memory is not row by row."""
        value = self.value
        if not isinstance(at_bottom(value), np.ndarray):
            value = layout(self)
        if isinstance(value, np.ndarray) and value.flags.c_contiguous:
            return self
        return op.contiguous(self)

    def is_floating_point(self) -> bool:
        """Whether the dtype is floating."""
        return self.dtype.is_floating_point

    def is_complex(self) -> bool:
        """Whether the dtype is complex."""
        return self.dtype.is_complex

    def is_signed(self) -> bool:
        """Whether the dtype has negative numbers."""
        return self.dtype.is_signed

    def data_ptr(self) -> int:
        """The address of the first element."""
        return self.numpy_of().ctypes.data

    # ------------------------------------------------------------ its numbers

    def numpy_of(self) -> np.ndarray:
        """The array under all boxes, or the error for a value that is not there yet."""
        x = self
        while isinstance(x, Box):
            if x.__dict__.get("batch_dim") is not None:
                raise TraceError(
                    "this value is batched by vmap: its numbers are not single here",
                    hint=instead(calling_site()),
                )
            if not hasattr(x, "value"):
                raise TraceError(
                    "this value is traced: it has a shape and a dtype but no numbers yet",
                    hint=instead(calling_site()),
                )
            if type(x.value) is np.ndarray:
                floor.get().numbers(x)
            x = x.value
        return x

    def numpy(self, *, force=False) -> np.ndarray:
        """The numbers as an array on the same memory."""
        if self.requires_grad and not force:
            raise GradError(
                "Can't call numpy() on Tensor that requires grad",
                hint="use tensor.detach().numpy()",
            )
        return self.numpy_of()

    def __array__(self, dtype=None, copy=None):
        return np.array(self.numpy(), dtype, copy=copy)

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        """np.sin(x) is x.sin(); what has no name here is NumPy's work on the numbers."""
        f = FUNCTIONS.get(_UFUNCS.get(ufunc.__name__, ufunc.__name__))
        if f is not None and method == "__call__" and not kwargs:
            need_operands(f.__name__, inputs)
            return f(
                *(BASE.wrap(x) if isinstance(x, np.ndarray) else x for x in inputs)
            )
        outs = kwargs.get("out", ())
        if outs:
            kwargs["out"] = tuple(x.numpy() if isinstance(x, Box) else x for x in outs)
        inputs = (x.numpy() if isinstance(x, Box) else x for x in inputs)
        y = getattr(ufunc, method)(*inputs, **kwargs)
        if outs or y is None:
            return outs[0] if len(outs) == 1 else outs
        return tuple(map(BASE.wrap, y)) if isinstance(y, tuple) else BASE.wrap(y)

    def __array_namespace__(self, *, api_version=None):
        if api_version not in (None, array_api.__array_api_version__):
            raise ArgumentError(
                f"the array API is here in version {array_api.__array_api_version__}, "
                f"not {api_version}"
            )
        return array_api

    def to_device(self, device, /, *, stream=None):
        """This tensor on a device, as the array API asks."""
        return self.to(device=device)

    def __dlpack__(self, **kwargs):
        return self.numpy().__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return self.numpy_of().__dlpack_device__()

    def item(self):
        """The number of a tensor with one element."""
        if self.numel() != 1:
            raise ArgumentError(
                f"a Tensor with {self.numel()} elements cannot be converted to Scalar"
            )
        return self.numpy_of().item()

    def tolist(self):
        """The numbers as nested lists."""
        return self.numpy_of().tolist()

    def __bool__(self):
        if self.numel() != 1:
            raise ArgumentError(
                "Boolean value of Tensor with "
                + ("more than one value" if self.numel() else "no values")
                + " is ambiguous",
                hint="use .any() or .all()",
            )
        return bool(self.item())

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __complex__(self):
        return complex(self.item())

    def __index__(self):
        if dtype_of(self).kind not in "iub" or self.numel() != 1:
            raise ArgumentTypeError(
                "only integer tensors of a single element can be converted to an index"
            )
        return int(self.item())

    def __len__(self):
        if self.ndim == 0:
            raise ArgumentTypeError("len() of a 0-d tensor")
        return self.shape[0]

    def __iter__(self):
        if self.ndim == 0:
            raise ArgumentTypeError("iteration over a 0-d tensor")
        return iter(METHODS["unbind"](self))

    def __reversed__(self):
        return METHODS["flip"](self, (0,)) if self.ndim else self

    def __contains__(self, element):
        return bool(METHODS["eq"](self, element).any())

    def __hash__(self):
        return id(self)

    def __repr__(self, *, tensor_contents=None):
        return _show(self)

    def __format__(self, spec):
        traced = spec and not hasattr(at_bottom(self), "item")
        if self.ndim == 0 and (isinstance(self.value, np.ndarray) or traced):
            return format(self.item(), spec)
        return object.__format__(self, spec)

    def __copy__(self):
        """Another leaf on the same memory."""
        out = type(self).__new__(type(self))
        out.__dict__.update({k: v for k, v in vars(self).items() if k in _OWN})
        out.value, out.plain = self.value, self.plain and self.base is None
        out.version = versioned(self)
        return out.requires_grad_(self.requires_grad)

    def __deepcopy__(self, memo):
        if not self.is_leaf:
            raise GradError(
                "Only leaf Tensors support deepcopy: a result is part of a graph",
                hint="detach() first",
            )
        out = type(self).__new__(type(self))
        memo[id(self)] = out
        out.__dict__.update({k: v for k, v in vars(self).items() if k in _OWN})
        out.value, out.plain = _copied(self.numpy_of(), memo), True
        if self.requires_grad:
            out.requires_grad_()
        if self.grad is not None:
            out.grad = self.grad.detach().clone()
        return out

    def __reduce__(self):
        own = {k: v for k, v in vars(self).items() if k in _OWN}
        value = self.detach().numpy_of().copy(order="K")
        return (_rebuild, (type(self), value, self.requires_grad, own))

    # ------------------------------------------------------------ its derivative

    def sync(self) -> None:
        """Take the place in the graph that a write to the base has given this view."""
        if self.base is not None:
            refresh(self)

    @property
    def requires_grad(self) -> bool:
        """Whether a derivative with respect to it, or through it, can be asked for."""
        self.sync()
        return self.node is not None

    @requires_grad.setter
    def requires_grad(self, flag: bool):
        self.requires_grad_(flag)

    def requires_grad_(self, requires_grad: bool = True):
        """Make this leaf one that gradients arrive at (or no longer)."""
        if not isinstance(requires_grad, (bool, np.bool_)):
            raise ArgumentTypeError(
                "requires_grad_(): argument must be bool, not "
                f"{type(requires_grad).__name__}"
            )
        if not self.is_leaf:
            if not requires_grad:
                raise GradError(
                    "you can only change requires_grad flags of leaf variables",
                    hint="use detach()",
                )
            return self
        if (
            requires_grad
            and not self.dtype.is_floating_point
            and not self.dtype.is_complex
        ):
            raise DtypeError(
                "only Tensors of floating point and complex dtype can require gradients, "
                f"not {self.dtype}"
            )
        if requires_grad and self.inference and not inferring.get():
            raise GradError(
                "Setting requires_grad=True on inference tensor outside InferenceMode "
                "is not allowed",
                hint="clone() it first",
            )
        if requires_grad and self.node is None:
            self.node = Leaf(self)
            note_change()
            floor.get().begins(self)
        elif not requires_grad and self.node is not None:
            self.node = None
            note_change()
        return self

    @property
    def is_leaf(self) -> bool:
        """Not the recorded result of an operation."""
        self.sync()
        return self.node is None or type(self.node) is Leaf

    @property
    def grad_fn(self):
        """The node that computed it; None for a leaf."""
        self.sync()
        return (
            None
            if self.node is None or type(self.node) is Leaf
            else edge_of(self.node)[0]
        )

    @property
    def data(self):
        """The same memory, outside the graph."""
        return shared(self)

    @data.setter
    def data(self, new):
        if not isinstance(new, Box):
            raise ArgumentTypeError(
                f"data: has to be a Tensor, got {type(new).__name__}",
                hint="from_numpy(array) makes one of an array",
            )
        if self.requires_grad and dtype_of(new).kind not in "fVc":
            raise DtypeError(f"data: a tensor that requires grad cannot be {new.dtype}")
        floor.get().moves(self)
        floor.get().leaves(self, True)
        if new.level.depth > self.level.depth:
            adopt(self, in_place_of(self, new, True))
            return
        value = (new if new.level is self.level else self.level.own(new)).value
        self.value, self.plain = value, new.plain and self.base is None
        moved.value += 1

    _version = property(lambda self: 0 if self.version is None else self.version.n)
    _base = property(lambda self: self.base)
    output_nr = property(lambda self: 0 if self.node is None else self.node.pick or 0)

    def _is_view(self) -> bool:
        return self.base is not None

    def detach(self):
        """The same memory and version, outside the graph."""
        out = shared(self)
        out.version = versioned(self)
        return out

    def detach_(self):
        """Leave the graph."""
        if self.base is not None:
            raise GradError("Can't detach views in-place", hint="use detach() instead")
        self.node = None
        return self

    def backward(
        self, gradient=None, retain_graph=None, create_graph=False, inputs=None
    ):
        """Accumulate into `.grad` the gradients of this tensor with respect to the leaves."""
        reverse.backward(self, gradient, retain_graph, create_graph, inputs)

    @property
    def grad(self):
        """The gradient that `backward` accumulated; None before the first."""
        floor.get().read_grad(self)
        return self._grad

    @grad.setter
    def grad(self, g):
        if g is self:
            raise GradError("can't assign Variable as its own grad")
        if g is not None:
            _check_grad(self, g)
        floor.get().rebind(self)
        self._grad = g

    @grad.deleter
    def grad(self):
        self.grad = None

    def retain_grad(self) -> None:
        """Keep the gradient of this result in `.grad` too."""
        if not self.requires_grad:
            raise GradError("can't retain_grad on Tensor that has requires_grad=False")
        if self.is_leaf or self.retainer is not None:
            return
        self.retainer = self.register_hook(_Retainer(self))

    @property
    def retains_grad(self) -> bool:
        """Whether this is a result whose gradient is kept."""
        return self.retainer is not None

    def is_inference(self) -> bool:
        """Whether it was made under `inference_mode`."""
        return self.inference

    def register_hook(self, hook):
        """hook(grad) -> grad or None, when this tensor's gradient is complete."""
        if not self.requires_grad:
            raise GradError(
                "cannot register a hook on a tensor that doesn't require gradient"
            )
        node = self.node
        node.rare, node.prehooks = True, node.prehooks or {}
        return Handle(node.prehooks, hook)

    def register_post_accumulate_grad_hook(self, hook):
        """hook(tensor) after `.grad` of this leaf was updated."""
        if type(self.node) is not Leaf:
            raise GradError(
                "post accumulate grad hooks cannot be registered on non-leaf tensors"
            )
        self.post_hooks = self.post_hooks or {}
        return Handle(self.post_hooks, hook)

    # ------------------------------------------------------------ conversion

    def to(self, *args, dtype=None, device=None, copy=False, non_blocking=False):
        """This tensor in another dtype (or on another device).

        >>> tensor([1, 2]).to(float64), tensor([1.5]).to(tensor(0))
        (tensor([1., 2.], dtype=adjoint.float64), tensor([1]))
        """
        flags = []  # non_blocking, copy
        for a in args:
            if isinstance(a, (DType, np.dtype, type)):
                dtype = a
            elif isinstance(a, Tensor):
                dtype = a.dtype
            elif isinstance(a, bool):
                flags.append(a)
            elif isinstance(a, (str, int)):
                device = a
            elif a is not None:
                raise ArgumentTypeError(
                    f"to: expected a dtype, a device or a tensor, got {type(a).__name__}"
                )
        copy = copy or flags[1:] == [True]
        need_cpu(f"cuda:{device}" if isinstance(device, int) else device)
        d = np_dtype(dtype)
        if d is None or d == dtype_of(self):
            return METHODS["clone"](self) if copy else self
        return op.cast(self, dtype=d)

    def type(self, dtype=None):
        """The dtype's name, or this tensor in another dtype."""
        return f"adjoint.{self.dtype.name}" if dtype is None else self.to(dtype)

    def get_device(self) -> int:
        """The number of the GPU it is on; -1 for the CPU."""
        return -1

    def pin_memory(self, device=None):
        """This tensor: nothing is copied to a GPU."""
        return self

    def is_pinned(self, device=None) -> bool:
        """Whether its memory is held for copies to a GPU."""
        return False

    def storage_offset(self) -> int:
        """Where in its memory the first element is, in elements."""
        base, value = self.base, self.numpy_of()
        if base is None or not value.size:
            return 0
        first = base.numpy_of().__array_interface__["data"][0]
        return (value.__array_interface__["data"][0] - first) // value.itemsize

    def cuda(self, device=None, non_blocking=False, memory_format=None):
        """The error that says there is no GPU for eager tensors."""
        return self.to("cuda" if device is None else device)

    def share_memory_(self):
        """This tensor: its memory is this process's alone, which `fork` copies."""
        return self

    def is_shared(self) -> bool:
        """Whether its memory is shared with other processes."""
        return False

    def cpu(self):
        """This tensor: the CPU is where it is."""
        return self

    def type_as(self, other):
        """This tensor in the dtype of `other`."""
        return self.to(need_tensor(other, "type_as", "other").dtype)

    # ------------------------------------------------------------ writing

    def copy_(self, src, non_blocking=False):
        """Write `src`, broadcast and cast, into this tensor."""
        src = src if isinstance(src, Box) else FUNCTIONS["tensor"](src)
        if dtype_of(src) != dtype_of(self):
            src = op.cast(src, dtype=dtype_of(self))
        return assign(self, src, "copy_")

    def fill_(self, value):
        """Write one number everywhere."""
        return self.copy_(
            FUNCTIONS["full"]((), value, dtype=self.dtype)
            if not isinstance(value, Box)
            else value
        )

    def zero_(self):
        """Write zeros."""
        return self.fill_(0)

    __setitem__ = in_our_words(functional.indexing.set_item)


# NumPy's functions that have another name here.
_UFUNCS = {
    "conjugate": "conj",
    "degrees": "rad2deg",
    "equal": "eq",
    "fabs": "abs",
    "invert": "bitwise_not",
    "left_shift": "bitwise_left_shift",
    "power": "pow",
    "radians": "deg2rad",
    "right_shift": "bitwise_right_shift",
    "rint": "round",
}


class _Retainer:
    """The hook of retain_grad; refers to its tensor weakly, as the graph must."""

    last = True  # after the hooks that may replace the gradient

    def __init__(self, tensor):
        self.tensor = weakref.ref(tensor)

    def __call__(self, g):
        x = self.tensor()
        if x is not None:
            x._grad = g if x._grad is None else x._grad + g


def _check_grad(x, g):
    if not isinstance(g, Box):
        raise ArgumentTypeError(
            f"assigned grad expected to be a Tensor or None but got {type(g).__name__}"
        )
    if tuple(g.shape) != tuple(x.shape):
        raise GradError(
            f"assigned grad has data of a different size: {tuple(g.shape)}, the tensor "
            f"has {tuple(x.shape)}"
        )
    if dtype_of(g) != dtype_of(x):
        raise GradError(
            f"assigned grad has data of a different type: {g.dtype}, the tensor has {x.dtype}"
        )


class device(str):
    """A device by its name, such as "cpu", and number; only the CPU is here.

    >>> device("cpu"), device("cpu", 0) == device("cpu:0")
    (device(type='cpu'), True)
    """

    __slots__ = ()

    def __new__(cls, type, index: int | None = None):
        name = f"cuda:{type}" if isinstance(type, int) else str(type)
        name = name if index is None else f"{name}:{index}"
        need_cpu(name)
        kind, colon, number = name.partition(":")
        if colon and not number.isdecimal():
            raise ArgumentError(f"device: a number must follow {kind!r}, got {name!r}")
        return super().__new__(cls, name)

    @property
    def type(self) -> str:
        """The kind of device."""
        return self.partition(":")[0]

    @property
    def index(self) -> int | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Its number, if it was named by one."""
        number = self.partition(":")[2]
        return int(number) if number else None

    def __repr__(self):
        number = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{number})"

    def __enter__(self):
        """Inside, new tensors are on it: there is no other."""
        return self

    def __exit__(self, *_):
        pass


CPU = device("cpu")


def get_default_device() -> device:
    """The device that new tensors are on."""
    return CPU


_OWN = frozenset({"name", "persistent"})  # what a copy takes over


def _copied(value, memo):
    """A copy of an array; arrays that share memory go to shared copies, told by `memo`."""
    owner = value
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    if id(owner) not in memo:
        memo[id(owner)] = owner.copy(order="K")
    copy = memo[id(owner)]
    if owner is value:
        return copy
    if copy.strides != owner.strides or not owner.flags.forc:
        return value.copy(order="K")
    start = value.__array_interface__["data"][0] - owner.__array_interface__["data"][0]
    memory = copy.reshape(-1, order="A").view(np.uint8)
    return np.ndarray(value.shape, value.dtype, memory, start, value.strides)


def _rebuild(kind, value, requires_grad, own):
    out = kind.__new__(kind)
    out.__dict__.update(own)
    out.value, out.plain = value, True
    return out.requires_grad_(requires_grad)


def _show(x) -> str:
    value = x.value
    floor.get().shown(x)
    if not hasattr(at_bottom(x), "item"):
        return f"tensor(<traced>, shape={tuple(x.shape)}, dtype={x.dtype})"
    if not isinstance(value, np.ndarray):
        return f"{type(x).__name__}({value!r}, shape={list(x.shape)})"
    suffixes = []
    if not OPTIONS["edgeitems"] if value.size else value.ndim != 1:
        suffixes.append(f"size={value.shape}")
    if value.dtype not in _dtypes_not_shown(value.size):
        suffixes.append(f"dtype={x.dtype}")
    if x.grad_fn is not None:
        suffixes.append(f"grad_fn={x.grad_fn!r}")
    elif x.requires_grad:
        suffixes.append("requires_grad=True")
    start = "tensor("
    text = start + show_array(value, len(start))
    return with_suffixes(text, suffixes, len(start)) + ")"


def _dtypes_not_shown(size):
    """Those that `tensor` gives to the numbers as they are printed."""
    default = dt.get_default_dtype().np
    if not size:
        return (default,)
    return default, dt.to_complex(default), np.dtype("int64"), np.dtype(bool)


Box.face = Tensor


for _name, _f in METHODS.items():
    if _name not in Tensor.__dict__ or _name.startswith("__"):
        setattr(Tensor, _name, _f)


def _operator(name):
    """The function behind an operator: what is no number, Python asks next."""
    f = METHODS[name]

    def operate(self, other):
        return f(self, other) if isinstance(other, OPERANDS) else NotImplemented

    return functional.pointwise.OPERATORS.get(name, operate)


def _swapped(f):
    def operate(self, other):
        return f(other, self) if isinstance(other, OPERANDS) else NotImplemented

    return operate


def _assigning(name, f):
    write = in_place(f"{name}_", f)

    def operate(self, other):
        return write(self, other) if isinstance(other, OPERANDS) else NotImplemented

    return operate


for _dunder, _name in {
    "add": "add",
    "sub": "sub",
    "mul": "mul",
    "truediv": "div",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "pow": "pow",
    "matmul": "matmul",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
    "lshift": "bitwise_left_shift",
    "rshift": "bitwise_right_shift",
}.items():
    if _name not in METHODS:
        continue
    _f = _operator(_name)
    setattr(Tensor, f"__{_dunder}__", _f)
    setattr(Tensor, f"__r{_dunder}__", _swapped(_f))
    setattr(Tensor, f"__i{_dunder}__", _assigning(_name, _f))


_product = METHODS["matmul"]


def _product_of_arrays(a, b):
    """Beside a tensor, `@` takes NumPy's arrays too."""
    return _product(*(BASE.wrap(x) if isinstance(x, np.ndarray) else x for x in (a, b)))


def _matmul(self, other):
    if isinstance(other, Box):
        return _product(self, other)
    return (
        _product_of_arrays(self, other)
        if isinstance(other, OPERANDS)
        else NotImplemented
    )


Tensor.__matmul__ = _matmul
Tensor.__rmatmul__ = _swapped(_product_of_arrays)


for _dunder in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Tensor, f"__{_dunder}__", _operator(_dunder))
for _dunder in ("neg", "abs"):
    setattr(Tensor, f"__{_dunder}__", METHODS[_dunder])
Tensor.__pos__ = METHODS["positive"]
if "bitwise_not" in METHODS:
    Tensor.__invert__ = METHODS["bitwise_not"]


def _converter(name, target):
    def convert(self):
        return self.to(dt.BY_NAME[target])

    convert.__name__ = convert.__qualname__ = name
    convert.__doc__ = f"This tensor in dtype {target}."
    return convert


for _name, _target in {
    "bool": "bool",
    "byte": "uint8",
    "char": "int8",
    "short": "int16",
    "int": "int32",
    "long": "int64",
    "half": "float16",
    "bfloat16": "bfloat16",
    "float": "float32",
    "double": "float64",
    "cfloat": "complex64",
    "cdouble": "complex128",
}.items():
    setattr(Tensor, _name, _converter(_name, _target))

__all__ = ["Size", "Tensor", "device", "get_default_device"]
