"""Rows that are nearly the same: mirrored, shifted, recompressed pictures, edited texts, table rows with a changed
cell.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from netwright.checks.data.encoded import Column, blocks
from netwright.checks.data.repeats import (
    RICH,
    Hashes,
    compared_cells,
    equal_pairs,
    hashed,
    mixed,
    repeats,
    spread,
)
from netwright.checks.evidence import DataEvidence, Skip
from netwright.data.split import Rows

MOST_ROWS = 100_000  # compared in all pairs: the time grows with the square; of more rows, that many are drawn
SIDE = 32  # pixels of the longer side that are compared: a thumbnail that a person can recognize
LEAST_SIDE = 16  # pixels: of 1,797 digits of 8 x 8, 26 look like a copy of another one, and none is
MOVED = 8  # pixels of the side per pixel of the shift
SHIFT = 2  # pixels of the thumbnail by which a copy may be moved
FREQUENCIES = 10  # of 32: those that shifts, brightness and JPEG do not change
DIRECTIONS = 64  # of the descriptor: random pairs then have a cosine of 0 +- 1/8
NEIGHBORS = 5  # candidates of a row: copies came first among 99 % of pictures shifted by two pixels
CANDIDATE = 0.5  # lowest cosine of descriptors; 99 % of copies shifted by two pixels are above
FLOOR = 0.3  # of the mean amplitude: weaker details are noise and not amplified further
ALIKE = 0.85  # lowest correlation of details: JPEG at quality 75 leaves 0.88 of Fashion-MNIST's in 98 %
STANDS_OUT = 0.4  # distance of a copy over that of the next similar row, seen from both rows
SAME = 0.97  # correlation of details from which distances to others are ignored: in bursts all are alike
SERIES_ALIKE = 0.999  # correlation of two series
LEAST_VALUES = 32  # of a series: with 8 random values some were as similar by chance
TEXT_ALIKE = 0.6  # Jaccard similarity of words and word pairs: one changed word gives 0.63 of 7, 0.86 of 20
BANDS, BAND = 40, 4  # of minima: texts of similarity 0.6 share a band with probability 1 - (1 - 0.6^4)^40 = 99.6 %
LEAST_WORDS = 6  # of a text: in shorter ones a changed word makes a different text
TEMPLATE = (
    20.0  # bits that shared words must have beyond chance: a phrase of a language, whose words depend on each other
)
MOST_BUCKET = 50  # texts that agree in a band; more of them follow a template
DIGITS = 4  # that numbers of a table are rounded to
LEAST_COLUMNS = 4  # of a table
LISTED = 1_000  # columns up to which all pairs are listed, half a million
COLUMN_PAIRS = 30  # used to count the rows that agree in all cells but two
TABLE_RATIO = 2.0  # pairs that agree in more cells over those that agree in fewer: below 1 by chance

Pairs = NDArray[np.int64]
"""(pairs, 2): rows of the data, the smaller one first."""


@dataclass(frozen=True, eq=False)
class Near:
    """Pairs of rows that are nearly but not exactly equal; of equal rows the first one represents all."""

    pairs: Pairs
    likeness: NDArray[np.float64]  # of each pair, up to 1
    count: int  # rows that were compared


def near(evidence: DataEvidence) -> Near:
    """By the kind of data: pictures, series, texts or a table. Raises Skip in training's own audit: it is slow."""
    if evidence.is_fast:
        raise Skip("it is too slow for training; `netwright audit` runs it")
    firsts = np.unique(evidence.once(repeats).first)
    rows = np.sort(np.random.default_rng(evidence.seed).permutation(firsts)[:MOST_ROWS])
    for block, column in blocks(evidence):
        family = block.fields[0].family
        if family == "pictures":
            return _of(rows, *_pictures(column, rows))
        if family in RICH:
            return _of(rows, *_series(column, rows))
    texts = _texts(evidence)
    if texts is not None:
        return _of(rows, *_alike_texts(texts.gather(rows), evidence.seed))
    return _of(firsts, *_table_rows(evidence, firsts))


