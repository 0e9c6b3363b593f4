"""Boxes in small pictures: several target tensors, ragged; outputs by name; several rows of answers for an example."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self, final

import numpy as np
import polars as pl
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from netwright.models.modes import evaluating
from netwright.models.network import joined
from netwright.records.batch import Batch, Geometry, Outputs
from netwright.records.errors import Unreadable
from netwright.records.recipe import Recipe
from netwright.records.schema import Schema
from netwright.records.task import NO_INPUTS, ROW, Objective, Score, Task
from netwright.tasks import metrics

SIDE = 16  # pixels


def write(folder: Path) -> Path:
    """Pictures with no, one or two bright boxes, and a table that says where; one cell is no box."""
    generator, rows = np.random.default_rng(0), list[tuple[str, str]]()
    (folder / "pictures").mkdir()
    for number in range(240):
        pixels, boxes = generator.integers(0, 60, (SIDE, SIDE)).astype(np.uint8), list[str]()
        for left in (0, 8)[: generator.integers(0, 3)]:
            x, y, width, height = left + generator.integers(0, 3), *generator.integers(1, 6, 3)
            width = min(int(width), 5)
            pixels[y : y + height, x : x + width] = 220
            boxes.append(f"{x} {y} {width} {height}")
        path = folder / "pictures" / f"{number}.png"
        Image.fromarray(pixels).save(path)
        rows.append((str(path), ";".join(boxes) or "none"))
    rows[17] = (rows[17][0], "left of the middle")
    pl.DataFrame(rows, schema=["picture", "boxes"], orient="row").write_csv(folder / "boxes.csv")
    return folder / "boxes.csv"


@final
@dataclass(frozen=True)
class Boxes(Task):
    """Boxes are shares of the sides (left, top, width, height), from left to right; `most` is how many a picture has.

    Targets: (N, most, 4) boxes and (N,) how many.
    """

    most: int

    name: ClassVar[str] = "boxes"
    metric: ClassVar[str] = "iou"
    higher_is_better: ClassVar[bool] = True
    follows: ClassVar[bool] = True

    @classmethod
    def learn(cls, cells: pl.DataFrame, schema: Schema = NO_INPUTS, detail: str = "") -> Self:
        found = (_read(cell) for cell in cells.to_series())
        return cls(max(1, max(len(boxes) for boxes in found if boxes is not None)))

    def encode(self, cells: pl.DataFrame) -> tuple[Tensor, ...]:
        boxes, counts = np.zeros((cells.height, self.most, 4), np.float32), np.zeros(cells.height, np.int64)
        bad = dict[int, str]()
        for row, cell in enumerate(cells.to_series()):
            if (found := _read(cell)) is None or len(found) > self.most:
                bad[row] = f"{cell!r} are no boxes"
                continue
            counts[row] = len(found)
            boxes[row, : len(found)] = np.array(found, np.float32).reshape(-1, 4)
        encoded = torch.from_numpy(boxes), torch.from_numpy(counts)
        if bad:
            raise Unreadable("some cells are no boxes", "write them as left top width height.", encoded, bad)
        return encoded

    def lengths(self, targets: tuple[Tensor, ...]) -> tuple[Tensor | None, ...]:
        return targets[1].clamp(min=1), None

    def moved(self, targets: tuple[Tensor, ...], geometry: Geometry) -> tuple[Tensor, ...]:
        boxes, counts = targets
        corners = torch.cat([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], 1) * 2 - 1
        places = ((geometry.points(corners) + 1) / 2).clamp(0, 1)
        first, second = places[:, : boxes.shape[1]], places[:, boxes.shape[1] :]
        return torch.cat([torch.minimum(first, second), (first - second).abs()], 2), counts

    def network(self, schema: Schema, recipe: Recipe) -> nn.Module:
        return _Slots(joined(schema, recipe.edit({"members": 1}), self.most * 5), self.most)

    def objective(self, recipe: Recipe) -> Objective:
        def losses(network: nn.Module, batch: Batch) -> Tensor:
            return self._losses(self.forward(network, batch), batch)

        return losses

    def score(self) -> Score:
        return metrics.Kept(self._keep, _measures)

    def predict(self, network: nn.Module, batch: Batch) -> pl.DataFrame:
        with evaluating(network):
            outputs = self.forward(network, batch)
        assert isinstance(outputs, dict)
        row, slot = (outputs["scores"] > 0).nonzero(as_tuple=True)
        values = (outputs["boxes"][row, slot] * SIDE).cpu().numpy()
        columns = {name: values[:, k] for k, name in enumerate(("left", "top", "width", "height"))}
        return pl.DataFrame({ROW: batch.rows[row.cpu()].numpy(), **columns})

    def constant(self, targets: tuple[Tensor, ...]) -> Outputs:
        boxes, counts = targets
        shares = torch.stack([(counts > slot).float().mean() for slot in range(self.most)]).clamp(0.01, 0.99)
        return {
            "boxes": F.pad(boxes.float().mean(0), (0, 0, 0, self.most - boxes.shape[1]))[None],
            "scores": shares.logit()[None],
        }

    def describe(self) -> str:
        return f"up to {self.most} boxes"

    def _losses(self, outputs: Outputs, batch: Batch) -> Tensor:
        assert isinstance(outputs, dict)
        boxes, counts = batch.targets
        is_there = torch.arange(self.most, device=counts.device) < counts[:, None]
        wanted = F.pad(boxes, (0, 0, 0, self.most - boxes.shape[1]))
        far = ((outputs["boxes"] - wanted).abs().sum(2) * is_there).sum(1)
        return far + F.binary_cross_entropy_with_logits(outputs["scores"], is_there.float(), reduction="none").sum(1)

    def _keep(self, outputs: Outputs, batch: Batch) -> tuple[Tensor, ...]:
        assert isinstance(outputs, dict)
        wanted = F.pad(batch.targets[0], (0, 0, 0, self.most - batch.targets[0].shape[1]))
        overlap = _overlap(outputs["boxes"], wanted) * (outputs["scores"] > 0)
        return self._losses(outputs, batch), overlap, batch.targets[1], (outputs["scores"] > 0).sum(1)


@final
class _Slots(nn.Module):
    def __init__(self, network: nn.Module, most: int) -> None:
        super().__init__()
        self.network, self.most = network, most

    def forward(self, *inputs: Tensor) -> dict[str, Tensor]:
        outputs = self.network(*inputs).unflatten(1, (self.most, 5))
        return {"boxes": outputs[..., :4].float(), "scores": outputs[..., 4].float()}


def _read(cell: object) -> list[list[float]] | None:
    if cell == "none":
        return []
    try:
        boxes = [[int(number) / SIDE for number in box.split()] for box in str(cell).split(";")]
    except ValueError:
        return None
    return boxes if all(len(box) == 4 for box in boxes) else None


def _overlap(a: Tensor, b: Tensor) -> Tensor:
    """(B, slots): intersection over union of boxes side by side."""
    size = (
        torch.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])
    ).clamp(min=0)
    both = size.prod(2)
    return both / (a[..., 2:].clamp(min=0).prod(2) + b[..., 2:].prod(2) - both).clamp(min=1e-6)


def _measures(
    loss: NDArray[np.float32], overlap: NDArray[np.float32], count: NDArray[np.int64], given: NDArray[np.int64]
) -> dict[str, metrics.Statistic]:
    is_there = np.arange(overlap.shape[1]) < count[:, None]
    return {
        "loss": metrics.mean_of(loss, "lower"),
        "iou": metrics.ratio_of((overlap * is_there).sum(1), np.maximum(count, given), "higher"),
        "count_right": metrics.mean_of((count == given).astype(np.float64), "higher"),
    }
