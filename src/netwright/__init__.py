"""From raw labelled data to a deep neural network that people can trust."""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from netwright.verbs import VERBS as _VERBS

# OpenMP's threads spin while they wait for each other. Fewer spins cost nothing on a quiet machine and save much on a
# busy one. torch reads the number at import, so it is set before. A number that the user has set stays.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

if TYPE_CHECKING:
    import netwright.verbs.attack
    import netwright.verbs.audit
    import netwright.verbs.cache
    import netwright.verbs.diagnose
    import netwright.verbs.evaluate
    import netwright.verbs.fix
    import netwright.verbs.harden
    import netwright.verbs.label
    import netwright.verbs.predict
    import netwright.verbs.prove
    import netwright.verbs.recipe
    import netwright.verbs.rule
    import netwright.verbs.show
    import netwright.verbs.train
    import netwright.verbs.treat
    import netwright.verbs.weights
    from netwright.console import progress as progress
    from netwright.data.dataset import Dataset as Dataset
    from netwright.data.fixes import read_fixes as read_fixes
    from netwright.data.fixes import write_fixes as write_fixes
    from netwright.data.read import read as read
    from netwright.public import public
    from netwright.records.batch import Batch as Batch
    from netwright.records.errors import NetwrightError as NetwrightError
    from netwright.records.finding import Fix as Fix
    from netwright.records.recipe import Recipe as Recipe
    from netwright.records.run import Run as Run
    from netwright.records.source import Source as Source
    from netwright.reports.text import summary as summary
    from netwright.run_folder import load as load
    from netwright.tasks.classification import Classification as Classification
    from netwright.tasks.forecasting import Forecasting as Forecasting
    from netwright.tasks.language_model import LanguageModel as LanguageModel
    from netwright.tasks.multilabel import Multilabel as Multilabel
    from netwright.tasks.regression import Regression as Regression
    from netwright.tasks.segmentation import Segmentation as Segmentation
    from netwright.training.adopt import adopt as adopt
    from netwright.training.loop import steps as steps
    from netwright.training.watch import watch as watch

    # What verbs return; their keywords are those of their options.
    attack = public(netwright.verbs.attack.attack)
    audit = public(netwright.verbs.audit.audit)
    cache = public(netwright.verbs.cache.cache)
    diagnose = public(netwright.verbs.diagnose.diagnose)
    evaluate = public(netwright.verbs.evaluate.evaluate)
    fix = public(netwright.verbs.fix.fix)
    harden = public(netwright.verbs.harden.harden)
    label = next_labels = public(netwright.verbs.label.label)
    predict = public(netwright.verbs.predict.predict)
    prove = public(netwright.verbs.prove.prove)
    recipe = public(netwright.verbs.recipe.recipe)
    rule = public(netwright.verbs.rule.rule)
    show = public(netwright.verbs.show.show)
    train = public(netwright.verbs.train.train)
    treat = public(netwright.verbs.treat.treat)
    weights = public(netwright.verbs.weights.weights)

__version__ = "0.1.0"

# Public names other than verbs, and their modules. A name is imported on first use: `import netwright` costs nothing.
_PUBLIC = {
    "Batch": "netwright.records.batch",
    "Classification": "netwright.tasks.classification",
    "Dataset": "netwright.data.dataset",
    "Fix": "netwright.records.finding",
    "Forecasting": "netwright.tasks.forecasting",
    "LanguageModel": "netwright.tasks.language_model",
    "Multilabel": "netwright.tasks.multilabel",
    "NetwrightError": "netwright.records.errors",
    "Recipe": "netwright.records.recipe",
    "Regression": "netwright.tasks.regression",
    "Run": "netwright.records.run",
    "Segmentation": "netwright.tasks.segmentation",
    "Source": "netwright.records.source",
    "adopt": "netwright.training.adopt",
    "load": "netwright.run_folder",
    "progress": "netwright.console",
    "read": "netwright.data.read",
    "read_fixes": "netwright.data.fixes",
    "steps": "netwright.training.loop",
    "summary": "netwright.reports.text",
    "watch": "netwright.training.watch",
    "write_fixes": "netwright.data.fixes",
}
_ALIASES = {"next_labels": "label"}  # earlier names

__all__ = [*_PUBLIC, *_ALIASES, *(verb for group in _VERBS.values() for verb in group), "__version__"]  # pyright: ignore[reportUnsupportedDunderAll]  made from the tables


def __getattr__(name: str) -> Any:  # Any: functions and classes
    from netwright.public import public, verb, verbs

    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    if _ALIASES.get(name, name) not in verbs():
        raise AttributeError(f"netwright has no {name!r}")
    return public(verb(_ALIASES.get(name, name)))


def __dir__() -> list[str]:
    return sorted(__all__)
