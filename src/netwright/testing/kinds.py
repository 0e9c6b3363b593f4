"""The contract of a kind of column."""

from dataclasses import replace
from typing import Any

import polars as pl
import torch
from pydantic import TypeAdapter
from torch import Tensor

from netwright.models.stem import Stem
from netwright.records.errors import Unreadable
from netwright.records.recipe import Recipe
from netwright.records.schema import Block, Field, Signal
from netwright.records.threat import Reach

NAME = "x <b>"  # a column name that a report must escape


def check_kind(kind: type[Field], training: pl.Series, unseen: pl.Series) -> None:
    """Runs the whole contract of a kind on training cells and unseen cells.

    At least one training cell should be missing if the kind can learn from that, and `unseen` should also hold missing
    cells. Raises AssertionError with a sentence that says what is broken.
    """
    training, unseen = training.alias(NAME), unseen.alias(NAME)
    _claim(kind.matches(training), f"{kind.__name__} matches its own training cells")
    field = kind.learn(NAME, training)
    check_encoding(field, training)
    check_unseen(field, training, unseen)
    check_json(field, unseen)
    check_target(field, unseen)
    if field.is_input:
        check_stem(field, pl.concat([training, unseen]))
        check_way(field, pl.concat([training, unseen]))
    check_words(field, [*training.head(3), *unseen])


def check_encoding(field: Field, training: pl.Series) -> None:
    """One compact tensor of N rows, within the field's bounds; a cell encodes the same alone as in its column."""
    encoded = encode(field, training)
    _claim(len(encoded) == len(training), f"{field.kind}: {len(training)} cells encode as as many rows")
    _claim(encoded.dtype != torch.float64, f"{field.kind}: the encoded type is compact, not float64")
    _claim(encoded.is_contiguous(), f"{field.kind}: the encoded tensor is contiguous")
    present = encoded[~encoded.isnan()] if encoded.is_floating_point() else encoded
    least, greatest = float(present.min()), float(present.max())
    _claim(
        field.low <= least and greatest <= field.high,
        f"{field.kind}: encoded training cells ({least:g} to {greatest:g}) are within {field.low:g} to {field.high:g}",
    )
    _claim(field.reach >= 0, f"{field.kind}: reach is not negative")
    for row in range(min(3, len(training))):
        alone = encode(field, training[row : row + 1])
        _claim(_same(alone, encoded[row : row + 1]), f"{field.kind}: cell {row} encodes alone as in its column")
    _claim(encode(field, training.clear()).shape == (0, *encoded.shape[1:]), f"{field.kind}: no cells encode as none")


def check_unseen(field: Field, training: pl.Series, unseen: pl.Series) -> None:
    """Unseen cells encode to the same shape and type; odd ones differ from those read as in training."""
    for cells in (training, unseen, training.clear()):
        masks = [odd.cells for odd in field.odd(cells)]
        whole = all(len(mask) == len(cells) and mask.dtype == pl.Boolean for mask in masks)
        _claim(whole, f"{field.kind}: odd cells are a mask of the column")
    expected, encoded = encode(field, training), encode(field, unseen)
    _claim(
        encoded.shape == (len(unseen), *expected.shape[1:]) and encoded.dtype == expected.dtype,
        f"{field.kind}: unseen cells encode as {expected.dtype} {tuple(expected.shape[1:])}, "
        f"not {encoded.dtype} {tuple(encoded.shape[1:])}",
    )


def check_json(field: Field, cells: pl.Series) -> None:
    """The field survives JSON, and encodes the same afterwards."""
    adapter: TypeAdapter[Any] = TypeAdapter(type(field))
    again = adapter.validate_json(adapter.dump_json(field))
    _claim(again == field, f"{field.kind}: the field survives JSON")
    _claim(_same(encode(again, cells), encode(field, cells)), f"{field.kind}: it encodes the same after JSON")


def check_target(field: Field, cells: pl.Series) -> None:
    """A target's missing cells are unreadable; the others encode as for an input."""
    target = replace(field, role="target")
    encoded, missing = encode(target, cells), set(cells.is_null().arg_true().to_list())
    _claim(_same(encoded, encode(field, cells)), f"{field.kind}: a target encodes as an input")
    try:
        target.encode(cells)
    except Unreadable as error:
        missing -= set(error.bad)
    _claim(not missing or not field.family, f"{field.kind}: the missing cells {missing} of a target are unreadable")


def check_stem(field: Field, cells: pl.Series, recipe: Recipe | None = None) -> None:
    """The stem's output fits its Signal, is finite, does not depend on other rows, and passes gradients."""
    recipe = recipe or Recipe(dropout=0.0)
    block = Block((field, field) if field.joins else (field,))
    inputs = encode(field, cells)
    inputs = torch.stack([inputs, inputs], dim=1) if field.joins else inputs
    stem, signal = block.stem(recipe)
    if field.reach > 0:  # attacks then pass floats instead of the bytes from files
        inputs = inputs.float()
    inputs = inputs.requires_grad_() if inputs.is_floating_point() else inputs
    _claim(isinstance(stem, Stem), f"{field.kind}: the first module is a Stem of models/stem.py")
    outputs, lengths = _run(field, stem, inputs)
    _check_fit(field, outputs, lengths, signal)
    _claim(
        bool(outputs.isfinite().all()), f"{field.kind}: the stem's output is finite for missing and unseen cells too"
    )
    alone, _ = _run(field, stem, inputs[:1])
    together = outputs[:1, : alone.shape[1]] if signal.form == "sequence" else outputs[:1]
    _claim(torch.allclose(alone, together, atol=1e-6), f"{field.kind}: the stem works row by row")
    if outputs.requires_grad:
        _check_gradients(field, stem, inputs, outputs)


