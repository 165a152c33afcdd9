"""Member kinds by name."""

from importlib import import_module

from candlewire_training.members.contract import KINDS, Member, MemberSettings

# Module and class of each kind; imported on use, so that a run pays only for the libraries of its members.
FACTORIES = {
    "xgboost": ("xgboost_member", "XGBoostMember"),
    "lightgbm": ("lightgbm_member", "LightGBMMember"),
    "random_forest": ("forest_member", "ForestMember"),
    "gradient_boosting": ("histogram_boosting_member", "HistogramBoostingMember"),
    "extra_trees": ("forest_member", "ForestMember"),
    "logistic": ("logistic_member", "LogisticMember"),
}
assert set(FACTORIES) == set(KINDS)  # noqa: S101 - a kind without a factory must not import


def make_member(settings: MemberSettings) -> Member:
    """An unfitted member of `settings.kind`."""
    module, factory = FACTORIES[settings.kind]
    member: Member = getattr(import_module(f"candlewire_training.members.{module}"), factory)(
        settings=settings
    )
    return member


__all__ = ["FACTORIES", "make_member"]
