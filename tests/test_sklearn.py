"""Estimators: scikit-learn's own checks, all of them, and its tools around them."""
# ruff: noqa: E402 - what follows needs scikit-learn

import pickle
import warnings

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.datasets import load_digits, make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import (
    estimator_checks_generator,
    parametrize_with_checks,
)

import adjoint as ad
from adjoint import nn
from adjoint.sklearn import (
    MLPClassifier,
    MLPRegressor,
    ModuleClassifier,
    ModuleRegressor,
    mlp,
)

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore::sklearn.exceptions.SkipTestWarning",
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
)
QUICK = {"learning_rate_init": 0.02, "max_iter": 60, "batch_size": 64, "tol": 1e-3}
ESTIMATORS = [
    MLPClassifier((24,), **QUICK),
    MLPRegressor((24,), **QUICK),
    ModuleClassifier(nn.Linear, **QUICK),
    ModuleRegressor(nn.Linear, **QUICK),
]


@parametrize_with_checks(ESTIMATORS)
def test_the_checks_of_sklearn(estimator, check):
    check(estimator)


def test_how_many_checks_there_are():
    counts = [len(list(estimator_checks_generator(e))) for e in ESTIMATORS]
    if sklearn.__version__.startswith("1.9."):
        assert counts == [55, 53, 55, 53]
    assert min(counts) >= 50, "scikit-learn sees fewer methods to check"


def blobs(n=90, **options):
    return make_blobs(n, centers=3, random_state=0, cluster_std=0.8, **options)


def test_in_a_pipeline_a_search_and_cross_validation():
    X, y = blobs()
    net = MLPClassifier((16,), random_state=0, **QUICK)
    line = make_pipeline(StandardScaler(), net)
    assert cross_val_score(line, X, y, cv=3).mean() > 0.85
    grid = {"mlpclassifier__hidden_layer_sizes": [(4,), (16, 8)]}
    search = GridSearchCV(line, grid, cv=2).fit(X, y)
    assert search.best_score_ > 0.8
    assert search.best_estimator_[-1].module_[0].out_features in (4, 16)


def test_pickled_and_cloned():
    X, y = blobs()
    net = MLPClassifier((16,), random_state=0, **QUICK).fit(X, y)
    again = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(again.predict_proba(X), net.predict_proba(X))
    fresh = clone(net)
    assert not hasattr(fresh, "module_")
    np.testing.assert_array_equal(
        fresh.fit(X, y).predict_proba(X), net.predict_proba(X)
    )


def test_names_of_classes_and_precision_stay():
    X, y = blobs()
    names = np.array(["ant", "bee", "cat"])[y]
    net = MLPClassifier((16,), random_state=0, **QUICK).fit(X.astype(np.float32), names)
    assert set(net.predict(X)) <= {"ant", "bee", "cat"}
    assert net.module_[0].weight.dtype is ad.float32
    assert net.predict_proba(X).shape == (90, 3)
    net = MLPRegressor((4,), random_state=0, **QUICK).fit(X, np.stack([y, -y], 1))
    assert net.predict(X).shape == (90, 2)
    assert net.module_[0].weight.dtype is ad.float64


def test_early_stopping_keeps_the_best():
    X, y = blobs(200)
    net = MLPClassifier((16,), early_stopping=True, n_iter_no_change=3, random_state=0,
                        learning_rate_init=0.1, max_iter=300).fit(X, y)  # fmt: skip
    assert "val_loss" in net.history_
    assert net.n_iter_ < 300
    assert "restored epoch" in net.history_.stopped
    assert net.score(X, y) > 0.85


def test_the_programs_random_numbers_go_on():
    X, y = blobs()
    ad.manual_seed(5)
    first = ad.rand(2).tolist()
    ad.manual_seed(5)
    MLPClassifier((4,), random_state=1, dropout=0.2, **QUICK).fit(X, y)
    assert ad.rand(2).tolist() == first


def test_a_module_is_copied_and_its_loss_may_be_given():
    X, y = blobs()
    module = nn.Sequential(nn.Linear(2, 3))
    before = module[0].weight.tolist()
    net = ModuleClassifier(module, loss=nn.MultiMarginLoss(), random_state=0, **QUICK)
    assert net.fit(X, y).score(X, y) > 0.6
    assert module[0].weight.tolist() == before


def test_unfinished_training_warns_and_wrong_names_are_refused():
    X, y = blobs()
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        with pytest.raises(ConvergenceWarning, match="max_iter=1 epochs are over"):
            MLPClassifier(max_iter=1).fit(X, y)
    with pytest.raises(ValueError, match="solver must be one of adam"):
        MLPClassifier(solver="lbfgs").fit(X, y)
    with pytest.raises(ValueError, match="activation must be one of identity"):
        mlp((1, 2, 1), "step")


def test_progress_is_shown_when_asked(capsys):
    X, y = blobs()
    MLPClassifier((4,), verbose=True, max_iter=3, random_state=0).fit(X, y)
    assert "epoch" in capsys.readouterr().out


def test_digits():
    X, y = load_digits(return_X_y=True)
    net = MLPClassifier((64,), random_state=0, max_iter=20, batch_size=64,
                        learning_rate_init=3e-3).fit(X[:1400] / 16, y[:1400])  # fmt: skip
    assert net.score(X[1400:] / 16, y[1400:]) > 0.9