def _of(rows: Rows, pairs: Pairs, likeness: NDArray[np.float64]) -> Near:
    order = np.argsort(-likeness, kind="stable")
    return Near(rows[pairs[order]], likeness[order], len(rows))


def _pictures(column: Column, rows: Rows) -> tuple[Pairs, NDArray[np.float64]]:
    """Candidates by the strength of frequencies, which shifts and mirrors keep; then by details at the best shift."""
    pictures = _thumbnails(column, rows)
    if min(pictures.shape[1:]) < LEAST_SIDE:
        raise Skip(f"pictures below {LEAST_SIDE} x {LEAST_SIDE} pixels have too few details to recognize copies")
    pairs = _neighbors(_whitened(_amplitudes(pictures)))
    likeness = _best_correlation(_details(pictures), pairs)
    return _that_stand_out(pairs, likeness, ALIKE)


def _thumbnails(column: Column, rows: Rows) -> Tensor:
    """(rows, height, width) float32, grey, at most SIDE pixels a side, minus their mean."""
    found = list[Tensor]()
    for some in torch.from_numpy(rows).split(1024):
        grey = column(some).cpu().float().mean(dim=1)
        factor = max(grey.shape[1:]) / SIDE
        if factor > 1:
            size = [max(1, round(side / factor)) for side in grey.shape[1:]]
            grey = functional.interpolate(grey[:, None], size, mode="area")[:, 0]
        found.append(grey - grey.mean(dim=(1, 2), keepdim=True))
    return torch.cat(found)


