"""Tensor: the face. Its operations are methods taken from `functional`; here is what it is."""

from __future__ import annotations

import numpy as np

from . import array_api, functional
from .autodiff import gradients
from .autodiff.arrivals import Retainer
from .autodiff.inplace import assign, in_place_of, shared
from .autodiff.modes import inferring
from .autodiff.node import Handle, Leaf, edge_of
from .autodiff.straight import viewed
from .autodiff.versions import versioned
from .autodiff.views import adopt, layout, refresh
from .core import dtype as dt
from .core.bind import NUMPY, Box, at_bottom, dtype_of, floor, moved, note_change
from .core.device import CPU, device, get_default_device, need_cpu
from .core.dtype import DType
from .core.memory import address, copied
from .core.primitive import op
from .core.shape import Size, norm_dim, row_by_row
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
    need_tensor,
    np_dtype,
)
from .ir.instead import instead


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
    watched = False  # a program is right for its place in the graph alone
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

    __array_ufunc__ = functional.ufuncs.array_ufunc

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
        return functional.showing.shown(self)

    def __format__(self, spec):
        traced = spec and not hasattr(at_bottom(self), "item")
        if self.ndim == 0 and (isinstance(self.value, np.ndarray) or traced):
            return format(self.item(), spec)
        return object.__format__(self, spec)

    def __copy__(self):
        """Another leaf on the same memory."""
        out = object.__new__(self.__class__)
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
        out = object.__new__(self.__class__)
        memo[id(self)] = out
        out.__dict__.update({k: v for k, v in vars(self).items() if k in _OWN})
        out.value = self._copied_memory(memo)
        out.plain = type(out.value) is np.ndarray
        if self.requires_grad:
            out.requires_grad_()
        if self.grad is not None:
            out.grad = self.grad.detach().clone()
        return out

    def _copied_memory(self, memo):
        """Its numbers in other memory; in a program that is written, an operation of it."""
        if floor.get() is NUMPY or self.level is not Box.level:
            return copied(self.numpy_of(), memo)
        return self.detach().clone().value

    def __reduce__(self):
        own = {k: v for k, v in vars(self).items() if k in _OWN}
        value = self.detach().numpy_of().copy(order="K")
        return (_rebuild, (self.__class__, value, self.requires_grad, own))

    # ------------------------------------------------------------ its derivative

    def sync(self) -> None:
        """Take the place in the graph that a write to the base has given this view."""
        if self.base is not None:
            refresh(self)

    def _place(self):
        """Its place in the graph, for Python to look at."""
        if self.base is not None:
            refresh(self)
        if floor.get() is not NUMPY:
            floor.get().places(self)
        return self.node

    @property
    def requires_grad(self) -> bool:
        """Whether a derivative with respect to it, or through it, can be asked for."""
        return self._place() is not None

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
        floor.get().marks(self)
        if requires_grad:
            _need_gradable(self)
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
        node = self._place()
        return node is None or (type(node) is Leaf and not node.outer)

    @property
    def grad_fn(self):
        """The node that computed it; None for a leaf."""
        return None if self.is_leaf else edge_of(self.node)[0]

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
        floor.get().moves(self, new)
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
        if self.watched:
            note_change()
        self.node = None
        return self

    def backward(
        self, gradient=None, retain_graph=None, create_graph=False, inputs=None
    ):
        """Accumulate into `.grad` the gradients of this tensor with respect to the leaves."""
        gradients.backward(self, gradient, retain_graph, create_graph, inputs)

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
        self.retainer = self.register_hook(Retainer(self))

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
        dtype, device, copied = _destination(args, dtype, device)
        if device is not None:
            need_cpu(f"cuda:{device}" if isinstance(device, int) else device)
        d = np_dtype(dtype)
        if d is None or d == dtype_of(self):
            return METHODS["clone"](self) if copy or copied else self
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
        return (address(value) - address(base.numpy_of())) // value.itemsize

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
        return self._copied(src, "copy_")

    def _copied(self, src, name):
        if dtype_of(src) != dtype_of(self):
            src = op.cast(src, dtype=dtype_of(self))
        return assign(self, src, name)

    def fill_(self, value):
        """Write one number everywhere."""
        return self._filled(value, "fill_")

    def _filled(self, value, name):
        if not isinstance(value, Box):
            value = FUNCTIONS["full"]((), value, dtype=self.dtype)
        return self._copied(value, name)

    def zero_(self):
        """Write zeros."""
        return self._filled(0, "zero_")

    __setitem__ = in_our_words(functional.indexing.set_item)


def _destination(args, dtype, device):
    """(dtype, device, whether to copy) of the arguments of `to`, told apart by their kinds."""
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
    return dtype, device, flags[1:] == [True]


def _need_gradable(x):
    """The error for a tensor at which no gradient can arrive."""
    if not (x.dtype.is_floating_point or x.dtype.is_complex):
        raise DtypeError(
            "only Tensors of floating point and complex dtype can require gradients, "
            f"not {x.dtype}"
        )
    if x.inference and not inferring.get():
        raise GradError(
            "Setting requires_grad=True on inference tensor outside InferenceMode "
            "is not allowed",
            hint="clone() it first",
        )


def _check_grad(x, g):
    """The error for what cannot be the gradient of `x`."""
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


_OWN = frozenset({"name", "persistent"})  # what a copy takes over


def _rebuild(kind, value, requires_grad, own):
    out = kind.__new__(kind)
    out.__dict__.update(own)
    out.value, out.plain = value, True
    return out.requires_grad_(requires_grad)


Box.face = Tensor


for _name, _f in METHODS.items():
    if _name not in Tensor.__dict__ or _name.startswith("__"):
        setattr(Tensor, _name, _f)
for _name, _f in (
    functional.operators.OPERATORS | functional.dtypes.CONVERSIONS
).items():
    setattr(Tensor, _name, _f)


__all__ = ["Size", "Tensor", "device", "get_default_device"]
