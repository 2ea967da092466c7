"""Recurrent networks: against PyTorch over all options, and against loops of cells."""

import copy
import itertools
import pickle
import warnings

import numpy as np
import pytest

import adjoint as ad
from adjoint import nn
from adjoint.errors import TraceError
from adjoint.functional.recurrent import _lots
from adjoint.nn.utils import rnn
from peers import numbers

warnings.filterwarnings("ignore", "dropout option adds dropout")
MODES = ("RNN", "LSTM", "GRU")


def twin(name, *args, **options):
    """Our layer and PyTorch's with the same parameters, in float64."""
    torch = pytest.importorskip("torch")
    ours = getattr(nn, name)(*args, **options).double()
    theirs = getattr(torch.nn, name)(*args, **options).double()
    state = {k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()}
    theirs.load_state_dict(state)
    back = {k: ad.tensor(v.numpy()) for k, v in theirs.state_dict().items()}
    assert str(ours.load_state_dict(back)) == "<All keys matched successfully>"
    assert list(ours.state_dict()) == list(theirs.state_dict())
    return ours, theirs


def flat(y):
    """All tensors of nested tuples."""
    if isinstance(y, tuple):
        return [x for part in y for x in flat(part)]
    return [] if y is None else [y]


def compare(ours, theirs, xs, call=lambda net, lib, *xs: net(*xs)):
    """Values, and the gradients of all inputs and parameters."""
    torch = pytest.importorskip("torch")
    results = []
    for lib, net in ((ad, ours), (torch, theirs)):
        leaves = [lib.tensor(x, requires_grad=True) for x in xs]
        ys = [y for y in flat(call(net, lib, *leaves)) if y.is_floating_point()]
        loss = sum((y * lib.tensor(numbers(*y.shape, seed=7))).sum() for y in ys)
        loss.backward()
        grads = [x.grad for x in (*leaves, *net.parameters())]
        results.append([y.detach() for y in ys] + grads)
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), 1e-9, 1e-11)


def states(mode, count, n, size, out=None):
    hs = [numbers(count, n, out or size, seed=3)]
    return [*hs, numbers(count, n, size, seed=4)] if mode == "LSTM" else hs


def joined(net, lib, x, *hx):
    return net(x, hx if len(hx) > 1 else hx[0])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "layers,bias,first,both", [*itertools.product((1, 2), *[(False, True)] * 3)]
)
def test_networks_are_torchs(mode, layers, bias, first, both):
    options = {"bias": bias, "batch_first": first, "bidirectional": both}
    nets = twin(mode, 3, 4, layers, **options)
    assert repr(nets[0]) == repr(nets[1])
    count, x = layers * (1 + both), numbers(2, 5, 3) if first else numbers(5, 2, 3)
    compare(*nets, [x])
    compare(*nets, [x, *states(mode, count, 2, 4)], joined)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("both", [False, True])
def test_one_sequence_without_a_batch(mode, both):
    nets = twin(mode, 3, 4, 2, bidirectional=both, batch_first=True)
    compare(*nets, [numbers(5, 3)])
    hx = [s[:, 0] for s in states(mode, 2 * (1 + both), 1, 4)]
    compare(*nets, [numbers(5, 3), *hx], joined)


@pytest.mark.parametrize("layers,both", [(1, False), (2, True)])
def test_projections(layers, both):
    nets = twin("LSTM", 3, 4, layers, bidirectional=both, proj_size=2)
    assert repr(nets[0]) == repr(nets[1])
    compare(*nets, [numbers(5, 2, 3)])
    hx = states("LSTM", layers * (1 + both), 2, 4, 2)
    compare(*nets, [numbers(5, 2, 3), *hx], joined)


def test_relu():
    nets = twin("RNN", 3, 4, nonlinearity="relu")
    assert repr(nets[0]) == repr(nets[1])
    compare(*nets, [numbers(5, 2, 3)])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("lengths", [[4, 3, 1], [2, 4, 4], [3, 3, 3]])
