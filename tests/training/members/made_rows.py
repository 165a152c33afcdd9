"""Rows of made-up classes that several tests of members learn from."""

import numpy as np
from candlewire_training.arrays import F32, F64, I32
from candlewire_training.members.contract import FitRows, Member, MemberSettings
from candlewire_training.members.registry import make_member

FEATURES = 6
CLASSES = {2: ("DOWN", "UP"), 3: ("DOWN", "SIDEWAYS", "UP")}


def features(seed: int, count: int, *, missing: float = 0.0) -> F32:
    """Standard normal columns of very different size and offset; some values missing."""
    generator = np.random.default_rng(seed)
    X = generator.standard_normal((count, FEATURES))
    X = X * np.array([1.0, 1e-4, 1e3, 1.0, 1.0, 1.0]) + np.array([0.0, 0.0, 5e3, 10.0, 0.0, 0.0])
    # Rounded columns put many rows exactly at a threshold.
    X[:, 4] = np.round(X[:, 4], 1)
    X[generator.uniform(size=X.shape) < missing] = np.nan
    return X.astype(np.float32)


def classes_of(X: F32, classes: int, seed: int) -> I32:
    """Classes that follow from the features, with noise."""
    clean = np.nan_to_num((X - [0, 0, 5e3, 10, 0, 0]) / [1, 1e-4, 1e3, 1, 1, 1], nan=0.7)
    signal = clean[:, 0] + clean[:, 1] * clean[:, 2] + clean[:, 4]
    signal = signal + np.random.default_rng(seed).standard_normal(X.shape[0])
    edges = [0.0] if classes == 2 else [-0.8, 0.8]
    return np.searchsorted(edges, signal).astype(np.int32)


def fit_rows(
    classes: int, *, seed: int = 1, count: int = 1_500, missing: float = 0.0, validation: bool = False
) -> FitRows:
    """Weighted rows, with later ones to stop early on when asked."""
    X = features(seed, count, missing=missing)
    weight: F64 = np.random.default_rng(seed + 50).uniform(0.5, 1.5, count)
    later = fit_rows(classes, seed=seed + 100, count=600, missing=missing) if validation else None
    return FitRows(
        X=X, target=classes_of(X, classes, seed), weight=weight, classes=CLASSES[classes], validation=later
    )


def quick(kind: str, **settings: object) -> MemberSettings:
    """Settings that fit in well under a second and still grow trees worth testing."""
    chosen: dict[str, object] = {
        "trees": 40,
        "depth": 5,
        "learning_rate": 0.2,
        "leaf_share": 0.005,
        "l2": 1.0,
    }
    return MemberSettings(kind=kind, **(chosen | settings))  # type: ignore[arg-type]


def fitted(kind: str, classes: int, *, missing: float = 0.0, **settings: object) -> Member:
    """A fitted member."""
    return make_member(quick(kind, **settings)).fit(fit_rows(classes, missing=missing))


def at_thresholds(member: Member, *, most: int = 1_500, seed: int = 9) -> F32:
    """Rows at each threshold and at its two float32 neighbours."""
    points = [(feature, t) for feature, thresholds in member.split_points() for t in thresholds]
    generator = np.random.default_rng(seed)
    if len(points) > most:
        points = [points[index] for index in generator.choice(len(points), most, replace=False)]
    X = np.repeat(features(seed, max(len(points), 1)), 3, axis=0)
    for number, (feature, threshold) in enumerate(points):
        for offset, towards in enumerate((-np.inf, threshold, np.inf)):
            X[3 * number + offset, feature] = np.nextafter(threshold, np.float32(towards))
    return X
