"""A class for every pixel of an image."""

from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import ClassVar, Self, final

import numpy as np
import polars as pl
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from netwright.machine.quiet import without_warnings
from netwright.models.network import dense
from netwright.records.batch import Batch
from netwright.records.errors import DataError, Unreadable, listed
from netwright.records.recipe import Recipe
from netwright.records.schema import Schema
from netwright.records.task import NO_INPUTS, Objective, Score, Task
from netwright.tasks import metrics
from netwright.tasks.cells import count_of, hold_pictures, only_column
from netwright.tasks.losses import Loss, choose_loss, class_weights
from netwright.tasks.outputs import fail_shape, infer

IGNORED = 255  # the value of pixels without a label: Pascal VOC's, and every library's since
LONGEST = 256  # pixels: longer sides are shrunk to it; a thousand masks then stay below 64 MB
MOST_PIXELS = 100_000_000  # a mask that claims more is a slip or a decompression bomb
RARE = 0.5  # pixels: what a class without one counts in the best constant answer, whose logit is then finite


@final
@dataclass(frozen=True)
class Segmentation(Task):
    """Masks are grey or palette images, or arrays, whose pixel values are class numbers; 255 is ignored.

    Masks of the two values 0 and 255 are black and white: both are classes. `values` are the pixel values of the
    classes, `counts` their training pixels, `size` the (height, width) to which masks are brought, by the nearest
    pixel. Outputs of another size are interpolated to it. Training watches the mean IoU: an image holds thousands of
    pixels, so it is steady on few images, and unlike the loss it does not forget small classes.
    """

    values: tuple[int, ...]
    size: tuple[int, int]
    counts: tuple[int, ...] = ()

    name: ClassVar[str] = "segmentation"
    metric: ClassVar[str] = "mean_iou"
    higher_is_better: ClassVar[bool] = True

    @staticmethod
    def matches(cells: pl.DataFrame) -> bool:
        """One column of pictures."""
        return cells.width == 1 and hold_pictures(cells.to_series())

    @classmethod
    def learn(cls, cells: pl.DataFrame, schema: Schema = NO_INPUTS) -> Self:
        """The classes, their pixels and the size (the median's). Masks that cannot be read are left to `encode`.

        Raises DataError where no mask can be read, or where all hold one class.
        """
        column = only_column(cells, "segmentation")
        counts, sizes, reasons = np.zeros(256, dtype=np.int64), list[tuple[int, int]](), list[str]()
        for cell in _cells(column):
            try:
                mask = _read(cell)
            except (OSError, ValueError, SyntaxError) as error:
                reasons.append(str(error))
                continue
            counts += np.bincount(mask.ravel(), minlength=256)
            sizes.append((mask.shape[0], mask.shape[1]))
        if not sizes:
            first = f": the first, {reasons[0]}" if reasons else ""
            raise DataError(f"{column.name!r} holds no mask that can be read{first}", remedy="choose another target.")
        present = [int(value) for value in np.flatnonzero(counts)]
        values = present if present == [0, IGNORED] else [value for value in present if value != IGNORED]
        if len(values) < 2:
            held = listed([str(value) for value in values]) or "no labelled pixel"
            raise DataError(
                f"the masks of {column.name!r} hold one class ({held}): it cannot be told from another",
                remedy="add masks with pixels of another class.",
            )
        return cls(tuple(values), _usual(sizes), tuple(int(counts[value]) for value in values))

    def encode(self, cells: pl.DataFrame) -> tuple[Tensor, ...]:
        """(N, H, W) uint8 positions in `values`, 255 where ignored; masks that cannot be read are all 255."""
        column = only_column(cells, "segmentation")
        encoded = np.full((len(column), *self.size), IGNORED, dtype=np.uint8)
        bad: dict[int, str] = {}
        for row, cell in enumerate(_cells(column)):
            try:
                encoded[row] = self._positions(_resized(_read(cell), self.size))
            except (OSError, ValueError, SyntaxError) as error:
                bad[row] = str(error)
        if bad:
            first = next(iter(bad))
            raise Unreadable(
                f"in {count_of(len(bad), 'row')} {column.name!r} holds no mask that can be read: "
                f"the first is row {first}, {bad[first]}",
                "leave these rows out, or save the masks as grey or palette images of class numbers.",
                torch.from_numpy(encoded),
                bad,
            )
        return (torch.from_numpy(encoded),)

    def network(self, schema: Schema, recipe: Recipe) -> nn.Module:
        """(B, K, H, W) logits."""
        return dense(schema, recipe, len(self.values))

    def objective(self, recipe: Recipe) -> Objective:
        """The mean over an image's labelled pixels of cross entropy or focal loss; 0 for an image without any."""
        loss = choose_loss(recipe, ("cross_entropy", "focal"), self.name)
        weights = class_weights(recipe, self.counts, self.name)

        def losses(network: nn.Module, batch: Batch) -> Tensor:
            return self._losses(loss, weights, self._sized(network(*batch.inputs), batch), batch.targets[0])

        return losses

    def score(self) -> Score:
        """mean_iou over the classes, pixel_accuracy, and log_loss per image; resampled by image."""
        return metrics.Kept(
            self._keep, _quick, columns=len(self.values), labels=tuple(str(value) for value in self.values)
        )

    def predict(self, network: nn.Module, batch: Batch) -> pl.DataFrame:
        """mask: an array (H, W) of the pixel values that the training masks use, as `encode` takes it back."""
        best = self._sized(infer(network, batch), batch).argmax(1).cpu().numpy()
        masks = np.array(self.values, dtype=np.uint8)[best]
        return pl.DataFrame({"mask": pl.Series(masks, dtype=pl.Array(pl.UInt8, self.size))})

    def chance_loss(self, targets: tuple[Tensor, ...]) -> float:
        """What answering every pixel with the classes' shares costs."""
        outputs = self.constant(targets).expand(len(targets[0]), -1, *self.size)
        return float(
            self._losses(choose_loss(Recipe(), ("cross_entropy",), self.name), None, outputs, targets[0]).mean()
        )

    def constant(self, targets: tuple[Tensor, ...]) -> Tensor:
        """(1, K, 1, 1): the logarithm of each class's share, every image counting the same."""
        known = torch.stack([(targets[0] == k).flatten(1).sum(1) for k in range(len(self.values))], dim=1).double()
        pixels = known.sum(1, keepdim=True)
        shares = (known / pixels.clamp(min=1)).sum(0).clamp(min=RARE / max(float(pixels.max()), 1.0))
        return (shares / shares.sum()).log().float()[None, :, None, None]

    def describe(self) -> str:
        """`segmentation into 3 classes at 32 x 32`."""
        return f"segmentation into {len(self.values)} classes at {self.size[0]} x {self.size[1]}"

    def _positions(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        places = np.full(256, -1, dtype=np.int64)
        places[IGNORED] = IGNORED
        places[list(self.values)] = np.arange(len(self.values))
        found = places[mask]
        if found.min() < 0:
            raise ValueError(f"which holds the value {int(mask[found < 0].min())} that no training mask has")
        return found.astype(np.uint8)

    def _sized(self, outputs: object, batch: Batch) -> Tensor:
        """Logits (B, K, *size) as float32, interpolated where the network answers at another size."""
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

    def _keep(self, outputs: Tensor | tuple[Tensor, ...], batch: Batch) -> tuple[Tensor, ...]:
        """For each image its loss, and for each class its right, its true and its answered pixels: (B, K) each."""
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


def _cells(column: pl.Series) -> Iterable[object]:
    return column.to_numpy() if isinstance(column.dtype, pl.Array) else column


def _read(cell: object) -> NDArray[np.uint8]:
    """A mask's pixel values, (H, W). Raises OSError, ValueError or SyntaxError (Pillow's) with what is wrong."""
    if cell is None:
        raise ValueError("which is missing")
    pixels = _opened(cell) if isinstance(cell, str | bytes) else np.asarray(cell)
    if pixels.ndim == 3 and 1 in (pixels.shape[0], pixels.shape[-1]):
        pixels = pixels.squeeze(0 if pixels.shape[0] == 1 else -1)
    if pixels.ndim != 2:
        raise ValueError("which is a colour image: class numbers are grey values or palette indexes")
    if pixels.size == 0 or pixels.min() < 0 or pixels.max() > IGNORED or (pixels != np.floor(pixels)).any():
        raise ValueError("whose values are not whole numbers from 0 to 255")
    return pixels.astype(np.uint8)


def _opened(cell: str | bytes) -> NDArray[np.generic]:
    where = cell if isinstance(cell, str) else f"encoded in {len(cell)} bytes"
    try:
        with (
            without_warnings(Image.DecompressionBombWarning),  # its size is compared below
            Image.open(cell if isinstance(cell, str) else BytesIO(cell)) as image,
        ):
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"{where}, which has {image.width} x {image.height} pixels")
            return np.asarray(image)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{where}, which is no whole image ({error})") from None


def _resized(mask: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The pixel nearest to each new pixel's centre: class numbers have no mean."""
    if mask.shape == size:
        return mask
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(np.int64) for new, old in zip(size, mask.shape, strict=True)
    )
    return mask[rows[:, None], columns]


def _usual(sizes: list[tuple[int, int]]) -> tuple[int, int]:
    """The median height and width, shrunk to LONGEST with the sides' ratio kept."""
    height, width = np.median(np.array(sizes), axis=0)
    shrink = min(1.0, LONGEST / max(height, width))
    return max(1, round(height * shrink)), max(1, round(width * shrink))