def test_packed_sequences(mode, both, lengths):
    proj = {"proj_size": 3} if mode == "LSTM" else {}
    nets = twin(mode, 3, 4, 2, bidirectional=both, **proj)

    def call(net, lib, x, *hx):
        utils = lib.nn.utils.rnn
        packed = utils.pack_padded_sequence(x, lengths, enforce_sorted=False)
        y, *state = net(packed, *([hx if len(hx) > 1 else hx[0]] if hx else []))
        assert isinstance(y, utils.PackedSequence)
        return utils.pad_packed_sequence(y, total_length=5), *state

    compare(*nets, [numbers(4, 3, 3)], call)
    hx = states(mode, 2 * (1 + both), 3, 4, 3 if proj else None)
    compare(*nets, [numbers(4, 3, 3), *hx], call)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("bias", [False, True])
def test_cells_are_torchs(mode, bias):
    nets = twin(mode + "Cell", 3, 4, bias)
    assert repr(nets[0]) == repr(nets[1])
    compare(*nets, [numbers(2, 3)])
    hx = [s[0] for s in states(mode, 1, 2, 4)]
    compare(*nets, [numbers(2, 3), *hx], joined)
    compare(*nets, [numbers(3), *(h[0] for h in hx)], joined)
    compare(*nets, [numbers(3)])


def test_relu_cell():
    nets = twin("RNNCell", 3, 4, nonlinearity="relu")
    assert repr(nets[0]) == repr(nets[1])
    compare(*nets, [numbers(2, 3)])


# ---------------------------------------------------------------- without PyTorch


@pytest.mark.parametrize("mode", MODES)
def test_a_layer_is_a_loop_of_cells(mode):
    net, cell = getattr(nn, mode)(3, 4), getattr(nn, mode + "Cell")(3, 4)
    cell.load_state_dict({k[:-3]: v for k, v in net.state_dict().items()})
    x = ad.randn(5, 2, 3)
    y, last = net(x)
    state, rows = None, []
    for row in x:
        state = cell(row, state)
        rows.append(state[0] if mode == "LSTM" else state)
    assert ad.allclose(y, ad.stack(rows), atol=1e-6)
    for a, b in zip(flat(last), flat(state), strict=True):
        assert ad.allclose(a[0], b, atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_packed_rows_are_those_of_each_sequence_alone(mode):
    net = getattr(nn, mode)(2, 3, 2, bidirectional=True)
    sequences = [ad.randn(n, 2) for n in (2, 4, 1)]
    packed, last = net(rnn.pack_sequence(sequences, enforce_sorted=False))
    for i, (x, y) in enumerate(
        zip(sequences, rnn.unpack_sequence(packed), strict=True)
    ):
        want, state = net(x)
        assert ad.allclose(y, want, atol=1e-6)
        for a, b in zip(flat(last), flat(state), strict=True):
            assert ad.allclose(a[:, i], b, atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"proj_size": 1}])
def test_two_derivatives(mode, options):
    if "proj_size" in options and mode != "LSTM":
        options = {"nonlinearity": "relu"} if mode == "RNN" else {"bias": False}
    ad.manual_seed(0)
    net = getattr(nn, mode)(2, 2, **options).double()
    names, params = zip(*net.named_parameters(), strict=True)
    x = ad.tensor(numbers(3, 2, 2), requires_grad=True)

    def f(x, *params):
        given = dict(zip(names, params, strict=True))
        y, state = ad.func.functional_call(net, given, x)
        return (y, *flat(state))

    leaves = [p.detach().requires_grad_() for p in params]
    assert ad.gradcheck(f, (x, *leaves))
    assert ad.gradgradcheck(f, (x, *leaves))


def test_two_derivatives_of_packed_sequences():
    net = nn.GRU(2, 2, bidirectional=True).double()

    def f(x):
        packed = rnn.pack_padded_sequence(x, [3, 2, 1])
        return rnn.pad_packed_sequence(net(packed)[0])[0]

    x = ad.tensor(numbers(3, 3, 2), requires_grad=True)
    assert ad.gradcheck(f, (x,))
    assert ad.gradgradcheck(f, (x,))


