"""Training and validation rows with their losses under the kept weights; and simple models of the same rows."""

from dataclasses import dataclass, replace
from functools import partial
from typing import final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from netwright.checks.evidence import Skip
from netwright.checks.training.evidence import TrainingEvidence
from netwright.machine.threads import one_blas_thread
from netwright.records.batch import Batch, Examples, Rows
from netwright.records.features import scaled
from netwright.records.task import Labels
from netwright.simple_models import constant as constants
from netwright.simple_models import linear, neighbors, trees
from netwright.simple_models.wanted import FLOOR, Fit, Wanted
from netwright.training.evaluate import evaluating

MOST = 10_000  # rows of each part: enough for narrow intervals
TWIN_ROWS, TWIN_COLUMNS = 5_000, 256  # that simple models learn from: takes seconds
TREES = 120  # boosted, of all classes together
LEAST = 50  # rows: fewer show nothing

Numbers = NDArray[np.float64]


@final
@dataclass(frozen=True, eq=False)
class Part:
    """Some rows of a part."""

    losses: Numbers  # (n,) the task's own loss, without smoothing
    outputs: Numbers  # (n, width) logits or answers; (n, 0) for other shapes
    targets: Numbers  # (n,) classes or values; (0,) for other shapes
    inputs: Numbers  # (n, columns) flat; (n, 0) if they cannot be flattened


def parts(evidence: TrainingEvidence) -> tuple[Part, Part]:
    """Training and validation rows. Raises Skip if there are too few."""
    if len(evidence.valid) < LEAST or len(evidence.train) < LEAST:
        raise Skip(f"fewer than {LEAST} validation rows")
    both = part_of(evidence, evidence.train), part_of(evidence, evidence.valid)
    if not all(np.isfinite(part.losses).all() for part in both):
        raise Skip("the network's answers are NaN or infinite")
    return both


def independent(examples: Examples) -> int:
    """How many of the examples are independent: their groups, if they have some."""
    return len(examples) if examples.groups is None else len(examples.groups.unique())


def hits(part: Part) -> Numbers:
    """(n,) 1 if the most probable class is right."""
    return (part.outputs.argmax(1) == part.targets).astype(np.float64)


def cross_entropy(logits: Numbers, targets: NDArray[np.int64]) -> Numbers:
    """(n,) of logits (n, classes)."""
    return np.logaddexp.reduce(logits, 1) - logits[np.arange(len(targets)), targets]


