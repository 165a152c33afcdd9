"""deployment.json: written for the first version of a model; operators promote the later ones."""

import json
import os
from pathlib import Path
from typing import Any

from candlewire_training.errors import StoreError

FILE = "deployment.json"


def deploy_if_new(store: Path, *, model: str, version: int, timeframe: str) -> bool:
    """Makes the version production when the store deploys no version of its model yet.

    Returns:
        True when deployment.json was written.

    Raises:
        StoreError: The present file cannot be read.
    """
    path = store / FILE
    deployment = read_deployment(store)
    models = deployment["models"]
    if model in models:
        return False
    models[model] = {"production": version, "shadow": []}
    deployment.setdefault("default_model", model)
    routes = deployment["routes"]
    # A timeframe that another model serves stays with it: rerouting is an operator's decision.
    if not any(set(route) == {"model", "timeframe"} and route["timeframe"] == timeframe for route in routes):
        routes.append({"model": model, "timeframe": timeframe})
    temporary = path.with_name(f".{FILE}.{os.getpid()}")
    try:
        temporary.write_text(json.dumps(deployment, sort_keys=True, indent=2) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise StoreError(f"store {store}: {FILE} cannot be written ({error.strerror})") from error
    return True


def read_deployment(store: Path) -> dict[str, Any]:
    """What a store deploys; nothing when it has no deployment.json yet.

    Raises:
        StoreError: The file cannot be read.
    """
    path = store / FILE
    if not path.exists():
        return {"format_version": 1, "models": {}, "routes": []}
    try:
        deployment = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} is no readable JSON; repair or remove it") from error
    if not isinstance(deployment, dict) or deployment.get("format_version") != 1:
        raise StoreError(f"{path} has another format_version than 1; repair or remove it")
    deployment.setdefault("models", {})
    deployment.setdefault("routes", [])
    return deployment


__all__ = ["FILE", "deploy_if_new", "read_deployment"]
