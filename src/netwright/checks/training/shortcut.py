"""Whether a network relies on one small part of its inputs, and whether it should."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import isfinite
from typing import Literal, final

import numpy as np
import torch
from torch import Tensor

from netwright.checks.data.target_leaks import MISSED_CLASSES, SURE
from netwright.checks.evidence import Skip
from netwright.checks.training.evidence import TrainingEvidence
from netwright.checks.training.held_out import LEAST, Numbers, flat, parts, simple_models
from netwright.checks.training.progress import bars, chance
from netwright.records.batch import Batch, joined
from netwright.records.finding import Finding, Remedy
from netwright.records.schema import Block
from netwright.records.task import Numbers as NumberTargets
from netwright.statistics import Interval, mean, share
from netwright.training.evaluate import evaluating

ROWS = 512  # validation rows to permute: they measure a share of one half to within 6 points
BYTES = 1 << 27  # of them at most
AT_ONCE = 256  # rows
LEARNED = 0.25  # of the constant's errors must be gone: half of less is within chance
LIVES_ON = 0.5  # of the gain over the best constant that permuting a block must cost
PATCHES = 4  # of a picture's side
RANGES = 8  # of steps
MOST_COLUMNS = 64  # more are grouped with their neighbors: each costs a pass over the rows
BORDER = 8  # a picture's outer eighth is where stamps and frames are
ENOUGH = 0.8  # of the network's gain that simple models of the block alone, and of the rest alone, must reach
AUDITED = ("NW134", "NW135")  # columns that leak the answer

Family = Literal["columns", "patches", "channels", "steps"]


@final
@dataclass(frozen=True, eq=False)
class _Part:
    """Some cells of one input tensor."""

    family: Family
    name: str
    number: int  # of the tensor
    cells: Tensor  # bool, the shape of a row
    column: str = ""  # named by the data


@final
@dataclass(frozen=True, eq=False)
class _Costs:
    """The cost of permuting each part among rows, as a share of the gain over the best constant."""

    batch: Batch
    costs: tuple[tuple[_Part, Interval], ...]


def shortcut(evidence: TrainingEvidence) -> Iterator[Finding]:
    """a shortcut

    The network relies on one small part of its inputs that it should not need.

    Why it matters: a stamp in the corner, a frame or a scanner's number answers these rows, but not rows from
    elsewhere.

    How it is decided: among up to 512 validation rows (ROWS), the values of one block are permuted: a column, a patch
    of a 4 x 4 grid (PATCHES), a channel, an eighth of the steps (RANGES). The loss in score is compared with what the
    network gained over always answering the most frequent class, or the mean (Breiman 2001, "Random forests"; for
    squared errors half the cost counts, since a value from another row is wrong twice). A block carries the answer if
    it costs more than half of the gain (LIVES_ON) and the lower end of its 95 % interval does too. That is fine if no
    other block could. It is a warning if a second sign says that it is not. One: a column, or the part of a patch in a
    picture's outer eighth (BORDER), lets a tree predict the class of nearly every row, with the thresholds of the
    audit's leak checks. Two: the audit has named the column. Three, for pictures and series: simple models reach 0.8
    (ENOUGH) of the network's gain with the block alone and as much without it, so the network had a choice (Geirhos et
    al. 2020, arXiv:2004.07780). If one named column alone costs as much without such a sign, it is a note. A network
    that keeps three quarters of the constant's errors (LEARNED) is not judged. Nor are examples cut from rows, such as
    windows of a series: they are answered from what came before; see NW185 for columns that know too much.
    """
    if evidence.train.spans is not None:
        raise Skip("examples are cut from rows, and what came before carries the answer")
    found = evidence.once(_costs)
    heavy = [(part, cost) for part, cost in found.costs if cost.low > LIVES_ON]
    for part, cost in sorted(heavy, key=lambda one: int(one[0].cells.sum())):
        if sign := _second_sign(evidence, found.batch, part):
            yield _told(found, part, cost, sign)
            return
    named = [(part, cost) for part, cost in heavy if part.column]
    if len(named) == 1:
        yield _told(found, *named[0], "")


def _told(found: _Costs, part: _Part, cost: Interval, sign: str) -> Finding:
    family = [(other, paid) for other, paid in found.costs if other.family == part.family]
    family.sort(key=lambda one: -one[1].value)
    title = f"share of the gain lost by permuting {part.family}"
    remedies = (
        Remedy(f"drop {part.name}, and see what the network learns without it."),
        Remedy("add rows in which it does not predict the answer, or hide it at random (augment)."),
        Remedy("audit the data to see where it comes from."),
    )
    return Finding(
        "warning" if sign else "note",
        f"permuting {part.name} among rows loses {min(1.0, cost.value):.0%} of the gain over a constant answer"
        f"{'; ' if sign else ''}{sign}",
        (cost.measure(f"share of the gain that {part.name} carries", LIVES_ON),),
        (part.column,) if part.column else (),
        title="a shortcut" if sign else "one column carries the answer",
        confidence=0.9 if sign else 0.95,
        otherwise=("it is known whenever the network is used, and means the same there.",),
        remedies=remedies if sign else (),
        charts=(bars(title, "share of the gain", part.family, ((other.name, paid.value) for other, paid in family)),),
    )


def _costs(evidence: TrainingEvidence) -> _Costs:
    batch = _rows(evidence)
    before = _errors(evidence, batch)
    constant = _chance(evidence, batch)
    gained = constant - float(before.mean())
    if not gained > LEARNED * constant:
        raise Skip("the network learned too little to rely on anything")
    scale = gained * (2 if isinstance(evidence.view, NumberTargets) else 1)
    order = torch.randperm(len(batch), generator=torch.Generator().manual_seed(evidence.recipe.seed))
    source = torch.empty_like(order)
    source[order] = order.roll(1)  # every row gets another row's values
    costs = list[tuple[_Part, Interval]]()
    for part in _blocks(evidence, batch):
        x = batch.inputs[part.number]
        other = torch.where(part.cells.to(x.device), x[source.to(x.device)], x)
        inputs = (*batch.inputs[: part.number], other, *batch.inputs[part.number + 1 :])
        lost = mean(_errors(evidence, replace(batch, inputs=inputs)) - before)
        costs.append((part, lost / scale))
    if not costs:
        raise Skip("there are no columns, pixels or steps to permute")
    return _Costs(batch, tuple(costs))


def _rows(evidence: TrainingEvidence) -> Batch:
    """The validation rows to examine, in one batch."""
    found, count, size = list[Batch](), 0, 0
    for batch in evidence.drawn(evidence.valid, min(AT_ONCE, evidence.recipe.batch_size)):
        found.append(batch.head(ROWS - count))
        count += len(found[-1])
        size += sum(x.nbytes for x in batch.inputs)
        if count >= ROWS or size >= BYTES:
            break
    if count < LEAST:
        raise Skip(f"fewer than {LEAST} validation rows")
    if len({tuple(x.shape[1:] for x in batch.inputs) for batch in found}) > 1:
        raise Skip("rows of different batches have different shapes")
    return joined(found)


def _errors(evidence: TrainingEvidence, batch: Batch) -> Numbers:
    """Errors if there are classes, else losses: (n,) of a batch, smaller is better."""
    found = list[Tensor]()
    with evaluating(evidence.network):
        for some in map(batch.pick, torch.arange(len(batch)).split(AT_ONCE)):
            if evidence.classes:
                answers = evidence.forward(evidence.network, some)
                if not isinstance(answers, Tensor) or answers.ndim != 2:
                    raise Skip("the network does not give one output per class")
                found.append((answers.argmax(1).cpu() != torch.from_numpy(evidence.positions(some))).double())
            else:
                found.append(evidence.loss(evidence.network, some).double().cpu())
    return torch.cat(found).numpy()


def _chance(evidence: TrainingEvidence, batch: Batch) -> float:
    """The error of the best constant answer, in the unit of `_errors`."""
    if evidence.classes:
        targets = torch.from_numpy(evidence.positions(batch))
        return float((targets != targets.mode().values).double().mean())
    cost = chance(evidence, [batch])
    if not isfinite(cost):
        raise Skip("the loss of a constant answer is not known")
    return cost


def _blocks(evidence: TrainingEvidence, batch: Batch) -> Iterator[_Part]:
    """Columns if rows have columns; else patches, channels and steps."""
    blocks = evidence.run.schema.blocks if evidence.run is not None else ()
    is_lone = len(batch.inputs) == 1
    for number, x in enumerate(batch.inputs):
        block = blocks[number] if len(blocks) == len(batch.inputs) else None
        row = torch.zeros(x.shape[1:], dtype=torch.bool)
        if block is not None and block.fields[0].joins:
            for place, field in enumerate(block.fields):
                yield _Part("columns", field.name, number, _at(row, 0, place, place + 1), field.name)
        elif not is_lone or row.ndim == 0:
            name = f"input {number + 1}" if block is None else block.name
            yield _Part("columns", name, number, ~row, "" if block is None else block.name)
        if (block is None or not block.fields[0].joins) and _holds_numbers(x):
            yield from _inside(number, row, block)


def _inside(number: int, row: Tensor, block: Block | None) -> Iterator[_Part]:
    """Parts of a row of numbers (F,), steps (T, C) or a picture (C, H, W); (H, W) may be either."""
    if row.ndim == 1:
        for low, high in _cuts(len(row), MOST_COLUMNS):
            yield _Part("columns", _said("column", low, high), number, _at(row, 0, low, high))
    if row.ndim == 2:
        for low, high in _cuts(row.shape[0], RANGES):
            yield _Part("steps", _said("step", low, high), number, _at(row, 0, low, high))
    if row.ndim in (2, 3) and row.shape[axis := 3 - row.ndim] > 1:
        for low, high in _cuts(row.shape[axis], MOST_COLUMNS):
            yield _Part("channels", _said("channel", low, high), number, _at(row, axis, low, high))
    if row.ndim == 3 or (row.ndim == 2 and block is None):
        height, width = row.shape[-2:]
        for top, bottom in _cuts(height, PATCHES):
            for left, right in _cuts(width, PATCHES):
                name = f"the patch of rows {top} to {bottom - 1}, columns {left} to {right - 1}"
                cells = _at(row, -2, top, bottom) & _at(row, -1, left, right)
                yield _Part("patches", name, number, cells)


def _second_sign(evidence: TrainingEvidence, batch: Batch, part: _Part) -> str:
    """The reason why the network should not rely on this part; empty if there is none."""
    audit = evidence.run.audit if evidence.run is not None else None
    if part.column and audit is not None:
        named = [f.code for f in audit.findings if f.code in AUDITED and part.column in f.columns]
        if named:
            return f"the audit reports it as a leak ({named[0]})"
    can_tell = evidence.classes and part.family in ("columns", "patches")
    if can_tell and _tells_alone(batch, part):
        where = "its part at the border" if part.family == "patches" else "it"
        return f"{where} alone predicts the class of nearly every row"
    if part.family != "columns" and _had_the_choice(evidence, part, batch):
        return "simple models reach nearly the same with it alone, and with all the rest"
    return ""


def _tells_alone(batch: Batch, part: _Part) -> bool:
    """Whether a tree can predict the class of nearly every row from a column, or from a patch's cells at the border."""
    from sklearn.tree import DecisionTreeClassifier

    cells = part.cells & _border(part.cells) if part.family == "patches" else part.cells
    x = torch.nan_to_num(batch.inputs[part.number].cpu().double())[:, cells].numpy()
    y = batch.targets[0].reshape(-1).cpu().numpy()
    if not x.size:
        return False
    odd = np.arange(len(y)) % 2 == 1
    told = DecisionTreeClassifier(random_state=0).fit(x[~odd], y[~odd]).predict(x[odd])
    of_constant = 1 - np.unique(y, return_counts=True)[1].max() / len(y)
    missed = share(int((told != y[odd]).sum()), int(odd.sum()))
    return missed.value < MISSED_CLASSES * of_constant and missed.high < SURE * of_constant


