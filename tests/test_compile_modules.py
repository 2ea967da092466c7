"""Every module in a training step: compiled it does what it does as it is written.

The layers, losses and their options are those of the tables that are compared with PyTorch.
Each step goes forward and backward and changes the parameters; results, gradients, parameters
and buffers are compared. `ADJOINT_FUZZ`, as in `make fuzz`, asks for all sizes, dtypes and modes.
"""

import copy
import os

import numpy as np
import pytest

import adjoint as ad
from adjoint import compile, nn, optim
from adjoint.core import tree
from test_nn_layers import CASES, INTS, Case, numbers
from test_nn_lazy import CASES as LAZY
from test_nn_losses import OWN, PAIRS

ALL = "ADJOINT_FUZZ" in os.environ
STEPS = 3

SEQUENCE, TWO = (5, 2, 4), [((5, 2, 4), (3, 2, 4))]
SMALL = {"d_model": 4, "nhead": 2, "dim_feedforward": 8}
BLOCKS = [
    nn.TransformerEncoderLayer(**SMALL, dropout=0.2),
    nn.TransformerDecoderLayer(**SMALL, norm_first=True),
]


class Parts(nn.Module):
    """Modules and parameters in containers."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4, bias=False)])
        self.named = nn.ModuleDict({"act": nn.PReLU(), "norm": nn.BatchNorm1d(4)})
        self.scales = nn.ParameterList([ad.ones(4), ad.full((1,), 0.5)])
        self.shifts = nn.ParameterDict({"one": nn.Parameter(ad.zeros(4))})

    def forward(self, x):
        """All of them, one after the other."""
        for layer, scale in zip(self.layers, self.scales, strict=True):
            x = self.named["act"](layer(x) * scale + self.shifts["one"])
        return self.named["norm"](x)


class Assembled(Case):
    """`Parts` beside the layers of the package."""

    def build(self, lib):
        return Parts()


NETWORKS = [
    *(
        Case(name, 4, 3, inputs=[SEQUENCE], **options)
        for name in ("RNN", "LSTM", "GRU")
        for options in (
            {},
            {"num_layers": 2, "bidirectional": True, "batch_first": True},
            {"bias": False},
            {"num_layers": 2, "dropout": 0.3},
        )
    ),
    Case("LSTM", 4, 3, proj_size=2, inputs=[SEQUENCE]),
    Case("RNN", 4, 3, nonlinearity="relu", inputs=[SEQUENCE]),
    Case("RNNCell", 4, 3, inputs=[((2, 4), (2, 3))]),
    Case("RNNCell", 4, 3, nonlinearity="relu", bias=False, inputs=[(2, 4)]),
    Case("GRUCell", 4, 3, inputs=[((2, 4), (2, 3))]),
    Case("LSTMCell", 4, 3, inputs=[(2, 4)]),
    *(
        Case("MultiheadAttention", 4, 2, inputs=[(SEQUENCE,) * 3], **options)
        for options in (
            {},
            {"bias": False, "batch_first": True},
            {"add_bias_kv": True, "add_zero_attn": True},
            {"dropout": 0.3},
        )
    ),
    Case(
        "MultiheadAttention",
        4,
        2,
        kdim=3,
        vdim=5,
        inputs=[(SEQUENCE, (3, 2, 3), (3, 2, 5))],
    ),
    *(
        Case("TransformerEncoderLayer", inputs=[SEQUENCE], **SMALL, **options)
        for options in (
            {},
            {"norm_first": True, "activation": "gelu", "dropout": 0.0},
            {"bias": False, "batch_first": True},
        )
    ),
    Case("TransformerDecoderLayer", inputs=TWO, **SMALL),
    Case("TransformerEncoder", BLOCKS[0], 2, inputs=[SEQUENCE]),
    Case("TransformerDecoder", BLOCKS[1], 2, nn.LayerNorm(4), inputs=TWO),
    Case("Transformer", 4, 2, 1, 1, 8, inputs=TWO),
    Case("Embedding", 10, 3, max_norm=1.0, inputs=[(INTS,)]),
    Case("Sequential", nn.Linear(3, 4), nn.Tanh(), inputs=[(2, 3)]),
    Case("DataParallel", nn.Linear(3, 4), inputs=[(2, 3)]),
    Case("SyncBatchNorm", 3, inputs=[(4, 3)]),
    Assembled("Parts", inputs=[(5, 4)]),
    *(Case(f"Lazy{name}", *args, inputs=[x]) for name, args, x, _ in LAZY),
]
KEPT_IN_PARTS = {"ModuleList", "ModuleDict", "ParameterList", "ParameterDict"}
BASES = {"Module", "RNNBase", "RNNCellBase", "NLLLoss2d"}
LAYERS = [*CASES, *NETWORKS]
LOSSES = [*PAIRS, *OWN]
# What in evaluation is another computation.
MODAL = [
    "Norm",
    "Dropout",
    "RReLU",
    "Fractional",
    "LSTM",
    "GRU",
    "RNN",
    "Attention",
    "Transformer",
    "Parts",
]


def trained(net, call, arrays, wrap):
    """What is seen in some steps of training: results, gradients, parameters, buffers."""
    ad.manual_seed(0)
    weights = list(net.parameters())
    lazy = any(nn.parameter.is_lazy(p) for p in weights)
    opt = optim.SGD(weights, lr=0.05, momentum=0.9) if weights and not lazy else None

    @wrap
    def step(*xs):
        net.zero_grad()
        xs = [x.requires_grad_() if x.is_floating_point() else x for x in xs]
        y = call(net, *(x * 1 if x.requires_grad else x for x in xs))
        ys = [v for v in tree.flatten(y)[0] if isinstance(v, ad.Tensor)]
        moving = [v for v in ys if v.requires_grad]
        if moving:
            sum((v.tanh() + v / 4).mean() for v in moving).backward()
        if opt:
            opt.step()
        return [v.detach() for v in ys] + [x.grad for x in xs if x.requires_grad]

    seen: list = []
    for k in range(STEPS):
        xs = [ad.tensor(a) for a in arrays]
        xs = [x * (1 - k / 8) if x.is_floating_point() else x for x in xs]
        seen.append(step(*xs))
        seen.append([x.detach().clone() for x in net.state_dict().values()])
        grads = [(p, p.grad) for p in net.parameters()]  # none is as good as zeros
        seen.append([g.clone() if g is not None else 0 * p.detach() for p, g in grads])
    idle = any(p.grad is None for p in weights)  # what has no state yet runs as written
    assert wrap is not compile or idle or len(step.programs) == 1
    return tree.flatten(seen)[0]


def agree(net, call, arrays, d):
    """The same, but for rounding, as it is written and compiled."""
    arrays = [x.astype(d) if x.dtype.kind == "f" else x for x in arrays]
    net = net.to(getattr(ad, d))
    want = trained(copy.deepcopy(net), call, arrays, lambda f: f)
    got = trained(copy.deepcopy(net), call, arrays, compile)
    near = 1e-9 if d == "float64" else 2e-5
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        if a is None or b is None:
            assert a is b
            continue
        assert a.dtype == b.dtype
        far = max(1.0, abs(b).max().item()) if b.numel() else 1.0
        np.testing.assert_allclose(
            a.detach().numpy(), b.detach().numpy(), near, near * far
        )


def variants(i, modal):
    """(mode, dtype) in which case i is tried."""
    if ALL:
        return [(m, d) for m in (True, False) for d in ("float32", "float64")]
    d = ("float32", "float64") if i % 2 else ("float64", "float32")
    return [(True, d[0]), (False, d[1])] if modal else [(True, d[0])]


@pytest.mark.parametrize("i", range(len(LAYERS)), ids=lambda i: repr(LAYERS[i]))
def test_layers(i):
    case = LAYERS[i]
    for training, d in variants(i, any(m in case.name for m in MODAL)):
        for x in case.inputs if ALL else case.inputs[:1]:
            ad.manual_seed(0)
            net = case.build(ad).train(training)
            arrays = [numbers(x, i) for i, x in enumerate(x)]
            agree(net, lambda net, *xs: net(*xs, **case.call), arrays, d)


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
@pytest.mark.parametrize("i", range(len(LOSSES)), ids=lambda i: repr(LOSSES[i]))
def test_losses(i):
    loss = LOSSES[i]
    modes = loss.modes if ALL else [loss.modes[i % len(loss.modes)]]
    for mode in modes:
        for _, d in variants(i, False):
            ad.manual_seed(0)
            arrays = [np.asarray(x) for x in loss.inputs]
            agree(loss.build(ad, mode), called(loss), arrays, d)


def called(loss):
    """The loss as a function of the module and tensors; lengths are lists."""

    def call(module, *xs):
        given = [
            x if isinstance(a, list) else y
            for a, x, y in zip(loss.inputs, loss.inputs, xs, strict=True)
        ]
        if loss.name == "CTCLoss":
            given[0] = given[0].log_softmax(-1)
        return module(*given)

    return call


def test_every_module_is_in_a_table():
    there = {n for n, c in vars(nn).items() if isinstance(c, type) and _is_module(c)}
    tried = {case.name for case in (*LAYERS, *LOSSES)}
    assert there - tried == BASES | KEPT_IN_PARTS


def _is_module(kind):
    return issubclass(kind, (nn.Module, nn.ParameterList, nn.ParameterDict))
