"""Rows of the training and of the validation part, each with its loss under the kept weights; and simple twins."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netwright.checks.evidence import Skip
from netwright.checks.training.evidence import TrainingEvidence
from netwright.records.batch import Batch, Examples
from netwright.tasks.classification import Classification
from netwright.tasks.regression import Regression
from netwright.training.evaluate import evaluating

MOST = 10_000  # rows of each part: the intervals are narrow by then
TWIN_ROWS, TWIN_COLUMNS = 5_000, 256  # that simple models learn from: seconds
TREES = 120  # boosted, of all classes together
LEAST = 50  # rows, below which nothing can be told

Numbers = NDArray[np.float64]


@final
@dataclass(frozen=True, eq=False)
class Part:
    """Some rows of a part."""

    losses: Numbers  # (n,) the task's own loss, without smoothing
    outputs: Numbers  # (n, width) logits or answers; (n, 0) where they are of another shape
    targets: Numbers  # (n,) classes or values; (0,) where they are of another shape
    inputs: Numbers  # (n, columns) flat; (n, 0) where they cannot be taken so


def parts(evidence: TrainingEvidence) -> tuple[Part, Part]:
    """Training and validation rows. Raises Skip where there are too few of them."""
    if len(evidence.valid) < LEAST or len(evidence.train) < LEAST:
        raise Skip(f"fewer than {LEAST} validation rows")
    both = part_of(evidence, evidence.train), part_of(evidence, evidence.valid)
    if not all(np.isfinite(part.losses).all() for part in both):
        raise Skip("the network's answers are no numbers")
    return both


def hits(part: Part) -> Numbers:
    """(n,) 1 where the most probable class is right."""
    return (part.outputs.argmax(1) == part.targets).astype(np.float64)


def cross_entropy(logits: Numbers, targets: NDArray[np.int64]) -> Numbers:
    """(n,) of logits (n, classes)."""
    return np.logaddexp.reduce(logits, 1) - logits[np.arange(len(targets)), targets]


def known_hits(evidence: TrainingEvidence) -> tuple[Numbers, Numbers]:
    """Hits on training and on validation rows of a linear model that learned from both, and so from neither more.

    What it finds harder is harder by chance, and not because it was not learned. Zeros where it cannot be had.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    both = evidence.once(parts)
    if not all(part.inputs.shape[1] for part in both):
        return np.zeros(len(both[0].losses)), np.zeros(len(both[1].losses))
    chosen = [_some(len(part.targets), TWIN_ROWS // 2) for part in both]
    x = np.concatenate([part.inputs[rows] for part, rows in zip(both, chosen, strict=True)])
    y = np.concatenate([part.targets[rows] for part, rows in zip(both, chosen, strict=True)])
    weights = "balanced" if evidence.recipe.class_weights == "balanced" else None
    linear = LogisticRegression(max_iter=200, class_weight=weights)
    model: Any = make_pipeline(StandardScaler(), linear).fit(np.nan_to_num(x), y)
    train, valid = ((model.predict(np.nan_to_num(p.inputs)) == p.targets).astype(np.float64) for p in both)
    return train, valid


def twins(evidence: TrainingEvidence) -> dict[str, Numbers]:
    """Losses on the validation rows of simple models that learned from the training rows: (n,) each.

    A constant, a linear model, nearest neighbors and boosted trees, on flat inputs. Raises Skip for tasks or inputs
    that they cannot take.
    """
    return simple_models(evidence, *evidence.once(parts))


def simple_models(evidence: TrainingEvidence, train: Part, valid: Part) -> dict[str, Numbers]:
    """The twins, of rows with other inputs than the network's."""
    if not train.targets.size or not train.inputs.shape[1]:
        raise Skip("simple models cannot take these inputs or targets")
    if isinstance(evidence.task, Classification):
        return _class_twins(train, valid, len(evidence.task.labels))
    if isinstance(evidence.task, Regression):
        return _number_twins(train, valid, evidence)
    raise Skip("there are no simple models for this task here")


def _class_twins(train: Part, valid: Part, classes: int) -> dict[str, Numbers]:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    chosen = _some(len(train.targets), TWIN_ROWS)
    x, y = np.nan_to_num(train.inputs[chosen]), train.targets[chosen].astype(int)
    shown = np.nan_to_num(valid.inputs)
    models: dict[str, Any] = {
        "linear": make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)),
        "nearest neighbors": make_pipeline(StandardScaler(), KNeighborsClassifier(min(15, len(x)))),
        "boosted trees": HistGradientBoostingClassifier(max_iter=max(10, TREES // classes), random_state=0),
    }
    shares = np.bincount(y, minlength=classes) / len(y)
    found = {"constant": -np.log(np.maximum(shares, 1e-6))[valid.targets.astype(int)]}
    if len(np.unique(y)) < 2:
        return found
    for name, model in models.items():
        model.fit(x, y)
        known = np.full((len(shown), classes), 1e-6)
        known[:, model.classes_] = model.predict_proba(shown)
        known = np.maximum(known, 1e-3 if name == "nearest neighbors" else 1e-6)
        known /= known.sum(1, keepdims=True)
        found[name] = -np.log(known[np.arange(len(shown)), valid.targets.astype(int)])
    return found


def _number_twins(train: Part, valid: Part, evidence: TrainingEvidence) -> dict[str, Numbers]:
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if train.outputs.shape[1] != 1:
        raise Skip("the answers are not one number for each row")
    chosen = _some(len(train.targets), TWIN_ROWS)
    x, y, shown = np.nan_to_num(train.inputs[chosen]), train.targets[chosen], np.nan_to_num(valid.inputs)
    models: dict[str, Any] = {
        "linear": make_pipeline(StandardScaler(), RidgeCV()),
        "boosted trees": HistGradientBoostingRegressor(max_iter=TREES // 2, random_state=0),
    }
    found = {"constant": (valid.targets - y.mean()) ** 2}
    for name, model in models.items():
        found[name] = (valid.targets - model.fit(x, y).predict(shown)) ** 2
    return found


def part_of(evidence: TrainingEvidence, examples: Examples) -> Part:
    """Up to MOST rows in the order drawn by the recipe's seed, under the evidence's network."""
    losses, outputs, targets, inputs, count = list[Tensor](), list[Tensor](), list[Tensor](), list[Tensor](), 0
    with evaluating(evidence.network):
        for batch in evidence.drawn(examples, max(256, evidence.recipe.batch_size)):
            losses.append(evidence.loss(evidence.network, batch).float().cpu())
            answer = evidence.forward(evidence.network, batch)
            if isinstance(answer, Tensor) and answer.ndim == 2:
                outputs.append(answer.float().cpu())
            else:
                outputs.append(torch.empty(len(batch), 0))
            if len(batch.targets) == 1 and batch.targets[0].numel() == len(batch):
                targets.append(batch.targets[0].flatten().double().cpu())
            inputs.append(flat(batch))
            count += len(batch)
            if count >= MOST:
                break
    same = len({x.shape[1] for x in inputs}) == 1
    return Part(
        torch.cat(losses).double().numpy(),
        torch.cat(outputs).double().numpy(),
        torch.cat(targets).numpy() if targets else np.empty(0),
        torch.cat(inputs).double().numpy() if same else np.empty((count, 0)),
    )


def flat(batch: Batch) -> Tensor:
    """Numbers and pixels side by side, every few of very many; nothing for codes of words."""
    columns = [x.cpu().flatten(1) if x.ndim > 1 else x.cpu()[:, None] for x in batch.inputs]
    if any(not x.is_floating_point() and x.dtype != torch.uint8 for x in batch.inputs):
        return torch.empty(len(batch), 0)
    flat = torch.cat(columns, 1)
    return flat[:, :: -(-flat.shape[1] // TWIN_COLUMNS)].to(torch.float32, copy=True)  # a view would hold all pixels


def _some(count: int, most: int) -> NDArray[np.int64]:
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)
