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
    deployment = read_deployment(store)
    if model in deployment["models"]:
        return False
    _add(deployment, model, version, {"timeframe": timeframe})
    _write(store, deployment)
    return True


def deploy_models(store: Path, models: list[tuple[str, int, dict[str, str]]]) -> int:
    """Makes new models production, in one rename; models that the store deploys already stay as they are.

    Args:
        store: The store.
        models: (model, version, keys of its route); a model without keys gets no route.

    Returns:
        How many were new.

    Raises:
        StoreError: The present file cannot be read, or the new one not be written.
    """
    deployment = read_deployment(store)
    new = [entry for entry in models if entry[0] not in deployment["models"]]
    for model, version, route in new:
        _add(deployment, model, version, route)
    if new:
        _write(store, deployment)
    return len(new)


def _add(deployment: dict[str, Any], model: str, version: int, keys: dict[str, str]) -> None:
    deployment["models"][model] = {"production": version, "shadow": []}
    deployment.setdefault("default_model", model)
    routes = deployment["routes"]
    # What another model serves stays with it: rerouting is an operator's decision.
    taken = any({name: value for name, value in route.items() if name != "model"} == keys for route in routes)
    if keys and not taken:
        routes.append({"model": model, **keys})


def _write(store: Path, deployment: dict[str, Any]) -> None:
    path = store / FILE
    temporary = path.with_name(f".{FILE}.{os.getpid()}")
    try:
        temporary.write_text(json.dumps(deployment, sort_keys=True, indent=2) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise StoreError(f"store {store}: {FILE} cannot be written ({error.strerror})") from error


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


__all__ = ["FILE", "deploy_if_new", "deploy_models", "read_deployment"]