def check_way(field: Field, cells: pl.Series) -> None:
    """An adversary's swaps fit the cells and change them; immutable columns stay; every cell can be said in words."""
    block = Block((field, field) if field.joins else (field,))
    inputs = encode(field, cells)
    said = [field.said(cell) for cell in inputs]
    _claim(all(said) and field.contrasted(inputs[0], inputs[0])[0] == said[0], f"{field.kind}: cells are said in words")
    immutable = block.way(Reach(immutable=frozenset({field.name})))
    _claim(not immutable.is_open, f"{field.kind}: an immutable column does not change")
    way = block.way(Reach())
    if way.swaps is None:
        return
    inputs = torch.stack([inputs, inputs], dim=1) if field.joins else inputs
    candidates, allowed = way.swaps(inputs, 1.0)
    fits = candidates.shape == (*allowed.shape, *inputs.shape[2:]) and allowed.shape[:2] == inputs.shape[:2]
    _claim(fits and candidates.dtype == inputs.dtype, f"{field.kind}: what a cell is swapped for is like the cell")
    changed = (
        (candidates != inputs[:, :, None]).flatten(3).any(3) if inputs.ndim > 2 else candidates != inputs[..., None]
    )
    _claim(bool(changed[allowed].all()), f"{field.kind}: no cell is swapped for itself")
    found = candidates[allowed]
    found = found if found.is_floating_point() else found.float()
    _claim(bool(found.isfinite().all()), f"{field.kind}: no cell is swapped for a missing one")


def check_words(field: Field, cells: list[Any]) -> None:
    """The field and its cells can be shown to a person; HTML is escaped."""
    _claim(bool(field.describe().strip()), f"{field.kind}: describe says something")
    for cell in cells:
        shown = field.show(cell)
        _claim(bool(shown) and "<b>" not in shown, f"{field.kind}: show gives escaped HTML, not {shown[:80]!r}")
        _claim(bool(field.show("<b>bold</b>" if isinstance(cell, str) else cell)), f"{field.kind}: show takes any cell")


def encode(field: Field, cells: pl.Series) -> Tensor:
    """The encoded column, with unreadable cells blank."""
    try:
        return field.encode(cells)
    except Unreadable as error:
        _claim(bool(error.bad) and bool(error.remedy), f"{field.kind}: an Unreadable names positions and a remedy")
        return error.encoded[0]


def _run(field: Field, stem: Any, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
    """The stem's output for a batch cut to its longest row; the same after its lookup."""
    lengths = field.lengths(inputs)
    _claim((lengths is not None) == stem.is_sequence, f"{field.kind}: only sequences have lengths")
    said = () if lengths is None else (lengths,)
    if lengths is not None:
        _claim(torch.equal(lengths, stem.lengths(inputs)), f"{field.kind}: field and stem agree where padding begins")
        inputs = inputs[:, : int(lengths.max())]
    out = stem(inputs, *said)
    out = out if isinstance(out, tuple) else (out, None)
    with torch.no_grad():
        looked_up = stem.lookup(inputs)
        again = stem(looked_up, *said)
    _claim(looked_up.is_floating_point(), f"{field.kind}: the lookup gives floats")
    same = torch.equal(again[0] if isinstance(again, tuple) else again, out[0])
    _claim(same, f"{field.kind}: the stem gives the same after its lookup")
    return out


def _check_fit(field: Field, outputs: Tensor, lengths: Tensor | None, signal: Signal) -> None:
    fits = {
        "vector": outputs.shape[1:] == (signal.width,),
        "map": outputs.shape[1:] == (signal.width, *signal.size),
        "sequence": outputs.ndim == 3 and outputs.shape[2] == signal.width and outputs.shape[1] <= sum(signal.size),
    }[signal.form]
    _claim(fits, f"{field.kind}: the stem's output {tuple(outputs.shape)} fits its signal, {signal}")
    _claim((lengths is not None) == (signal.form == "sequence"), f"{field.kind}: sequences come with lengths")
    if lengths is not None:
        in_range = bool((lengths >= 1).all()) and int(lengths.max()) <= outputs.shape[1]
        _claim(lengths.dtype == torch.int64 and in_range, f"{field.kind}: lengths are int64, 1 to the batch's longest")


def _check_gradients(field: Field, stem: torch.nn.Module, inputs: Tensor, outputs: Tensor) -> None:
    generator = torch.Generator().manual_seed(0)
    (outputs * torch.randn(outputs.shape, generator=generator)).sum().backward()
    for name, weight in stem.named_parameters():
        reached = weight.grad is not None and bool(weight.grad.isfinite().all()) and bool((weight.grad != 0).any())
        _claim(reached, f"{field.kind}: a finite gradient reaches the stem's {name}")
    if inputs.is_floating_point():
        grad = inputs.grad
        _claim(grad is not None and bool(grad.isfinite().all()), f"{field.kind}: the gradient of the input is finite")
        _claim(grad is not None and bool((grad != 0).any()), f"{field.kind}: a gradient reaches the input")


def _same(first: Tensor, second: Tensor) -> bool:
    return torch.equal(first.isnan(), second.isnan()) and torch.equal(first.nan_to_num(), second.nan_to_num())


def _claim(holds: bool, sentence: str) -> None:
    if not holds:
        raise AssertionError(f"broken: {sentence}")