def _border(cells: Tensor) -> Tensor:
    """The outer cells of a picture (C, H, W); for rows (H, W), which may be steps, only the corner patches."""
    sides = list[Tensor]()
    for axis in (-2, -1):
        length = cells.shape[axis]
        wide = max(1, length // (BORDER if cells.ndim == 3 else PATCHES))
        empty = torch.zeros_like(cells)
        sides.append(_at(empty, axis, 0, wide) | _at(empty, axis, length - wide, length))
    return sides[0] | sides[1] if cells.ndim == 3 else sides[0] & sides[1]


def _had_the_choice(evidence: TrainingEvidence, part: _Part, batch: Batch) -> bool:
    """Whether simple models get most of the network's gain from the part alone, and from everything else."""
    train, valid = evidence.once(parts)
    masks = (part.cells if k == part.number else torch.zeros(x.shape[1:]) for k, x in enumerate(batch.inputs))
    cells = flat(Batch(tuple(mask[None].float() for mask in masks), (), torch.zeros(1))).bool().numpy()[0]
    if train.inputs.shape[1] != len(cells):
        return False
    for kept in (cells, ~cells):
        both = [replace(each, inputs=np.where(kept, each.inputs, 0.0)) for each in (train, valid)]
        losses = {name: float(each.mean()) for name, each in simple_models(evidence, *both).items()}
        constant = losses.pop("constant")
        if not losses or constant - min(losses.values()) < ENOUGH * (constant - float(valid.losses.mean())):
            return False
    return True


def _holds_numbers(x: Tensor) -> bool:
    """Whether single cells can be exchanged: no codes of words, no padding."""
    return (x.dtype == torch.uint8 and x.ndim == 4) or (x.is_floating_point() and not bool(x.isnan().any()))


def _at(row: Tensor, axis: int, low: int, high: int) -> Tensor:
    cells = torch.zeros_like(row)
    cells.narrow(axis, low, high - low).fill_(True)
    return cells


def _cuts(length: int, most: int) -> list[tuple[int, int]]:
    """At most so many consecutive pieces of about the same length."""
    count = min(length, most)
    return [(k * length // count, (k + 1) * length // count) for k in range(count)]


def _said(what: str, low: int, high: int) -> str:
    return f"{what} {low}" if high - low == 1 else f"{what}s {low} to {high - 1}"
