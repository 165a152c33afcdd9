"""The best features of some train rows: ranked by a small model on the newest of those rows.

The ranking sees the rows it is given and nothing else, so that a fold which hands over its train rows keeps
its test rows out of the choice.
"""

import json
from dataclasses import dataclass, replace

import candlewire_features as cf
import numpy as np
import xgboost as xgb

from candlewire_training.arrays import F64, I64
from candlewire_training.bands.band_inputs import volatility_columns
from candlewire_training.calibration.choosing import class_log_loss
from candlewire_training.data.samples import Samples
from candlewire_training.errors import SettingsError, TooFewBarsError
from candlewire_training.members.contract import FitRows, MemberSettings
from candlewire_training.members.xgboost_member import XGBoostMember
from candlewire_training.settings import RANKINGS

# Share of the rows, the newest, that features are ranked on.
RANKING_SHARE = 0.25
# Rows that features are ranked on at most, evenly spaced.
RANKING_ROWS = 5_000
# Shuffles of each column.
SHUFFLES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureChoice:
    """How features are chosen.

    Attributes:
        most: Features to choose.
        by: `permutation` (how much the log loss of later rows grows when a column is shuffled) or `shap`
            (mean absolute contribution to the margin on those rows).
        always: Columns that are kept beside those chosen, as the return band reads them.
        ranker: Model that ranks; of kind `xgboost`.
    """

    most: int
    by: str
    always: tuple[int, ...]
    ranker: MemberSettings

    def __post_init__(self) -> None:
        if self.by not in RANKINGS:
            raise SettingsError(f"select-by {self.by!r} is unknown; use {' or '.join(RANKINGS)}")
        if self.most < 1:
            raise SettingsError(f"select-features {self.most} is out of range; use 1 or more")

    def __call__(self, samples: Samples) -> I64:
        """The columns to keep, in their order in the spec.

        Args:
            samples: Train rows.

        Raises:
            TooFewBarsError: The rows are too few to rank by.
        """
        best = np.argsort(-self.scores(samples), kind="stable")[: self.most]
        return np.union1d(best, np.asarray(self.always, dtype=np.int64)).astype(np.int64)

    def scores(self, samples: Samples) -> F64:
        """What each column is worth, shape (features,); greater is better.

        Sources: Breiman (2001), Random Forests, Machine Learning 45 (permutation); Lundberg et al. (2020),
        From local explanations to global understanding with explainable AI for trees (SHAP, exact for trees).

        Raises:
            TooFewBarsError: The rows are too few to rank by.
        """
        start = np.quantile(samples.decision_time_ns, 1.0 - RANKING_SHARE, method="higher")
        older = samples.take(samples.known_from_ns <= start)
        newer = samples.take(samples.decision_time_ns >= start)
        newer = newer.take(np.arange(0, len(newer), max(1, -(-len(newer) // RANKING_ROWS))))
        try:
            rows = FitRows(X=older.X, target=older.target, weight=older.fit_weight, classes=older.classes)
        except TooFewBarsError as error:
            raise TooFewBarsError(f"select-features {self.most}: {error}") from error
        member = XGBoostMember(settings=self.ranker).fit(rows)
        return _contributions(member, newer) if self.by == "shap" else self._losses(member, newer)

    def _losses(self, member: XGBoostMember, rows: Samples) -> F64:
        generator = np.random.default_rng(self.ranker.seed)
        orders = [generator.permutation(len(rows)) for _ in range(SHUFFLES)]
        whole = float(class_log_loss(member.probabilities(rows.X), rows.target).mean())
        X, worth = rows.X.copy(), np.zeros(rows.X.shape[1])
        # A column that no tree reads changes nothing when it is shuffled.
        for column in np.flatnonzero(member.importances()).tolist():
            for order in orders:
                X[:, column] = rows.X[order, column]
                worth[column] += float(class_log_loss(member.probabilities(X), rows.target).mean()) - whole
            X[:, column] = rows.X[:, column]
        return worth / SHUFFLES


def _contributions(member: XGBoostMember, rows: Samples) -> F64:
    data = xgb.DMatrix(rows.X, nthread=member.settings.threads)
    values = np.abs(np.asarray(member.fitted.predict(data, pred_contribs=True), dtype=np.float64))
    # One margin, or one for each class; the last column is the bias.
    means: F64 = values.reshape(-1, rows.X.shape[1] + 1)[:, :-1].mean(axis=0)
    return means


def feature_choice(
    spec: cf.FeatureSpec, *, most: int, by: str, member: MemberSettings
) -> FeatureChoice | None:
    """The choice among the features of a spec; None when `most` is 0.

    Args:
        spec: All features, those of the band included.
        most: Features to choose.
        by: See `FeatureChoice`.
        member: What the ranking model is like; it has 100 trees at most, one for each class.
    """
    if most == 0:
        return None
    columns = volatility_columns(spec.canonical_json)
    always = {*columns.variances.tolist(), *columns.linear.tolist(), *(columns.deviation or ())}
    ranker = replace(member, kind="xgboost", name="", trees=min(member.trees, 100), multi_output=False)
    return FeatureChoice(most=most, by=by, always=tuple(sorted(always)), ranker=ranker)


def narrowed(spec: cf.FeatureSpec, samples: Samples, columns: I64) -> tuple[cf.FeatureSpec, Samples]:
    """Spec and samples with these columns alone.

    Args:
        spec: The features of `samples`.
        samples: The rows.
        columns: Which to keep, ascending.
    """
    document = json.loads(spec.canonical_json)
    document["features"] = [document["features"][column] for column in columns.tolist()]
    smaller = cf.FeatureSpec.from_json(json.dumps(document))
    return smaller, replace(
        samples, X=np.ascontiguousarray(samples.X[:, columns]), feature_names=tuple(smaller.names)
    )


__all__ = ["FeatureChoice", "feature_choice", "narrowed"]
