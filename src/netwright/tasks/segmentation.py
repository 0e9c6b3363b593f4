"""A class for every pixel of an image."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self, final

import polars as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netwright.kinds.mask import IGNORED, Mask
from netwright.models.modes import evaluating
from netwright.models.network import dense
from netwright.records.batch import Batch, Geometry, Outputs
from netwright.records.recipe import Recipe
from netwright.records.schema import Schema
from netwright.records.task import NO_INPUTS, Objective, Score, Task
from netwright.tasks import metrics
from netwright.tasks.cells import only_column, refuse_detail
from netwright.tasks.losses import Loss, choose_loss, class_weights
from netwright.tasks.outputs import fail_shape

RARE = 0.5  # a class without pixels counts as this many in the best constant answer, so its logit is finite


@final
@dataclass(frozen=True)
class Segmentation(Task):
    """Masks are grey or palette images, or arrays, whose pixel values are class numbers; 255 is ignored.

    If masks have only the values 0 and 255, they are black and white, and both are classes. `values` are the pixel
    values of the classes, `counts` their training pixels. Masks are resized to `size` (height, width) by the nearest
    pixel; outputs of another size are interpolated to it. Training watches the mean IoU: an image has thousands of
    pixels, so it is stable on few images, and unlike the loss it does not neglect small classes.
    """

    values: tuple[int, ...]
    size: tuple[int, int]
    counts: tuple[int, ...] = ()

    name: ClassVar[str] = "segmentation"
    metric: ClassVar[str] = "mean_iou"
    higher_is_better: ClassVar[bool] = True

    follows: ClassVar[bool] = True
    harm_name: ClassVar[str] = "share of wrong pixels"

    @staticmethod
    def matches(cells: pl.DataFrame) -> bool:
        """One column of images."""
        return cells.width == 1 and Mask.matches(cells.to_series())

    @classmethod
    def learn(cls, cells: pl.DataFrame, schema: Schema = NO_INPUTS, detail: str = "") -> Self:
        """The classes, their pixels and the size, as `Mask` learns them."""
        refuse_detail(cls.name, detail)
        column = only_column(cells, cls.name)
        mask = Mask.learn(column.name, column)
        return cls(mask.values, mask.size, mask.counts)

    def encode(self, cells: pl.DataFrame) -> tuple[Tensor, ...]:
        """(N, H, W) uint8 positions in `values`, 255 if ignored; masks that cannot be read are all 255."""
        column = only_column(cells, self.name)
        return (self._mask(column.name).encode(column),)

    def moved(self, targets: tuple[Tensor, ...], geometry: Geometry) -> tuple[Tensor, ...]:
        """Masks moved like the images, by the nearest pixel."""
        return tuple(map(geometry.maps, targets))

    def network(self, schema: Schema, recipe: Recipe) -> nn.Module:
        """(B, K, H, W) logits."""
        return dense(schema, recipe, len(self.values))

    def objective(self, recipe: Recipe) -> Objective:
        """Mean cross entropy or focal loss over an image's labeled pixels; 0 for an image without any."""
        loss = choose_loss(recipe, ("cross_entropy", "focal"), self.name)
        weights = class_weights(recipe, self.counts, self.name)

        def losses(network: nn.Module, batch: Batch) -> Tensor:
            return self._losses(loss, weights, self._sized(self.forward(network, batch), batch), batch.targets[0])

        return losses

    def harm(self, outputs: Outputs, clean: Outputs, batch: Batch) -> Tensor:
        """The share of labeled pixels that are wrong."""
        known = batch.targets[0] != IGNORED
        wrong = (self._sized(outputs, batch).argmax(1) != batch.targets[0]) & known
        return wrong.flatten(1).sum(1) / known.flatten(1).sum(1).clamp(min=1)

    def score(self) -> Score:
        """mean_iou over the classes, pixel_accuracy, and log_loss per image; resampled by image."""
        return metrics.Kept(
            self._keep, _quick, columns=len(self.values), labels=tuple(str(value) for value in self.values)
        )

    def predict(self, network: nn.Module, batch: Batch) -> pl.DataFrame:
        """mask: an array (H, W) of the training masks' pixel values; `encode` accepts it."""
        with evaluating(network):
            best = self._sized(self.forward(network, batch), batch).argmax(1)
        return self._mask("mask").decode(best).to_frame()

    def defaults(self, schema: Schema, rows: int) -> Mapping[str, object]:
        """No augmentation: masks would not follow."""
        return {"augment": ()}

    def constant(self, targets: tuple[Tensor, ...]) -> Tensor:
        """(1, K, 1, 1): the logarithm of each class's share, with equal weight for every image."""
        known = torch.stack([(targets[0] == k).flatten(1).sum(1) for k in range(len(self.values))], dim=1).double()
        pixels = known.sum(1, keepdim=True)
        shares = (known / pixels.clamp(min=1)).sum(0).clamp(min=RARE / max(float(pixels.max()), 1.0))
        return (shares / shares.sum()).log().float()[None, :, None, None]

    def describe(self) -> str:
        """`segmentation into 3 classes at 32 x 32`."""
        return f"segmentation into {len(self.values)} classes at {self.size[0]} x {self.size[1]}"

    def _mask(self, name: str) -> Mask:
        return Mask.of(name, self.values, self.size, self.counts)

    def _sized(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Logits (B, K, *size) as float32, interpolated if the network answers at another size."""
        if not isinstance(outputs, Tensor) or outputs.ndim != 4 or outputs.shape[:2] != (len(batch), len(self.values)):
            fail_shape(outputs, (len(batch), len(self.values), *self.size), self.describe())
        logits = outputs.float()
        if logits.shape[2:] == self.size:
            return logits
        return F.interpolate(logits, self.size, mode="bilinear", align_corners=False)

    def _losses(self, loss: Loss, weights: Tensor | None, outputs: Tensor, targets: Tensor) -> Tensor:
        known = targets != IGNORED
        truth = targets.long() * known
        each = loss(outputs.movedim(1, -1).flatten(0, 2), truth.flatten()).unflatten(0, targets.shape) * known
        if weights is not None:
            each = each * weights.to(each.device)[truth]
        return each.flatten(1).sum(1) / known.flatten(1).sum(1).clamp(min=1)

    def _keep(self, outputs: Outputs, batch: Batch) -> tuple[Tensor, ...]:
        """For each image its loss, and for each class its correct, true and predicted pixels: (B, K) each."""
        logits, targets, count = self._sized(outputs, batch), batch.targets[0], len(self.values)
        known = targets != IGNORED
        truth, answers = targets.long(), logits.argmax(1)
        pairs = torch.where(known, truth * count + answers, count * count).flatten(1)
        table = torch.zeros(len(batch), count * count + 1, device=pairs.device)
        table.scatter_add_(1, pairs, torch.ones(pairs.shape, device=pairs.device))
        table = table[:, :-1].unflatten(1, (count, count))
        loss = self._losses(choose_loss(Recipe(), ("cross_entropy",), self.name), None, logits, targets)
        return loss, table.diagonal(dim1=1, dim2=2), table.sum(2), table.sum(1)


def _quick(
    loss: metrics.Array, right: metrics.Array, true: metrics.Array, given: metrics.Array
) -> dict[str, metrics.Statistic]:
    losses = metrics.mean_of(loss, "lower")
    return {
        "loss": losses,
        "mean_iou": metrics.mean_ratio_of(right, true + given - right, "higher"),
        "pixel_accuracy": metrics.ratio_of(right.sum(1), true.sum(1), "higher"),
        "log_loss": losses,
    }