@pytest.mark.parametrize("mode", MODES)
def test_transforms(mode):
    net = getattr(nn, mode)(2, 3).double()
    xs = ad.tensor(numbers(4, 5, 2))
    many = ad.vmap(lambda x: net(x)[0])(xs)
    for x, y in zip(xs, many, strict=True):
        assert ad.allclose(net(x)[0], y)

    def f(x):
        return net(x)[0].sum()

    t = ad.tensor(numbers(5, 2, seed=2))
    _, slope = ad.func.jvp(f, (xs[0],), (t,))
    assert slope.item() == pytest.approx((ad.func.grad(f)(xs[0]) * t).sum().item())


def test_dropout_is_between_layers_and_in_training_only():
    ad.manual_seed(0)
    net, x = nn.LSTM(3, 4, 2, dropout=0.5), ad.randn(5, 2, 3)
    a, b = net(x)[0], net(x)[0]
    assert not ad.equal(a, b)
    ad.manual_seed(1)
    a = net(x)[0]
    ad.manual_seed(1)
    assert ad.equal(a, net(x)[0])
    net.eval()
    assert ad.equal(net(x)[0], net(x)[0])
    all_out = nn.GRU(3, 4, 2, dropout=1.0)
    assert ad.allclose(all_out(x)[0], all_out(ad.randn(5, 2, 3))[0])


def test_initial_law():
    ad.manual_seed(0)
    for net in (nn.LSTM(64, 100, 2), nn.GRUCell(64, 100)):
        for p in net.parameters():
            assert p.abs().max() <= 0.1
            assert p.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.1)


@pytest.mark.parametrize("d", ["float16", "bfloat16", "float32"])
def test_dtypes(d):
    for mode in MODES:
        net = getattr(nn, mode)(3, 4).to(getattr(ad, d))
        x = ad.ones(5, 2, 3, dtype=d)
        y = net(x)[0]
        assert y.dtype == getattr(ad, d)
        y.sum().backward()
        want = net.double()(x.double())[0]
        assert ad.allclose(y.double(), want, rtol=0.05, atol=0.02)


@pytest.mark.parametrize("mode", MODES)
def test_complex_numbers(mode):
    torch, found = pytest.importorskip("torch"), []
    ours = getattr(nn, mode)(3, 4, 2, dtype=ad.complex128)
    x = numbers(5, 2, 3) + 1j * numbers(5, 2, 3, seed=1)
    for lib in (ad, torch):
        net = getattr(lib.nn, mode)(3, 4, 2, dtype=lib.complex128)
        net.load_state_dict(
            {k: lib.tensor(v.numpy()) for k, v in ours.state_dict().items()}
        )
        leaf = lib.tensor(x, requires_grad=True)
        y = net(leaf)[0]
        (y * lib.tensor(numbers(*y.shape, seed=7) + 2j)).abs().sum().backward()
        found.append([y.detach(), leaf.grad, *(p.grad for p in net.parameters())])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), 1e-9, 1e-11)
    assert ad.gradcheck(lambda x: ours(x)[0], (ad.tensor(x[:2], requires_grad=True),))
    assert ad.gradgradcheck(
        lambda x: ours(x)[0], (ad.tensor(x[:2], requires_grad=True),)
    )


def test_state_and_pickle():
    net = nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2)
    assert list(net.state_dict())[:5] == [
        f"{name}_l0"
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
    ]
    assert list(net.state_dict())[5] == "weight_ih_l0_reverse"
    again, x = pickle.loads(pickle.dumps(net)), ad.randn(5, 2, 3)
    assert ad.equal(again(x)[0], net(x)[0])
    assert [len(w) for w in net.all_weights] == [5] * 4
    net.flatten_parameters()


