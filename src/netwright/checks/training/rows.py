"""Whether rows and their targets reach the network as the data have them: aligned, and in an order that mixes them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netwright.checks.evidence import Skip
from netwright.checks.training.evidence import TrainingEvidence
from netwright.records.batch import Batch
from netwright.records.finding import Finding, Measure, Remedy
from netwright.records.nested import each_tensor
from netwright.records.watched import Pass
from netwright.training.evaluate import device_of, evaluating
from netwright.training.signals import targets_of

ROWS = 16  # rows that have to be found again: fewer show little
PAIRS, AGAIN = 2_000, 20_000  # rows read in the first pass, and in the second to find them again
MISALIGNED = 0.01  # share of rows with another label in the second pass
SCALED = 1e-3  # of the variance of a loop's targets, left by a line through those of the data: they are only scaled


@final
@dataclass(frozen=True, eq=False)
class Found:
    """A pass of a watched loop whose rows are in the data."""

    seen: Pass
    places: Tensor  # positions in the pass, of rows that are in the data with one target
    batch: Batch  # these rows, as the network got them, with the data's targets


def misaligned_labels(evidence: TrainingEvidence) -> Iterator[Finding]:
    """labels misaligned with inputs

    The same input has another label in a second pass.

    Why it matters: the network learns noise, and the loss shows only that it learns badly.

    How it is decided: up to 2,000 rows (PAIRS) of an engineer's loader are read, and then 20,000 (AGAIN) in another
    order. Inputs with a single label in the first pass must have the same label in the second. If more than a hundredth
    (MISALIGNED) of them have another one, the loader is at fault.

    In a watched loop, the rows of a few passes are found again in the data, and the targets that torch's loss kept for
    its backward pass are compared with those of the data. It is a finding if more than a hundredth differ, two rows at
    least, unless the loop's targets follow from the data's: other names of the classes, or numbers scaled.
    """
    in_the_loop = list(_misaligned_in_the_loop(evidence))
    yield from in_the_loop
    if in_the_loop or evidence.train.is_indexed:
        return
    first, second = _pairs(evidence, None, PAIRS), _pairs(evidence, 1, AGAIN)
    single = {key: next(iter(labels)) for key, labels in first.items() if len(labels) == 1}
    both = [key for key in single if key in second]
    if len(both) < ROWS:
        raise Skip("too few rows appear again in a second pass")
    wrong = sum(single[key] not in second[key] for key in both)
    share = wrong / len(both)
    if share > MISALIGNED:
        yield Finding(
            "error",
            f"{wrong:,} of {len(both):,} inputs have another label in a second pass over the data",
            (Measure("share of inputs with another label", share, threshold=MISALIGNED),),
            confidence=0.97,
            otherwise=("labels that are drawn at random on purpose.",),
            remedies=(Remedy("shuffle inputs and labels with one permutation, in one place."),),
        )


def found_again(evidence: TrainingEvidence) -> tuple[Found, ...]:
    """The watched passes of which at least ROWS rows, and half of all, are in the data.

    Those of a loop that changes its inputs, as augmentation does, are not.
    """
    loop = None if evidence.run is None else evidence.run.loop
    passes = [one for one in (() if loop is None else loop.passes) if _is_of_rows(one)]
    if not passes:
        return ()
    keys = [_keys(one.inputs, len(one.inputs[0])) for one in passes]
    targets = _targets_of(evidence, {key for some in keys for key in some})
    found = list[Found]()
    for one, names in zip(passes, keys, strict=True):
        places = [k for k, name in enumerate(names) if targets.get(name)]
        if len(places) >= max(ROWS, len(names) / 2):
            columns = zip(*(targets[names[k]] for k in places), strict=True)
            which = torch.tensor(places)
            inputs = tuple(x[which.to(x.device)] for x in one.inputs)
            batch = Batch(inputs, tuple(map(torch.stack, columns)), which).to(device_of(evidence.network))
            found.append(Found(one, which, batch))
    return tuple(found)


def _is_of_rows(one: Pass) -> bool:
    tensors = [x for x in one.inputs if isinstance(x, Tensor) and x.ndim]
    return bool(tensors) and len(tensors) == len(one.inputs) and len({len(x) for x in tensors}) == 1


def _targets_of(evidence: TrainingEvidence, wanted: set[bytes]) -> Mapping[bytes, tuple[Tensor, ...]]:
    """The targets of wanted rows, by the rows' keys; empty for equal inputs with different targets."""
    found, count = dict[bytes, tuple[Tensor, ...]](), 0
    for batch in evidence.train.plain().uncut().batches(evidence.recipe.batch_size, seed=None):
        for row, key in enumerate(_keys(batch.inputs, len(batch))):
            if key in wanted:
                targets = tuple(t[row].cpu() for t in batch.targets)
                known = found.setdefault(key, targets)
                if known and not all(map(torch.equal, known, targets)):
                    found[key] = ()
        count += len(batch)
        if count >= AGAIN:
            break
    return found


