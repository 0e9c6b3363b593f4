"""From raw labelled data to a deep neural network that people can trust."""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# OpenMP's threads spin where they wait for each other. Fewer spins cost nothing on a quiet machine and save much on a
# busy one; torch reads the number when it is imported, so it is set before. A number of the user's own stays.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

if TYPE_CHECKING:
    from netwright.console import progress as progress
    from netwright.data.dataset import Dataset as Dataset
    from netwright.lifecycle import adopt as adopt
    from netwright.lifecycle import audit as audit
    from netwright.lifecycle import cache as cache
    from netwright.lifecycle import diagnose as diagnose
    from netwright.lifecycle import evaluate as evaluate
    from netwright.lifecycle import load as load
    from netwright.lifecycle import next_labels as next_labels
    from netwright.lifecycle import predict as predict
    from netwright.lifecycle import prove as prove
    from netwright.lifecycle import read as read
    from netwright.lifecycle import read_fixes as read_fixes
    from netwright.lifecycle import show as show
    from netwright.lifecycle import train as train
    from netwright.lifecycle import treat as treat
    from netwright.lifecycle import weights as weights
    from netwright.lifecycle import write_fixes as write_fixes
    from netwright.records.batch import Batch as Batch
    from netwright.records.errors import NetwrightError as NetwrightError
    from netwright.records.finding import Fix as Fix
    from netwright.records.recipe import Recipe as Recipe
    from netwright.records.run import Run as Run
    from netwright.reports.text import summary as summary
    from netwright.tasks.classification import Classification as Classification
    from netwright.tasks.language_model import LanguageModel as LanguageModel
    from netwright.tasks.multilabel import Multilabel as Multilabel
    from netwright.tasks.regression import Regression as Regression
    from netwright.tasks.segmentation import Segmentation as Segmentation
    from netwright.training.loop import steps as steps
    from netwright.training.watch import watch as watch

__version__ = "0.1.0"

# Public names and where they stand; a name is imported when it is first used, so that `import netwright` costs nothing.
_PUBLIC = {
    "Batch": "netwright.records.batch",
    "Classification": "netwright.tasks.classification",
    "Dataset": "netwright.data.dataset",
    "Fix": "netwright.records.finding",
    "LanguageModel": "netwright.tasks.language_model",
    "Multilabel": "netwright.tasks.multilabel",
    "NetwrightError": "netwright.records.errors",
    "Recipe": "netwright.records.recipe",
    "Regression": "netwright.tasks.regression",
    "Run": "netwright.records.run",
    "Segmentation": "netwright.tasks.segmentation",
    "adopt": "netwright.lifecycle",
    "audit": "netwright.lifecycle",
    "cache": "netwright.lifecycle",
    "diagnose": "netwright.lifecycle",
    "evaluate": "netwright.lifecycle",
    "load": "netwright.lifecycle",
    "next_labels": "netwright.lifecycle",
    "predict": "netwright.lifecycle",
    "progress": "netwright.console",
    "prove": "netwright.lifecycle",
    "read": "netwright.lifecycle",
    "read_fixes": "netwright.lifecycle",
    "show": "netwright.lifecycle",
    "steps": "netwright.training.loop",
    "summary": "netwright.reports.text",
    "train": "netwright.lifecycle",
    "watch": "netwright.training.watch",
    "treat": "netwright.lifecycle",
    "weights": "netwright.lifecycle",
    "write_fixes": "netwright.lifecycle",
}

__all__ = [*_PUBLIC, "__version__"]  # pyright: ignore[reportUnsupportedDunderAll]  the table above is the list


def __getattr__(name: str) -> Any:  # Any: functions and classes
    if name not in _PUBLIC:
        raise AttributeError(f"netwright has no {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