def test_frozen_weights_get_no_gradient():
    net = nn.LSTM(3, 4).requires_grad_(False)
    x = ad.randn(5, 2, 3, requires_grad=True)
    net(x)[0].sum().backward()
    assert x.grad is not None
    assert all(p.grad is None for p in net.parameters())
    assert nn.LSTM(3, 4)(ad.randn(5, 2, 3))[0].requires_grad


def test_weights_that_are_made_of_others():
    net = nn.utils.weight_norm(nn.LSTM(3, 4), "weight_hh_l0")
    net(ad.randn(5, 2, 3))[0].sum().backward()
    assert net.weight_hh_l0_g.grad is not None
    assert net.weight_hh_l0_v.grad is not None


@pytest.mark.parametrize("mode", MODES)
def test_a_compiled_step_is_the_eager_one(mode):
    x, losses = ad.tensor(numbers(5, 2, 3)), []
    for compiled in (False, True):
        ad.manual_seed(0)
        net = getattr(nn, mode)(3, 4, 2, bidirectional=True).double()
        opt = ad.optim.SGD(net.parameters(), lr=0.1)

        def step(x, net=net, opt=opt):
            opt.zero_grad()
            loss = (net(x)[0] ** 2).mean()
            loss.backward()
            opt.step()
            return loss

        run = ad.compile(step) if compiled else step
        losses.append([run(x).item() for _ in range(4)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-10)
    assert losses[0][3] < losses[0][0]


LENGTHS = {
    "one by one": [5, 4, 3, 2, 1],
    "a long one": [9, 1, 1, 1, 1],
    "even": [4, 4, 4],
    "in no order": [2, 4, 1],
    "single steps": [1, 1],
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("lengths", LENGTHS)
def test_packed_sequences_in_a_program(mode, lengths):
    """Loops over steps, with the gradients of eager; what has ended takes no part."""
    lengths = LENGTHS[lengths]
    net = getattr(nn, mode)(3, 4, 2, bidirectional=True).double()
    x = ad.tensor(numbers(max(lengths), len(lengths), 3))
    x[min(lengths) :, int(np.argmin(lengths))] = np.nan

    def f(x):
        net.zero_grad()
        x = x.detach().requires_grad_()
        packed = rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        y, h = net(packed)
        y, h = rnn.pad_packed_sequence(y)[0], h[0] if isinstance(h, tuple) else h
        ((y * y).sum() + h.sin().sum()).backward()
        return y, h, x.grad, *(p.grad for p in net.parameters())

    want, run = [v.clone() for v in f(x)], ad.compile(f)
    for _ in range(3):
        for a, b in zip(run(x), want, strict=True):
            assert ad.allclose(a, b, rtol=1e-10, atol=1e-12)
    assert "NumPy does it" not in str(run.explain(x))


def test_rows_that_wait_or_have_ended_are_few():
    lots = _lots((8, 8, 7, 5, 3, 2, 1))
    assert [lot.sizes for lot in lots] == [(8, 8, 7, 5), (3, 2), (1,)]
    assert [lot.start for lot in lots] == [0, 28, 33]
    assert [lot.even for lot in lots] == [False, False, True]


def test_a_program_keeps_the_loop():
    net = nn.GRU(3, 4)
    program = ad.trace(lambda x: net(x)[0])(ad.ones(50, 2, 3)).show()
    assert "scan" in program
    assert len(program.splitlines()) < 40


def test_overwriting_the_output_is_noticed():
    net, x = nn.LSTM(3, 4), ad.randn(5, 2, 3)
    for overwrite in (lambda y: y.mul_(2), lambda y: y.detach().mul_(2)):
        y, _ = net(x)
        overwrite(y)
        with pytest.raises(RuntimeError, match="the result of lstm"):
            y.sum().backward()


def test_functions():
    torch = pytest.importorskip("torch")
    for mode in ("LSTM", "GRU", "RNN_TANH", "RNN_RELU"):
        name = mode.split("_")[0]
        ours, theirs = twin(name, 3, 4, 2, bidirectional=True)
        hx = states(name, 4, 2, 4)
        found = []
        for lib, net in ((ad, ours), (torch, theirs)):
            state = [lib.tensor(h) for h in hx]
            state = state if len(state) > 1 else state[0]
            f, x = getattr(lib, mode.lower()), lib.tensor(numbers(5, 2, 3))
            params = list(net.parameters())
            found.append(f(x, state, params, True, 2, 0.0, False, True, False))
        for a, b in zip(*found, strict=True):
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), 1e-9)


