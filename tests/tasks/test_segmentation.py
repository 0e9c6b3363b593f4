from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image as PIL
from torch import nn
from torchmetrics.functional.segmentation import mean_iou

from netwright.kinds.image import Image
from netwright.records.batch import Batch
from netwright.records.errors import DataError, NetworkError, Unreadable
from netwright.records.recipe import Recipe
from netwright.records.schema import Schema
from netwright.tasks.segmentation import Segmentation


class Same(nn.Module):
    """Its input is its output."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def _cells(*masks: object) -> pl.DataFrame:
    return pl.DataFrame({"mask": list(masks)})


def _png(values: list[list[int]], mode: str = "L") -> bytes:
    file = BytesIO()
    image = PIL.fromarray(np.array(values, dtype=np.uint8))
    if mode == "P":
        image.putpalette([0, 0, 0, 255, 0, 0] + [9] * 762)
    image.convert(mode).save(file, "png")
    return file.getvalue()


def test_values_are_classes_and_255_is_ignored():
    cells = _cells(_png([[0, 7], [7, 255]]), _png([[0, 0], [7, 0]]))
    task = Segmentation.learn(cells)
    assert task == Segmentation(values=(0, 7), size=(2, 2), counts=(4, 3))
    assert task.encode(cells)[0].tolist() == [[[0, 1], [1, 255]], [[0, 0], [1, 0]]]


def test_black_and_white_masks_have_two_classes():
    task = Segmentation.learn(_cells(_png([[0, 255], [0, 0]])))
    assert task.values == (0, 255)
    assert task.encode(_cells(_png([[0, 255], [0, 0]])))[0].tolist() == [[[0, 1], [0, 0]]]


def test_masks_come_as_files_palettes_and_arrays(tmp_path: Path):
    values = [[0, 1], [1, 1]]
    (tmp_path / "mask.png").write_bytes(_png(values, "P"))
    forms = [
        _cells(str(tmp_path / "mask.png")),
        _cells(_png(values, "P")),
        pl.DataFrame({"mask": np.array([values], dtype=np.uint8)}),
        pl.DataFrame({"mask": np.array([values], dtype=np.float32)[..., None]}),
    ]
    for cells in forms:
        assert Segmentation.matches(cells)
        assert Segmentation.learn(cells).encode(cells)[0].tolist() == [values]


def test_masks_of_other_sizes_are_brought_to_the_median_by_the_nearest_pixel():
    small, large = [[0, 1], [1, 0]], np.kron([[0, 1], [1, 0]], np.ones((2, 2), dtype=int)).tolist()
    task = Segmentation.learn(_cells(_png(large), _png(large), _png(small)))
    assert task.size == (4, 4)
    assert task.encode(_cells(_png(small)))[0].tolist() == [large]
    assert Segmentation((0, 1), (2, 2)).encode(_cells(_png(large)))[0].tolist() == [small]


def test_huge_masks_are_made_smaller_with_their_sides_ratio():
    wide = np.zeros((100, 1024), dtype=int)
    wide[:, 512:] = 1
    assert Segmentation.learn(_cells(_png(wide.tolist()))).size == (25, 256)


def test_masks_that_cannot_be_read_are_unreadable_and_the_others_are_read(tmp_path: Path):
    task = Segmentation((0, 1), (2, 2))
    good, color = _png([[0, 1], [0, 0]]), _png([[0, 1], [0, 0]], "RGB")
    with pytest.raises(Unreadable) as caught:
        task.encode(_cells(good, color, good[:40], b"", None, _png([[0, 9], [0, 0]])))
    assert sorted(caught.value.bad) == [1, 2, 3, 4, 5]
    assert caught.value.encoded[0][0].tolist() == [[0, 1], [0, 0]]
    assert caught.value.bad[1] == "which is a color image: class numbers are grey values or palette indexes"
    assert caught.value.bad[5] == "which has the value 9, unknown from training"
    assert str(caught.value).startswith("in 5 rows 'mask' has no readable mask: the first is row 1, which is")
    with pytest.raises(Unreadable, match=r"nowhere\.png, which is not a complete image"):
        task.encode(_cells(str(tmp_path / "nowhere.png")))


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        (_cells(b"x"), "'mask' has no readable mask: the first, encoded in 1 bytes, which is not a complete image"),
        (_cells(_png([[3, 3], [255, 3]])), "the masks of 'mask' have only one class (3)"),
    ],
)
def test_masks_that_cannot_be_learned_are_refused(cells: pl.DataFrame, text: str):
    with pytest.raises(DataError) as caught:
        Segmentation.learn(cells)
    assert caught.value.problem.startswith(text)


def test_ignored_pixels_neither_cost_nor_count():
    task, outputs = Segmentation((0, 1), (1, 2)), torch.tensor([[[[3.0, 9.0]], [[0.0, 0.0]]]])
    known, ignored = torch.tensor([[[0, 1]]]), torch.tensor([[[0, 255]]])
    alone = -torch.tensor([3.0, 0.0]).log_softmax(0)[0]
    for objective in (task.losses, task.objective(Recipe())):
        assert objective(Same(), Batch((outputs,), (ignored,), torch.arange(1))).tolist() == pytest.approx(
            [float(alone)]
        )
        assert float(objective(Same(), Batch((outputs,), (known,), torch.arange(1)))) > 4
    score = task.score()
    score.add(outputs, Batch((outputs,), (ignored,), torch.arange(1)))
    assert score.quick()["pixel_accuracy"] == 1.0
    nothing = Batch((outputs,), (torch.full((1, 1, 2), 255),), torch.arange(1))
    assert task.losses(Same(), nothing).tolist() == [0.0]


def test_mean_iou_agrees_with_torchmetrics():
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(6, 3, 8, 8, generator=generator)
    targets = torch.randint(0, 3, (6, 8, 8), generator=generator)
    score = Segmentation((0, 1, 2), (8, 8)).score()
    score.add(outputs, Batch((outputs,), (targets,), torch.arange(6)))
    # one large image: torchmetrics averages over images, we sum over them as the benchmarks do
    flat = [t.transpose(0, 1).reshape(1, 3, 48, 8) for t in (outputs, nn.functional.one_hot(targets, 3).movedim(3, 1))]
    theirs = mean_iou(nn.functional.one_hot(flat[0].argmax(1), 3).movedim(3, 1), flat[1].long(), num_classes=3)
    assert score.quick()["mean_iou"] == pytest.approx(float(theirs), abs=1e-6)


def test_outputs_of_another_size_are_interpolated_and_of_another_shape_refused():
    task = Segmentation((0, 4), (4, 4))
    coarse = torch.tensor([[[[5.0, -5.0], [5.0, -5.0]], [[0.0, 0.0], [0.0, 0.0]]]])
    answers = task.predict(Same(), Batch((coarse,), (), torch.arange(1)))
    assert answers["mask"].dtype == pl.Array(pl.UInt8, (4, 4))
    assert answers["mask"].to_numpy()[0].tolist() == [[0, 0, 4, 4]] * 4
    with pytest.raises(NetworkError) as caught:
        task.predict(Same(), Batch((coarse[:, :1],), (), torch.arange(1)))
    assert str(caught.value) == (
        "the network returned (1, 1, 2, 2), but segmentation into 2 classes at 4 x 4 needs (1, 2, 4, 4)\n"
        "  fix: give the network outputs of shape (1, 2, 4, 4)."
    )


def _shapes(count: int, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Light discs and dark squares in noise as strong, 32 x 32, and their masks: 0 ground, 1 disc, 2 square."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:32, :32]
    masks = np.zeros((count, 32, 32), dtype=np.uint8)
    for mask in masks:
        for kind in (1, 2):
            radius, (row, column) = generator.integers(4, 8), generator.integers(6, 26, 2)
            down, across = np.abs(y - row), np.abs(x - column)
            mask[down**2 + across**2 <= radius**2 if kind == 1 else np.maximum(down, across) <= radius * 0.85] = kind
    light = generator.normal(128, 40, masks.shape) + np.array([0, 40, -40])[masks]
    return pl.DataFrame({"photo": light.clip(0, 255).astype(np.uint8)}), pl.DataFrame({"mask": masks})


def test_a_network_learns_to_outline_shapes():
    (photos, masks), (new_photos, new_masks) = _shapes(120, 0), _shapes(60, 1)
    schema = Schema((Image.learn("photo", photos["photo"]),))
    task = Segmentation.learn(masks)
    recipe = Recipe().edit({"depth": 1, "width": 16, "lr": 0.003, "dropout": 0.0})
    network, objective = task.network(schema, recipe), task.objective(recipe)
    inputs, targets = schema.encode(photos)[0], task.encode(masks)[0]
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.lr)
    for epoch in range(6):
        for rows in torch.randperm(120, generator=torch.Generator().manual_seed(epoch)).split(12):
            optimizer.zero_grad()
            objective(network, Batch((inputs[rows],), (targets[rows],), rows)).mean().backward()
            optimizer.step()
    test = Batch(schema.encode(new_photos), task.encode(new_masks), torch.arange(60))
    scores = {}
    with torch.no_grad():
        network.eval()
        for name, outputs in {"network": network(*test.inputs), "constant": task.constant((targets,))}.items():
            score = task.score()
            score.add(outputs.expand(60, *outputs.shape[1:]), test)
            scores[name] = score.result()["mean_iou"]
    assert scores["constant"].high < 0.35  # everything is ground: right there, never on a shape
    assert scores["network"].low > 0.7
    found = task.predict(network, test)["mask"].to_numpy()
    assert (found == new_masks["mask"].to_numpy()).mean() > 0.9