def _amplitudes(pictures: Tensor) -> Tensor:
    """(rows, features): logarithms of the Fourier amplitudes; a mirrored picture has the same.

    A shift changes only phases, apart from what leaves the picture, so the border is faded out.
    """
    height, width = pictures.shape[1:]
    faded = pictures * _fade(height)[:, None] * _fade(width)
    high, wide = min(FREQUENCIES, height // 2), min(FREQUENCIES, width // 2)
    found = list[Tensor]()
    for block in faded.split(4096):
        here = torch.fft.fft2(block).abs()
        there = here[:, :, torch.arange(width).neg() % width]  # of the mirrored picture
        larger = torch.maximum(here, there)[:, :high, :wide].flatten(1)[:, 1:]
        smaller = torch.minimum(here, there)[:, 1:high, 1:wide].flatten(1)
        found.append(torch.cat([larger, smaller], dim=1))
    strengths = torch.cat(found)
    strengths = strengths / strengths.norm(dim=1, keepdim=True).clamp(min=1e-6)
    return (strengths + 0.1 * strengths.mean(dim=1, keepdim=True) + 1e-6).log()


def _fade(size: int) -> Tensor:
    return (2 * torch.sin(torch.linspace(0, torch.pi, size + 2)[1:-1])).clamp(max=1)


def _whitened(features: Tensor) -> Tensor:
    """(rows, up to DIRECTIONS): unit vectors along the main directions, each with the same variance."""
    centered = features - features.mean(dim=0)
    variances, directions = torch.linalg.eigh(centered.T @ centered / len(centered))
    kept = variances[-DIRECTIONS:] > 1e-6 * variances[-1]
    found = (centered @ directions[:, -DIRECTIONS:][:, kept]) / variances[-DIRECTIONS:][kept].sqrt()
    return functional.normalize(found, dim=1)


def _neighbors(vectors: Tensor) -> Pairs:
    """Pairs of rows of which one is among the NEIGHBORS nearest of the other; `vectors` have length 1."""
    from sklearn.neighbors import NearestNeighbors

    if len(vectors) < 2:
        return np.empty((0, 2), np.int64)
    search = NearestNeighbors(n_neighbors=min(NEIGHBORS, len(vectors) - 1), algorithm="brute").fit(vectors.numpy())
    distances, others = search.kneighbors()  # of each row but itself
    row, rank = np.nonzero(1 - distances**2 / 2 > CANDIDATE)
    return np.unique(np.sort(np.stack([row, others[row, rank]], axis=1), axis=1), axis=0)


def _details(pictures: Tensor) -> Tensor:
    """The pictures with all frequencies about equally strong, so that outlines do not outweigh details.

    What things of one kind share is strong in all pictures; what distinguishes them is weak.
    """
    size = (pictures.shape[1], pictures.shape[2])
    amplitude = sum((torch.fft.rfft2(block).abs().sum(dim=0) for block in pictures.split(4096)), torch.zeros(1))
    amplitude = amplitude / len(pictures)
    floor = FLOOR * amplitude.mean() + 1e-6
    blocks_ = [torch.fft.irfft2(torch.fft.rfft2(b) / (amplitude + floor), s=size) for b in pictures.split(4096)]
    return torch.cat(blocks_)


def _best_correlation(pictures: Tensor, pairs: Pairs) -> NDArray[np.float64]:
    """The correlation of the middle of one picture with the other one, at the best shift, as it is or mirrored.

    The best shift comes from the products of spectra, which treat pictures as periodic.
    """
    if not len(pairs):  # an empty batch has no Fourier transform
        return np.empty(0)
    shift = min(SHIFT, min(pictures.shape[1:]) // MOVED)
    found = list[Tensor]()
    for some in torch.from_numpy(pairs).split(2048):
        one, other = pictures[some[:, 0]], pictures[some[:, 1]]
        middle = one[:, shift : one.shape[1] - shift, shift : one.shape[2] - shift].flatten(1)
        middle = functional.normalize(middle - middle.mean(dim=1, keepdim=True), dim=1)
        spectrum = torch.fft.rfft2(one).conj()
        best = torch.full((len(some),), -1.0)
        for image in (other, other.flip(2)):
            window = _window(image, spectrum, shift)
            window = functional.normalize(window - window.mean(dim=1, keepdim=True), dim=1)
            best = torch.maximum(best, (middle * window).sum(dim=1))
        found.append(best.clamp(max=1))
    return torch.cat(found).double().numpy()


def _window(images: Tensor, spectrum: Tensor, shift: int) -> Tensor:
    """(images, pixels): the part of each image that covers the middle of the one whose conjugate spectrum is given."""
    height, width = images.shape[1:]
    high, wide, steps = height - 2 * shift, width - 2 * shift, 2 * shift + 1
    strength = torch.fft.irfft2(spectrum * torch.fft.rfft2(images), s=(height, width))
    near_zero = torch.arange(-shift, shift + 1)
    place = strength[:, near_zero % height][:, :, near_zero % width].flatten(1).argmax(dim=1)
    start = (place // steps) * width + place % steps
    pixels = (torch.arange(high)[:, None] * width + torch.arange(wide)).flatten()
    return images.flatten(1).gather(1, start[:, None] + pixels)


def _that_stand_out(pairs: Pairs, likeness: NDArray[np.float64], least: float) -> tuple[Pairs, NDArray[np.float64]]:
    """Pairs that are alike and, for both rows, much more alike than the next similar row among the candidates.

    If all things of a kind look alike, such as trousers, a copy still stands out; the ratio of distances is from Lowe
    2004, section 7.1. Rows without such a gap count only from SAME on.
    """
    floor = np.full((int(pairs.max()) + 1 if len(pairs) else 0), 2.0)  # lowest similarity of a copy, for each row
    rows = np.concatenate([pairs[:, 0], pairs[:, 1]])
    values = np.concatenate([likeness, likeness])
    order = np.lexsort((-values, rows))
    rows, values = rows[order], values[order]
    ends = np.append(rows[1:] != rows[:-1], True) if len(rows) else np.empty(0, bool)
    following = np.where(ends, CANDIDATE, np.append(values[1:], 0))
    gap = (1 - values <= STANDS_OUT * (1 - following)) & (values >= least)
    np.minimum.at(floor, rows[gap], values[gap])
    stands_out = (likeness >= floor[pairs[:, 0]]) & (likeness >= floor[pairs[:, 1]])
    kept = (likeness >= SAME) | stands_out
    return pairs[kept], likeness[kept]


def _series(column: Column, rows: Rows) -> tuple[Pairs, NDArray[np.float64]]:
    """Series and tensors by their correlation, value by value."""
    values = torch.cat([column(some).cpu().flatten(1).float() for some in torch.from_numpy(rows).split(4096)])
    if values.shape[1] < LEAST_VALUES:
        raise Skip(f"series of fewer than {LEAST_VALUES} values correlate by chance")
    flat = torch.nan_to_num(values)
    flat = functional.normalize(flat - flat.mean(dim=1, keepdim=True), dim=1)
    pairs = _neighbors(_whitened(flat[:, :: -(-flat.shape[1] // 512)]))
    likeness = np.array([*_row_products(flat, pairs)])
    return _that_stand_out(pairs, likeness, SERIES_ALIKE)


def _row_products(flat: Tensor, pairs: Pairs) -> Iterator[float]:
    for some in torch.from_numpy(pairs).split(4096):
        yield from (flat[some[:, 0]] * flat[some[:, 1]]).sum(dim=1).double().clamp(max=1).tolist()


def _texts(evidence: DataEvidence) -> pl.Series | None:
    names = [field.name for field in evidence.fields if field.family == "text"]
    return evidence.dataset.table[names[0]].cast(pl.String) if names else None


def _alike_texts(texts: pl.Series, seed: int) -> tuple[Pairs, NDArray[np.float64]]:
    """By the sets of words and word pairs: candidates by minima of hashes (Broder 1997), then counted.

    What both share must be more than chance and one phrase give: "one of the year's best films" is in many reviews. Its
    bits are those of its words as if they came independently; log2 of the pairs of texts is what chance reaches.
    """
    words = texts.fill_null("").str.to_lowercase().str.extract_all(r"[\p{L}\p{M}\p{N}]+")
    lengths = words.list.len().to_numpy().astype(np.int64)
    row, count = np.repeat(np.arange(len(texts)), lengths), len(texts)
    flat = words.filter(words.list.len() > 0).explode().hash(seed=0).to_numpy()
    follows = row[1:] == row[:-1]
    shingle = np.concatenate([flat, mixed(flat[:-1][follows]) ^ flat[1:][follows]])
    bits = np.concatenate([_bits(row, flat, count), np.zeros(int(follows.sum()))])
    owner = np.concatenate([row, row[1:][follows]])
    kept = lengths[owner] >= LEAST_WORDS
    owner, shingle, bits = owner[kept], shingle[kept], bits[kept]
    if not len(owner):
        return np.empty((0, 2), np.int64), np.empty(0)
    once = np.unique(mixed(owner.astype(np.uint64)) ^ shingle, return_index=True)[1]
    once = once[np.argsort(owner[once], kind="stable")]
    owner, shingle, bits = owner[once], shingle[once], bits[once]
    pairs = _meeting(owner, shingle, seed)
    starts = np.searchsorted(owner, np.arange(count + 1))
    of = [slice(starts[number], starts[number + 1]) for number in range(count)]
    least = np.log2(max(count * (count - 1) / 2, 1)) + TEMPLATE
    found = [_alike(shingle[of[one]], shingle[of[other]], bits[of[one]]) for one, other in pairs.tolist()]
    likeness, shared = np.array(found).reshape(-1, 2).T
    kept = (likeness >= TEXT_ALIKE) & (shared >= least)
    return pairs[kept], likeness[kept]


def _bits(row: Rows, words: Hashes, count: int) -> NDArray[np.float64]:
    """How much each word tells: -log2 of the share of texts that have it."""
    _, word = np.unique(words, return_inverse=True)
    texts = np.bincount(np.unique(np.stack([word, row]), axis=1)[0])
    return np.log2(count / texts)[word]


def _meeting(owner: Rows, shingle: Hashes, seed: int) -> Pairs:
    """Pairs of owners with the same minima in at least one band."""
    present, starts = np.unique(owner, return_index=True)
    found = [np.empty((0, 2), np.int64)]
    generator = np.random.default_rng(seed)
    for _ in range(BANDS):
        band = np.zeros(len(present), np.uint64)
        for salt in generator.integers(1, 2**63, BAND).astype(np.uint64):
            band = mixed(band ^ np.minimum.reduceat(mixed(shingle ^ salt), starts))
        found.append(present[_same(band)])
    return np.unique(np.concatenate(found), axis=0)


def _same(hashes: Hashes, most: int = MOST_BUCKET) -> Pairs:
    """All pairs of places with equal hashes, except hashes that occur more than `most` times."""
    order = np.argsort(hashes, kind="stable")
    edges = np.flatnonzero(np.diff(hashes[order])) + 1
    bounds = np.concatenate([[0], edges, [len(hashes)]])
    sizes = np.diff(bounds)
    found = [np.empty((0, 2), np.int64)]
    for size in np.unique(sizes[(sizes > 1) & (sizes <= most)]):
        groups = np.sort(order[bounds[:-1][sizes == size][:, None] + np.arange(size)], axis=1)
        left, right = np.triu_indices(int(size), 1)
        found.append(np.stack([groups[:, left].ravel(), groups[:, right].ravel()], axis=1))
    return np.concatenate(found)


def _alike(one: Hashes, other: Hashes, bits: NDArray[np.float64]) -> tuple[float, float]:
    """Jaccard's similarity, and the bits of what both share; the bits are of the first one's."""
    is_shared = np.isin(one, other, assume_unique=True)
    shared = int(is_shared.sum())
    return shared / (len(one) + len(other) - shared), float(bits[is_shared].sum())


def _table_rows(evidence: DataEvidence, rows: Rows) -> tuple[Pairs, NDArray[np.float64]]:
    """Rows that agree in all cells, or in all but one, when numbers are rounded to DIGITS digits.

    In a table with few distinct values such pairs are natural, but then even more pairs agree in all cells but two. So
    they count only if they are several times as many as those.
    """
    columns = [spread(hashed(_rounded(cells[rows])), n) for n, cells in enumerate(compared_cells(evidence))]
    if len(columns) < LEAST_COLUMNS:
        raise Skip(f"with fewer than {LEAST_COLUMNS} columns one changed cell makes a different row")
    whole = sum(columns, np.zeros(len(rows), np.uint64))
    equal = equal_pairs(whole)
    one = [equal_pairs(whole - column) - equal for column in columns]
    drawn = _drawn_pairs(len(columns), np.random.default_rng(evidence.seed))
    two = sum(equal_pairs(whole - columns[a] - columns[b]) - one[a] - one[b] - equal for a, b in drawn)
    few = two * len(columns) * (len(columns) - 1) / 2 / len(drawn)
    found = [np.empty((0, 2), np.int64)]
    if equal > TABLE_RATIO * max(one):
        found.append(_same(whole))
    if sum(one) > TABLE_RATIO * few:
        found += [_same(whole - column) for column in columns]
    pairs = np.unique(np.concatenate(found), axis=0)
    agree = sum((column[pairs[:, 0]] == column[pairs[:, 1]] for column in columns), np.zeros(len(pairs)))
    return pairs, agree / len(columns)


def _drawn_pairs(count: int, generator: np.random.Generator) -> list[tuple[int, int]]:
    """COLUMN_PAIRS pairs of columns, or all; of very many columns they are not listed, and a pair may come twice."""
    if count > LISTED:
        first = generator.integers(count, size=COLUMN_PAIRS)
        second = (first + generator.integers(1, count, size=COLUMN_PAIRS)) % count
        return list(zip(first.tolist(), second.tolist(), strict=True))
    chosen = [*combinations(range(count), 2)]
    return [chosen[n] for n in generator.permutation(len(chosen))[:COLUMN_PAIRS]]


def _rounded(cells: pl.Series) -> pl.Series:
    return cells.round_sig_figs(DIGITS) if cells.dtype.is_float() else cells


def joined(rows: Rows, label: Rows, pairs: Pairs) -> Rows:
    """The labels of rows after merging those of each pair: rows, ascending, with labels that are rows too."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    at = np.searchsorted(rows, np.concatenate([rows, pairs[:, 0]]))
    to = np.searchsorted(rows, np.concatenate([label, pairs[:, 1]]))
    graph = coo_array((np.ones(len(at), np.int8), (at, to)), (len(rows), len(rows)))
    group = connected_components(graph, directed=False)[1]
    return rows[np.unique(group, return_index=True)[1][group]]
