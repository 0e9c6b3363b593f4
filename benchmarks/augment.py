"""What augment=auto chooses, what it costs and gains, and how fast each augmentation is.

    python benchmarks/augment.py --data FOLDER --json results.jsonl > augment.md

Every training is written at once, so that a run that was cut short goes on where it ended; `--only digits` measures a
part. Progress goes to standard error, the page to standard output.
"""

import argparse
import io
import json
import os
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median, stdev

import numpy as np
import polars as pl
import public_data
import torch
from PIL import Image
from torch import Generator

import netwright as nw
from machine import machine, processor
from netwright.data import AUGMENTATIONS
from netwright.data.augment import Mixing, family_of
from netwright.resolve import resolve

ROWS = 10_000  # training rows drawn from the larger data sets, by the seed
VARIANTS: dict[str, dict[str, object]] = {"none": {"augment": ()}, "default": {}, "auto": {"augment": ("auto",)}}
PART = "benchmark_part"
ROUNDS, BATCH = 15, 128


@dataclass(frozen=True)
class Trained:
    """One training."""

    data: str
    variant: str
    seed: int
    accuracy: float
    log_loss: float
    seconds: float  # CPU seconds of the process, the trial included
    augment: list[str]
    note: str


def main() -> None:
    """Measures what is not in the results file yet, then prints the page."""
    options = _options()
    torch.set_num_threads(options.threads)
    done = (
        [Trained(**json.loads(line)) for line in options.json.read_text().splitlines()] if options.json.exists() else []
    )
    for data in options.only or LOADERS:
        for row in _measure(data, options, {(row.data, row.variant, row.seed) for row in done}):
            done.append(row)
            with options.json.open("a") as file:
                file.write(json.dumps(asdict(row)) + "\n")
            print(row, file=sys.stderr, flush=True)
    packages = ("netwright", "torch", "pillow", "scikit-learn")
    print(f"On {machine(processor(options.threads), packages)}.\n")
    print("Means ± sd over seeds, which draw the rows and the weights; all test rows.\n")
    print(_scores(done))
    print(_speeds())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the public files")
    parser.add_argument("--only", type=lambda text: [t for t in text.split(",") if t], help=f"of {','.join(LOADERS)}")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=0, help="instead of the default's, to try the script")
    parser.add_argument("--json", type=Path, default=Path("augment.jsonl"), help="a line for each training")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    return parser.parse_args()


def _measure(data: str, options: argparse.Namespace, known: set[tuple[str, str, int]]) -> Iterator[Trained]:
    """The trainings of a data set that are not done; variants in turn, so that other load falls on all."""
    wanted = [(v, s) for s in range(options.seeds) for v in VARIANTS if (data, v, s) not in known]
    if not wanted:
        return
    frame = LOADERS[data](options.data)
    for variant, seed in wanted:
        rows = _parts(frame, seed)
        settings = {**VARIANTS[variant], "seed": seed} | ({"epochs": options.epochs} if options.epochs else {})
        began = time.process_time()
        run = nw.train(rows, target="label", split=PART, settings=settings)
        seconds = time.process_time() - began
        assert run.scores is not None
        note = next((n for n in run.notes if n.startswith("augment: ")), "")
        found = run.scores["accuracy"].value, run.scores["log_loss"].value
        yield Trained(data, variant, seed, *found, seconds, list(run.recipe.augment), note)


def _parts(frame: pl.DataFrame, seed: int) -> pl.DataFrame:
    """ROWS training rows drawn by the seed, a validation part of 15 % of them, and all test rows."""
    generator = np.random.default_rng(seed)
    if "part" in frame.columns:
        is_train = (frame["part"] == "train").to_numpy()
    else:
        is_train = generator.random(frame.height) < 0.8
    drawn = generator.permutation(np.flatnonzero(is_train))[:ROWS]
    valid = drawn[: round(0.15 * len(drawn))]
    parts = np.full(frame.height, "unused", dtype=object)
    parts[drawn], parts[valid], parts[~is_train] = "train", "valid", "test"
    marked = frame.select("image", "label").with_columns(pl.Series(PART, parts.tolist()))
    return marked.filter(pl.col(PART) != "unused")