# ---------------------------------------------------------------- packing


def test_packing_is_torchs():
    torch = pytest.importorskip("torch")
    x = numbers(4, 3, 2)
    for first, sort in itertools.product((False, True), (False, True)):
        data = x.swapaxes(0, 1) if first else x
        lengths = [4, 2, 2] if sort else [2, 4, 1]
        found = []
        for lib, utils in ((ad, rnn), (torch, torch.nn.utils.rnn)):
            leaf = lib.tensor(data, requires_grad=True)
            packed = utils.pack_padded_sequence(
                leaf, lib.tensor(lengths), first, enforce_sorted=sort
            )
            back, n = utils.pad_packed_sequence(packed, first, 0.5, 6)
            (back * back).sum().backward()
            found.append([*(p for p in packed if p is not None), back, n, leaf.grad])
        for a, b in zip(*found, strict=True):
            np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())


def test_padding_is_torchs():
    torch = pytest.importorskip("torch")
    xs = [numbers(n, 2) for n in (2, 4, 1)]
    for first, side in itertools.product((False, True), ("left", "right")):
        found = []
        for lib, utils in ((ad, rnn), (torch, torch.nn.utils.rnn)):
            given = [lib.tensor(x) for x in xs]
            found.append(utils.pad_sequence(given, first, -1.0, side))
        np.testing.assert_array_equal(found[0].numpy(), found[1].numpy())
    ours = rnn.unpad_sequence(rnn.pad_sequence([ad.tensor(x) for x in xs]), [2, 4, 1])
    for a, b in zip(ours, xs, strict=True):
        np.testing.assert_array_equal(a.numpy(), b)


def test_packed_sequence():
    packed = rnn.pack_sequence([ad.tensor([1, 2]), ad.tensor([3, 4, 5])], False)
    assert packed.sorted_indices.tolist() == [1, 0]
    assert packed.unsorted_indices.tolist() == [1, 0]
    assert packed.data.tolist() == [3, 1, 4, 2, 5]
    assert packed.double().data.dtype == ad.float64
    assert packed.long() is packed.cpu() is packed
    assert rnn.invert_permutation(None) is None
    for copied in (pickle.loads(pickle.dumps(packed)), copy.deepcopy(packed)):
        assert [x.tolist() for x in rnn.unpack_sequence(copied)] == [[1, 2], [3, 4, 5]]
    made = rnn.PackedSequence(packed.data, *packed[1:3])
    assert [x.tolist() for x in rnn.unpack_sequence(made)] == [[1, 2], [3, 4, 5]]
    assert "batch_sizes=tensor([2, 2, 1])" in repr(packed)


# ---------------------------------------------------------------- errors


X = ad.ones(5, 2, 3)


