"""Metrics: added up over batches they are scikit-learn's values of everything at once."""

import math

import numpy as np
import pytest

import adjoint as ad
from adjoint import metrics


def streamed(metric, y, t, size=7):
    """The value of a metric that sees its data in batches."""
    metric.reset()
    for i in range(0, len(t), size):
        metric.update(y[i : i + size], t[i : i + size])
    return metric.compute()


def scores(classes=4, n=60, seed=0, ties=False):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(n, classes))
    y = np.round(y) if ties else y
    return y, rng.integers(0, classes, n)


def sk():
    return pytest.importorskip("sklearn.metrics")


# ---------------------------------------------------------------- closed forms


def test_accuracy_reads_scores_probabilities_and_classes():
    y = ad.tensor([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0]])
    t = ad.tensor([0, 1, 1])
    assert metrics.Accuracy()(y, t) == pytest.approx(2 / 3)
    assert metrics.Accuracy()(ad.tensor([0, 1, 0]), t) == pytest.approx(2 / 3)
    assert metrics.Accuracy()(ad.tensor([0.1, 0.9, 0.4]), t) == pytest.approx(2 / 3)
    assert metrics.Accuracy(threshold=0)(ad.tensor([[-1.0], [1.0], [2.0]]), t) == 1
    per_pixel = ad.zeros(2, 3, 4, 4)
    assert metrics.Accuracy()(per_pixel, ad.zeros(2, 4, 4, dtype=ad.int64)) == 1


def test_nothing_seen_has_no_value():
    for metric in (metrics.Accuracy(), metrics.AUC(), metrics.MSE(), metrics.R2()):
        assert math.isnan(metric.compute())
    assert math.isnan(metrics.Mean().compute())
    assert metrics.ConfusionMatrix().compute().shape == (0, 0)


def test_confusion_grows_and_is_normalized():
    m = metrics.ConfusionMatrix()
    m.update(ad.tensor([0, 1]), ad.tensor([0, 0]))
    m.update(ad.tensor([2]), ad.tensor([1]))
    assert m.compute().tolist() == [[1, 1, 0], [0, 0, 1], [0, 0, 0]]
    m = metrics.ConfusionMatrix(2, normalize="true")
    assert m(ad.tensor([0, 1, 1]), ad.tensor([0, 0, 1])).tolist() == [
        [0.5, 0.5],
        [0, 1],
    ]


def test_r2_keeps_its_digits_far_from_zero():
    rng = np.random.default_rng(0)
    t = rng.normal(size=1000)
    y = t + 0.1 * rng.normal(size=1000)
    near, far = streamed(metrics.R2(), y, t), streamed(metrics.R2(), y + 1e6, t + 1e6)
    assert far == pytest.approx(near, abs=1e-8)
    assert metrics.R2()(np.ones(3), np.ones(3)) == 1.0
    assert metrics.R2()(np.zeros(3), np.ones(3)) == 0.0


@pytest.mark.parametrize("kind", [n for n in metrics.__all__ if n not in ("Metric",)])
def test_state_continues_where_it_was(kind):
    metric, other = getattr(metrics, kind)(), getattr(metrics, kind)()
    y, t = scores(2)
    y = y if kind == "TopK" else y[:, 1]
    if kind == "Mean":
        metric.update(2.0, 3)
    else:
        metric.update(y[:30], t[:30])
    other.load_state_dict(metric.state_dict())
    if kind != "Mean":
        metric.update(y[30:], t[30:])
        other.update(y[30:], t[30:])
    np.testing.assert_array_equal(metric.compute(), other.compute())
    metric.reset()
    assert metric.state_dict().keys() == other.state_dict().keys()