def _of_page(name: str) -> Callable[[Path], pl.DataFrame]:
    case = next(case for case in public_data.CASES if case.name == name)
    return case.load


def _cifar(folder: Path) -> pl.DataFrame:
    """The pictures of a tar of part/label/number.jpg, decoded."""
    pixels, labels, parts = [], [], []
    with tarfile.open(folder / "cifar10-jpeg.tar") as archive:
        for member in archive:
            words = member.name.split("/")
            if member.isfile() and len(words) == 3:
                with Image.open(io.BytesIO(archive.extractfile(member).read())) as picture:
                    pixels.append(np.asarray(picture.convert("RGB")))
                parts.append(words[0])
                labels.append(words[1])
    return pl.DataFrame({"image": np.stack(pixels), "label": labels, "part": parts})


LOADERS = {"digits": _of_page("digits"), "Fashion-MNIST": _of_page("Fashion-MNIST"), "CIFAR-10": _cifar}


def _scores(done: list[Trained]) -> str:
    lines = [
        "| data | augment | n | test accuracy | against none, by seed | test log loss | CPU seconds | chosen |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for data in LOADERS:
        plain = {row.seed: row.accuracy for row in done if row.data == data and row.variant == "none"}
        for variant in VARIANTS:
            rows = [row for row in done if row.data == data and row.variant == variant]
            if not rows:
                continue
            gains = ", ".join(f"{row.accuracy - plain[row.seed]:+.4f}" for row in rows if row.seed in plain)
            chosen = "; ".join("+".join(row.augment) or "none" for row in rows)
            cells = (
                data, variant, len(rows), _spread([row.accuracy for row in rows], 4), gains,
                _spread([row.log_loss for row in rows], 3), _spread([row.seconds for row in rows], 0), chosen,
            )  # fmt: skip
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    notes = sorted({f"- {row.data}, seed {row.seed}: {row.note}" for row in done if row.note})
    return "\n".join([*lines, "", *notes, ""])


def _spread(values: list[float], digits: int) -> str:
    return f"{mean(values):.{digits}f} ± {stdev(values) if len(values) > 1 else 0:.{digits}f}"


def _speeds() -> str:
    """Rows a second of each augmentation on one thread: the median of ROUNDS batches, all augmentations in turn."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    generator = Generator().manual_seed(0)
    grey, color = (
        torch.randint(0, 256, (BATCH, *shape), dtype=torch.uint8, generator=generator)
        for shape in ((1, 28, 28), (3, 64, 64))
    )
    inputs = {
        "1 x 28 x 28": ("pictures", grey),
        "3 x 64 x 64": ("pictures", color),
        "series of 200 x 6": ("steps", torch.randn(BATCH, 200, 6, generator=generator)),
        "text of 200 words": ("text", torch.randint(1, 5000, (BATCH, 200), dtype=torch.int16, generator=generator)),
        "20 numbers": ("numbers", torch.randn(BATCH, 20, generator=generator)),
        "20 categories": ("labels", torch.randint(0, 9, (BATCH, 20), dtype=torch.int32, generator=generator)),
    }
    taken: dict[tuple[str, str], list[float]] = {}
    for _ in range(ROUNDS):
        for name in AUGMENTATIONS:
            change = resolve("augmentation", name, AUGMENTATIONS)
            for shape, (family, x) in inputs.items():
                if family_of(change) == family:
                    began = time.thread_time()
                    change.mix(x, generator) if isinstance(change, Mixing) else change(x, generator)
                    taken.setdefault((name, shape), []).append(time.thread_time() - began)
    torch.set_num_threads(threads)
    lines = [
        f"| augmentation, batch {BATCH}, one thread, n = {ROUNDS} | of | rows a second, median (slowest) |",
        "|---|---|---|",
    ]
    for (name, shape), seconds in taken.items():
        lines.append(f"| {name} | {shape} | {BATCH / median(seconds):,.0f} ({BATCH / max(seconds):,.0f}) |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