@pytest.mark.parametrize(
    "call,kind,text",
    [
        (lambda: nn.LSTM(3, 4)(X[0, 0]), ValueError, "2D or 3D, got 1D"),
        (lambda: nn.LSTM(2, 4)(X), RuntimeError, "Expected 2, got 3"),
        (lambda: nn.LSTM(3, 4)(X.double()), ValueError, "does not match weight dtype"),
        (lambda: nn.GRU(3, 4)(X, X), RuntimeError, r"hidden size \(1, 2, 4\), got \[5"),
        (lambda: nn.GRU(3, 4)(X, X[0]), RuntimeError, "also be 3-D but got 2-D"),
        (lambda: nn.LSTM(3, 4)(X[:, 0], (X, X)), RuntimeError, r"\(3-D, 3-D\)"),
        (lambda: nn.LSTM(3, 4)(X, X), TypeError, r"\(h_0, c_0\)"),
        (lambda: nn.LSTM(3, 4)(X[:0]), RuntimeError, "longer than 0"),
        (lambda: nn.LSTM(3, 4)([1.0]), TypeError, "must be Tensor, not list"),
        (lambda: nn.LSTM(3, 4, proj_size=4), ValueError, "smaller than hidden_size"),
        (lambda: nn.GRU(3, 4, proj_size=2), ValueError, "only supported for LSTM"),
        (lambda: nn.GRU(3, 4, width=2), TypeError, "'width'"),
        (lambda: nn.RNN(3, 4, nonlinearity="cos"), ValueError, "'cos'"),
        (lambda: nn.RNN(3, 4, dropout=2), ValueError, "got 2"),
        (lambda: nn.RNN(3, 4, bias=1), TypeError, "bool, got: int"),
        (lambda: nn.RNN(3.5, 4), TypeError, "int, got: float"),
        (lambda: nn.RNN(3, 0), ValueError, "hidden_size must be greater"),
        (lambda: nn.RNN(3, 4, 0), ValueError, "num_layers must be greater"),
        (lambda: nn.RNNBase("NET", 3, 4), ValueError, "Unrecognized RNN mode: NET"),
        (lambda: nn.GRUCell(3, 4)(X), ValueError, "1D or 2D, got 3D"),
        (lambda: nn.GRUCell(3, 4)(X[0], X), ValueError, "hidden to be 1D or 2D"),
        (lambda: nn.GRUCell(2, 4)(X[0]), RuntimeError, "got 3, expected 2"),
        (lambda: nn.GRUCell(3, 4)(X[0], X[0]), RuntimeError, r"\(2, 3\), expected"),
        (lambda: nn.LSTMCell(3, 4)(X[0], (X[0],)), RuntimeError, "two hidden states"),
        (lambda: nn.RNNCell(3, 4, nonlinearity="cos")(X[0]), RuntimeError, "cos"),
        (lambda: rnn.pack_padded_sequence(X, [5]), RuntimeError, "batch_size=2"),
        (lambda: rnn.pack_padded_sequence(X, [1, 5]), RuntimeError, "decreasing"),
        (lambda: rnn.pack_padded_sequence(X, [5, 0]), RuntimeError, "greater than 0"),
        (lambda: rnn.pack_padded_sequence(X, [6, 5]), RuntimeError, r"5, got \[6, 5\]"),
        (lambda: rnn.pack_padded_sequence(X[0, 0], [3]), RuntimeError, "2-D"),
        (lambda: rnn.pad_sequence(3), RuntimeError, "Expected iterable"),
        (lambda: rnn.pad_sequence([]), RuntimeError, "empty list"),
        (lambda: rnn.pad_sequence([X, X[0]]), RuntimeError, "agree in all dims"),
        (lambda: rnn.pad_sequence([X], padding_side="top"), RuntimeError, "'top'"),
        (lambda: rnn.pad_packed_sequence(X), TypeError, "PackedSequence"),
        (
            lambda: rnn.pad_packed_sequence(rnn.pack_sequence([X]), total_length=3),
            ValueError,
            "total_length=3",
        ),
    ],
)
def test_bad_input_gives_our_error(call, kind, text):
    with pytest.raises(kind, match=text) as caught:
        call()
    assert isinstance(caught.value, ad.errors.AdjointError)


def test_useless_dropout_warns():
    with pytest.warns(UserWarning, match="num_layers greater than 1"):
        nn.GRU(3, 4, dropout=0.5)


def test_lengths_that_are_not_there_yet():
    """What is packed has as many rows as the lengths say: a program needs them as numbers."""
    f = ad.compile(lambda x, n: rnn.pack_padded_sequence(x, n).data)
    with pytest.raises(TraceError, match=r"values of lengths.*\n.*\n.*list of ints"):
        for _ in range(2):
            f(X, ad.tensor([3, 2]))
    for n in ([3, 2], [3, 2], [3, 1]):
        assert len(f(X, n)) == sum(n)