def test_better_is_known():
    assert {n: getattr(metrics, n).mode for n in metrics.__all__} == {
        **dict.fromkeys(["AUC", "F1", "R2", "Accuracy", "Precision", "Recall"], "max"),
        **dict.fromkeys(["MAE", "MSE", "RMSE", "Mean"], "min"),
        "TopK": "max",
        "ConfusionMatrix": None,
        "Metric": None,
    }
    assert metrics.TopK(3).name == "top3"
    assert metrics.F1(name="f1_micro", average="micro").name == "f1_micro"


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="outputs have NaN in 1 of 2 places"):
        metrics.Accuracy()(ad.tensor([math.nan, 1.0]), ad.tensor([0, 1]))
    with pytest.raises(ValueError, match=r"shape \(2, 3\), targets \(5,\)"):
        metrics.Accuracy()(ad.zeros(2, 3), ad.zeros(5, dtype=ad.int64))
    with pytest.raises(IndexError, match="class 7 is out of range for 2 classes"):
        metrics.ConfusionMatrix(2)(ad.tensor([0]), ad.tensor([7]))
    with pytest.raises(IndexError, match="class -1 is out of range"):
        metrics.ConfusionMatrix()(ad.tensor([0]), ad.tensor([-1]))
    with pytest.raises(IndexError, match="class 9 is out of range for 3"):
        metrics.TopK(1)(ad.zeros(1, 3), ad.tensor([9]))
    with pytest.raises(TypeError, match="targets must be classes"):
        metrics.Accuracy()(ad.tensor([0.2]), ad.tensor([0.5]))
    with pytest.raises(ValueError, match="average must be one of"):
        metrics.F1(average="mean")
    with pytest.raises(ValueError, match="average='binary' with 3 classes"):
        metrics.F1(average="binary")(ad.tensor([2]), ad.tensor([0]))
    with pytest.raises(ValueError, match="normalize must be"):
        metrics.ConfusionMatrix(normalize="rows")
    with pytest.raises(TypeError, match="k must be a positive integer"):
        metrics.TopK(0)
    with pytest.raises(ValueError, match=r"\(3,\), targets \(2,\)"):
        metrics.MSE()(ad.zeros(3), ad.zeros(2))


# ---------------------------------------------------------------- scikit-learn


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_top_k_as_sklearn(k, ties):
    y, t = scores(ties=ties)
    want = sk().top_k_accuracy_score(t, y, k=k, labels=range(4))
    assert streamed(metrics.TopK(k), y, t) == pytest.approx(want)


def test_confusion_as_sklearn():
    y, t = scores()
    for how in (None, "true", "pred", "all"):
        want = sk().confusion_matrix(t, y.argmax(1), normalize=how)
        got = streamed(metrics.ConfusionMatrix(normalize=how), y, t)
        np.testing.assert_allclose(got, want)


@pytest.mark.parametrize("average", ["micro", "macro", "weighted", None])
@pytest.mark.parametrize("kind", ["precision", "recall", "f1"])
@pytest.mark.parametrize("absent", [False, True])
def test_precision_recall_f1_as_sklearn(kind, average, absent):
    y, t = scores(4)
    t = np.where(t == 2, 3, t) if absent else t
    y = y.argmax(1)
    y = np.where(y == 2, 1, y) if absent else y
    f = getattr(sk(), f"{kind}_score")
    metric = {
        "precision": metrics.Precision,
        "recall": metrics.Recall,
        "f1": metrics.F1,
    }
    want = f(t, y, average=average, zero_division=0, labels=range(4))
    np.testing.assert_allclose(streamed(metric[kind](4, average=average), y, t), want)
    if average is not None:
        want = f(t, y, average=average, zero_division=0)
        got = streamed(metric[kind](average=average), y, t)
        assert got == pytest.approx(want)


def test_binary_as_sklearn():
    y, t = scores(2)
    y = (y[:, 1] > 0).astype(int)
    for kind in ("Precision", "Recall", "F1"):
        f = getattr(sk(), f"{kind.lower()}_score")
        for positive in (0, 1):
            m = getattr(metrics, kind)(average="binary", positive=positive)
            assert streamed(m, y, t) == pytest.approx(f(t, y, pos_label=positive))


@pytest.mark.parametrize("ties", [False, True])
def test_auc_as_sklearn(ties):
    y, t = scores(2, ties=ties)
    want = sk().roc_auc_score(t, y[:, 1])
    assert streamed(metrics.AUC(), y[:, 1], t) == pytest.approx(want)
    y, t = scores(4, ties=ties)
    y = np.exp(y) / np.exp(y).sum(1, keepdims=True)
    for average in ("macro", "weighted"):
        want = sk().roc_auc_score(t, y, multi_class="ovr", average=average)
        assert streamed(metrics.AUC(average), y, t) == pytest.approx(want)


def test_regression_as_sklearn():
    rng = np.random.default_rng(0)
    t = rng.normal(3, 2, (50, 3))
    y = t + rng.normal(size=t.shape)
    assert streamed(metrics.MAE(), y, t) == pytest.approx(
        sk().mean_absolute_error(t, y)
    )
    assert streamed(metrics.MSE(), y, t) == pytest.approx(sk().mean_squared_error(t, y))
    assert streamed(metrics.R2(), y, t) == pytest.approx(sk().r2_score(t, y))
    want = sk().mean_squared_error(t, y) ** 0.5
    assert streamed(metrics.RMSE(), y, t) == pytest.approx(want)