def _keys(inputs: tuple[Tensor, ...], count: int) -> list[bytes]:
    """A key for each row of some inputs."""
    flat = [x.detach().cpu().contiguous().reshape(count, -1).numpy() for x in inputs]
    return [blake2b(b"".join(x[row].tobytes() for x in flat), digest_size=16).digest() for row in range(count)]


def _misaligned_in_the_loop(evidence: TrainingEvidence) -> Iterator[Finding]:
    for found in reversed(evidence.once(found_again)):
        if len(found.seen.targets) != 1 or len(found.batch.targets) != 1:
            continue
        used, own = found.seen.targets[0], _expected(evidence, found.batch).cpu()
        if not used.ndim or len(used) != len(found.seen.inputs[0]):
            continue
        used = used.cpu()[found.places].reshape(len(own), -1).double().numpy()
        kept = own.reshape(len(own), -1).double().numpy()
        if used.shape != kept.shape or _follows(kept, used, is_label=not own.is_floating_point()):
            continue
        wrong = int((used != kept).any(1).sum())
        if wrong >= 2 and wrong > MISALIGNED * len(own):
            yield Finding(
                "error",
                f"in step {found.seen.step:,} the loop trained {wrong:,} of {len(own):,} rows with other labels or "
                "targets than the data have",
                (Measure("share of rows with another target", wrong / len(own), threshold=MISALIGNED),),
                confidence=0.97,
                otherwise=("targets that are changed on purpose, such as noise against overfitting.",),
                remedies=(
                    Remedy(
                        "take labels and inputs of a batch by the same row numbers, and do not shuffle or change the "
                        "labels inside the loop."
                    ),
                ),
            )
            return


def _expected(evidence: TrainingEvidence, batch: Batch) -> Tensor:
    """The targets that the given loss uses for these rows: their own, or some it makes, as losses of pairs do."""
    task = evidence.task if evidence.run is None else evidence.run.task
    if task is None:
        return batch.targets[0]
    with evaluating(evidence.network):
        outputs = task.forward(evidence.network, batch)
    with torch.enable_grad():
        used = targets_of(task.batch_loss(each_tensor(outputs, lambda part: part.detach().requires_grad_()), batch))
    fits = len(used) == 1 and used[0].ndim and len(used[0]) == len(batch)
    return used[0] if fits else batch.targets[0]


def _follows(kept: NDArray[np.float64], used: NDArray[np.float64], *, is_label: bool) -> bool:
    """Whether the loop's targets are those of the data under other names, or on another scale."""
    if is_label:
        pairs = {(a.tobytes(), b.tobytes()) for a, b in zip(kept, used, strict=True)}
        return len(pairs) == len({a for a, _ in pairs})
    columns = np.stack([kept.ravel(), np.ones(kept.size)], 1)
    rest = used.ravel() - columns @ np.linalg.lstsq(columns, used.ravel(), rcond=None)[0]
    return bool((rest**2).mean() <= SCALED * used.var())


def _pairs(evidence: TrainingEvidence, seed: int | None, most: int) -> dict[bytes, set[bytes]]:
    """Inputs of the first rows, or of the rows in another order, with their labels."""
    pairs, count = dict[bytes, set[bytes]](), 0
    for batch in evidence.train.batches(evidence.recipe.batch_size, seed=seed):
        for key, label in zip(*(_keys(part, len(batch)) for part in (batch.inputs, batch.targets)), strict=True):
            pairs.setdefault(key, set()).add(label)
        count += len(batch)
        if count >= most:
            break
    return pairs
