"""Scores with scikit-learn models that skops wrote, on the CPU, in this process.

An artifact is what `opsrail models import model.skops` makes: a container (`opsrail.values.containers`) of form `skops`. A
skops file names the classes of its objects, so it is refused unless all of them are trusted: those below, and what the
setting `models.trusted_types` adds. It is looked at three times, each time before what is looked for can happen: its own
table of contents (`skops_guard`), skops' own audit, and its trees, whose numbers scikit-learn's native code follows without
looking (`skops_model`). skops had holes in reading what it took for data (CVE-2024-37065, CVE-2025-54412, -54413, -54886):
versions before 0.13 and the forms of file that they wrote are refused.
"""

from __future__ import annotations

from collections.abc import Iterable

from opsrail.connect.intact import check_intact
from opsrail.connect.skops_guard import LARGEST_SKOPS_BYTES, check_file
from opsrail.errors import MissingExtra
from opsrail.ports import LoadedModel
from opsrail.values.containers import unpack

FORM = "skops"
TRUSTED = frozenset(
    f"sklearn.{name}"
    for name in (
        "_loss._loss.CyHalfBinomialLoss",
        "_loss._loss.CyExponentialLoss",
        "_loss.link.HalfLogitLink",
        "_loss.link.Interval",
        "_loss.link.LogitLink",
        "_loss.loss.ExponentialLoss",
        "_loss.loss.HalfBinomialLoss",
        "calibration.CalibratedClassifierCV",
        "calibration._CalibratedClassifier",
        "calibration._SigmoidCalibration",
        "compose._column_transformer.ColumnTransformer",
        "isotonic.IsotonicRegression",
        "discriminant_analysis.LinearDiscriminantAnalysis",
        "discriminant_analysis.QuadraticDiscriminantAnalysis",
        "dummy.DummyClassifier",
        "ensemble._bagging.BaggingClassifier",
        "ensemble._forest.ExtraTreesClassifier",
        "ensemble._forest.RandomForestClassifier",
        "ensemble._gb.GradientBoostingClassifier",
        "ensemble._hist_gradient_boosting.binning._BinMapper",
        "ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier",
        "ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "ensemble._voting.VotingClassifier",
        "impute._base.MissingIndicator",
        "impute._base.SimpleImputer",
        "linear_model._logistic.LogisticRegression",
        "linear_model._logistic.LogisticRegressionCV",
        "linear_model._stochastic_gradient.SGDClassifier",
        "naive_bayes.BernoulliNB",
        "naive_bayes.GaussianNB",
        "neural_network._multilayer_perceptron.MLPClassifier",
        "neural_network._stochastic_optimizers.AdamOptimizer",
        "neural_network._stochastic_optimizers.SGDOptimizer",
        "pipeline.Pipeline",
        "preprocessing._data.MaxAbsScaler",
        "preprocessing._data.MinMaxScaler",
        "preprocessing._data.PowerTransformer",
        "preprocessing._data.QuantileTransformer",
        "preprocessing._data.RobustScaler",
        "preprocessing._data.StandardScaler",
        "preprocessing._encoders.OneHotEncoder",
        "preprocessing._encoders.OrdinalEncoder",
        "preprocessing._label.LabelBinarizer",
        "preprocessing._label.LabelEncoder",
        "tree._classes.DecisionTreeClassifier",
        "tree._classes.DecisionTreeRegressor",
        "tree._classes.ExtraTreeClassifier",
        "tree._tree.Tree",
        "utils._bunch.Bunch",
    )
)
"""Classes whose objects hold numbers and each other, and call nothing that a file could choose. Ours."""


class SkopsRuntime:
    """Loads skops artifacts.

    Args:
        trusted: Full names of further classes that files may hold. Whoever adds one answers for what its methods do with
            attributes that a stranger chose.
    """

    name = "sklearn"

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        self._trusted = TRUSTED | frozenset(trusted)

    def load(self, artifact: bytes, expected_digest: str) -> LoadedModel:
        """Return the model, after one trial run. Blocking: scikit-learn alone takes a second the first time.

        Args:
            artifact: The whole container.
            expected_digest: `sha256:<hex>` that the registry holds for it.

        Raises:
            ArtifactRefused: the digest differs, it is too large, holds types that are not trusted (all are listed), or is
                not a model of two classes. Terminal: nothing was loaded.
            MissingExtra: scikit-learn, skops or numpy is not installed. Terminal: install what the message names.
        """
        check_intact(artifact, expected_digest, LARGEST_SKOPS_BYTES)
        _, signature, native = unpack(artifact, FORM)
        try:
            from opsrail.connect.skops_model import open_model
        except ModuleNotFoundError as error:
            raise MissingExtra("The sklearn model runtime", "sklearn") from error
        check_file(native, self._trusted)
        return open_model(native, signature, expected_digest, self._trusted)