def known_hits(evidence: TrainingEvidence) -> tuple[Numbers, Numbers]:
    """Hits on training and on validation rows of a linear model fitted to both, so it favors neither.

    Rows that it finds harder are harder by chance, not because they were held out. Zeros if it cannot be fitted.
    """
    both = evidence.once(parts)
    nothing = np.zeros(len(both[0].losses)), np.zeros(len(both[1].losses))
    if not all(part.inputs.shape[1] and part.targets.size for part in both):
        return nothing
    chosen = [_some(len(part.targets), TWIN_ROWS // 2) for part in both]
    x, y = (
        np.concatenate([values[rows] for values, rows in zip(some, chosen, strict=True)])
        for some in ([part.inputs for part in both], [part.targets for part in both])
    )
    wanted = _wanted(evidence, y)
    if wanted is None or wanted.form != "classes":
        return nothing
    read = scaled(torch.from_numpy(x))
    weights = "balanced" if evidence.recipe.class_weights == "balanced" else None
    answer = linear.fit(read(torch.from_numpy(x)), wanted, strength=1.0, weights=weights)
    if answer is None:
        raise Skip("no linear model of these targets could be fitted for comparison")
    train, valid = (answer(read(torch.from_numpy(p.inputs))).argmax(1).numpy() == p.targets for p in both)
    return train.astype(np.float64), valid.astype(np.float64)


def twins(evidence: TrainingEvidence) -> dict[str, Numbers]:
    """Losses on validation rows of simple models fitted to the training rows: (n,) each.

    A constant, a linear model, nearest neighbors and boosted trees, on flat inputs. Raises Skip for tasks or inputs
    that they cannot use.
    """
    return simple_models(evidence, *evidence.once(parts))


def simple_models(evidence: TrainingEvidence, train: Part, valid: Part) -> dict[str, Numbers]:
    """The twins, for rows with other inputs than the network's."""
    if not train.targets.size or not train.inputs.shape[1]:
        raise Skip("its own simple models take rows of numbers with one target each")
    chosen = _some(len(train.targets), TWIN_ROWS)
    y = train.targets[chosen]
    if (wanted := _wanted(evidence, y)) is None:
        raise Skip("its own simple models answer with one label or number for each row")
    is_class, classes = wanted.form == "classes", wanted.outputs
    if not is_class and train.outputs.shape[1] != 1:
        raise Skip("the answers are not one number per row")
    shares = np.bincount(wanted.values, minlength=classes) / len(y) if is_class else np.ones(1)
    constant = np.log(np.maximum(shares, FLOOR)) if is_class else y.mean()
    rounds = max(10, TREES // classes) if is_class else TREES // 2
    models: dict[str, Fit] = {
        "constant": constants.fit,
        "linear": partial(linear.fit, strength=1.0),
        **({"nearest neighbors": neighbors.fit} if is_class else {}),
        "boosted trees": partial(trees.fit, rounds=rounds, leaves=31),
    }
    wanted = replace(wanted, constant=torch.from_numpy(np.reshape(constant, (1, -1))))
    read = scaled(torch.from_numpy(train.inputs[chosen]))
    x, shown = (read(torch.from_numpy(inputs)) for inputs in (train.inputs[chosen], valid.inputs))
    with one_blas_thread():
        answers = {name: fit(x, wanted, 0) for name, fit in models.items()}
    return {name: _losses(answer(shown), valid) for name, answer in answers.items() if answer is not None}


def _wanted(evidence: TrainingEvidence, targets: Numbers) -> Wanted | None:
    """Targets that are one label or one number per row."""
    view = None if evidence.task is None else evidence.task.view((torch.from_numpy(targets),))
    if isinstance(view, Labels):
        return Wanted.classes(view.positions, len(view.names))
    return None if view is None else Wanted.numbers(targets)


def _losses(outputs: Tensor, valid: Part) -> Numbers:
    targets = torch.from_numpy(valid.targets)
    if outputs.shape[1] == 1:
        return ((targets - outputs[:, 0]) ** 2).numpy()
    return F.cross_entropy(outputs, targets.long(), reduction="none").numpy()


def part_of(evidence: TrainingEvidence, examples: Examples) -> Part:
    """Up to MOST rows in the order drawn from the recipe's seed, answered by the evidence's network."""
    answers, targets, inputs, count, widths = Rows(), Rows(), Rows(), 0, set[int]()
    with evaluating(evidence.network):
        for batch in evidence.drawn(examples, max(256, evidence.recipe.batch_size)):
            answer = evidence.forward(evidence.network, batch)
            flat_answer = answer.float().cpu() if isinstance(answer, Tensor) and answer.ndim == 2 else None
            output = torch.empty(len(batch), 0) if flat_answer is None else flat_answer
            answers.add((evidence.loss(evidence.network, batch).float().cpu(), output))
            if len(batch.targets) == 1 and batch.targets[0].numel() == len(batch):
                targets.add((batch.targets[0].flatten().double().cpu(),))
            columns = flat(batch)
            widths.add(columns.shape[1])
            if len(widths) == 1:
                inputs.add((columns,))
            count += len(batch)
            if count >= MOST:
                break
    losses, outputs = answers.joined()
    return Part(
        losses.double().numpy(),
        outputs.double().numpy(),
        targets.joined()[0].numpy() if targets.joined() else np.empty(0),
        inputs.joined()[0].double().numpy() if len(widths) == 1 else np.empty((count, 0)),
    )


def flat(batch: Batch) -> Tensor:
    """Numbers and pixels side by side, thinned out if there are many; nothing for codes of words."""
    columns = [x.cpu().flatten(1) if x.ndim > 1 else x.cpu()[:, None] for x in batch.inputs]
    if any(not x.is_floating_point() and x.dtype != torch.uint8 for x in batch.inputs):
        return torch.empty(len(batch), 0)
    flat = torch.cat(columns, 1)
    return flat[:, :: -(-flat.shape[1] // TWIN_COLUMNS)].to(
        torch.float32, copy=True
    )  # a view would keep all pixels in memory


def _some(count: int, most: int) -> NDArray[np.int64]:
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)
