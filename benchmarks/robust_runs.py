"""Attacks and defenses on runs as anyone trains them: false alarms, how long it takes, what each defense is worth.

    python -m benchmarks.robust_runs --data DATA --json robust_runs.jsonl

Part one: networks of netwright's defaults on pictures, tables, text, series and symbols are attacked once, quickly; a
sign of hidden gradients is a false alarm. Then the same for networks on Fashion-MNIST that do hide them. Part two: a
network of 30,000 weights on digits is hardened with every method, and each run is attacked alike. DATA holds the files
named in RUNS. Measured cases are kept in --json; after --minutes no new case is begun, and the same command goes on.
"""

import argparse
import gzip
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.public_data import IDX_IMAGES_OFFSET, IDX_LABELS_OFFSET
from benchmarks.speed.measure import conditions, table
from PIL import Image
from sklearn.datasets import load_digits
from tests.attacks import museum

import netwright as nw
from netwright.records.robustness import Robustness

MINUTES = 7.0
QUICK_SECONDS = 20.0  # the bar for 256 pictures
PLAIN: dict[str, Any] = {"adapt": False, "threads": 1, "precision": "fp32", "kernels": "torch", "compile": "never"}
FEW_EPOCHS = {"epochs": 5}
SMALL_NET = '[{"conv": 32}, "relu", {"pool": 2}, {"conv": 32}, "relu", "flatten", {"dense": 32}, "relu"]'
DIGITS_EPS, CLOTHES_EPS = 0.15, 0.1
CLOTHES = 10_000  # pictures
DENSE = '["flatten", {"dense": 128}, "relu", {"dense": 64}, "relu"]'
METHODS = (
    "adversarial", "trades", "fast", "adversarial_ensemble", "smoothing", "noise", "label_smoothing", "distillation",
    "ensemble", "quantize", "random", "no_gradient",
)  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """A network under attack."""

    part: str
    name: str
    rows: int
    clean: float
    pgd: float | None
    union: float
    low: float
    high: float
    signs: list[str]  # codes
    wanted: float | None
    seconds: float  # of the attack
    training: float  # seconds


@dataclass(frozen=True)
class Case:
    """What to measure."""

    part: str
    name: str
    make: Callable[[Path, Path], nw.Run]  # (data, a folder for runs)
    attack: Mapping[str, Any]


def main() -> None:
    """Measures what is not yet in --json, and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=Path, default=Path("robust_runs.jsonl"))
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    lines = options.json.read_text().splitlines() if options.json.exists() else []
    found = [Measured(**json.loads(line)) for line in lines]
    done, began, left = {(one.part, one.name) for one in found}, time.perf_counter(), 0
    with tempfile.TemporaryDirectory() as folder:
        for case in cases():
            if (case.part, case.name) in done:
                continue
            if time.perf_counter() - began > 60 * options.minutes:
                left += 1
                continue
            found.append(measured(case, options.data, Path(folder)))
            with options.json.open("a") as out:
                out.write(json.dumps(asdict(found[-1])) + "\n")
    if left:
        print(f"{left} cases are left: run the same command again\n")
    for part in ("honest", "masked", "defenses"):
        print(part, shown([one for one in found if one.part == part]), sep="\n", end="\n\n")
    print(conditions(options.threads, ("netwright", "torch")))


def measured(case: Case, data: Path, folder: Path) -> Measured:
    """One case."""
    began = time.perf_counter()
    run = case.make(data, folder)
    trained, began = time.perf_counter() - began, time.perf_counter()
    found: Robustness = nw.attack(run, **case.attack)
    seconds = time.perf_counter() - began
    level = found.levels[0]
    pgd = found.result("pgd")
    wanted = level.targeted[-1].value if level.targeted else None
    signs = [finding.code for finding in found.doubts]
    print(f"{case.part} {case.name}: {found.verdict} {signs} {seconds:.1f} s", flush=True)
    return Measured(
        case.part, case.name, found.count, found.clean.value, None if pgd != pgd else pgd, level.union.value,
        level.union.low or 0.0, level.union.high or 0.0, signs, wanted, seconds, trained,
    )  # fmt: skip


def shown(found: list[Measured]) -> str:
    """A line for each network."""
    names = ("network", "rows", "no attack", "PGD", "all", "interval", "wanted", "signs", "attack s", "training s")
    rows = [
        (
            one.name, str(one.rows), f"{100 * one.clean:.1f}", "-" if one.pgd is None else f"{100 * one.pgd:.1f}",
            f"{100 * one.union:.1f}", f"{100 * one.low:.1f} to {100 * one.high:.1f}",
            "-" if one.wanted is None else f"{100 * one.wanted:.1f}", " ".join(one.signs) or "none",
            f"{one.seconds:.1f}", f"{one.training:.1f}",
        )
        for one in found
    ]  # fmt: skip
    return table(names, rows)


def cases() -> Iterator[Case]:
    """All of them."""
    for name, (make, words) in RUNS.items():
        yield Case("honest", name, make, words)
    for part, names in (("honest", museum.HONEST), ("masked", museum.MASKED)):
        for name in names:
            words = {"eps": museum.SIZE, "bounds": (0, 1)}
            yield Case(part, f"museum, {name}", lambda _data, _folder, name=name: of_museum(name), words)
    for guard in ("quantize", "random", "no_gradient"):
        settings = {**FEW_EPOCHS, "layers": DENSE, "guard": guard}  # random answers take eight passes each
        yield Case("masked", f"clothes, {guard}", lambda data, _, s=settings: clothes(data, s), {"eps": CLOTHES_EPS})
    yield Case("masked", "clothes, logits x 100", sharpened, {"eps": CLOTHES_EPS})
    yield Case("defenses", "none", lambda _, folder: digits(folder), {"eps": DIGITS_EPS})
    for method in METHODS:
        yield Case("defenses", method, hardened_by(method), {"eps": DIGITS_EPS})


def of_museum(name: str) -> nw.Run:
    """One of the small networks on digits on which thresholds were set."""
    x, y, test_x, test_y = museum.pictures()
    return nw.adopt(museum.network(name), museum.DIGITS, (x, y), test_loader=(test_x, test_y))


def clothes(data: Path, settings: Mapping[str, Any]) -> nw.Run:
    """Fashion-MNIST, 10,000 pictures."""
    folder = data / "fashion-mnist"
    with gzip.open(folder / "train-images-idx3-ubyte.gz") as file:
        x = np.frombuffer(file.read(IDX_IMAGES_OFFSET + 784 * CLOTHES), np.uint8, offset=IDX_IMAGES_OFFSET)
    with gzip.open(folder / "train-labels-idx1-ubyte.gz") as file:
        y = np.frombuffer(file.read(IDX_LABELS_OFFSET + CLOTHES), np.uint8, offset=IDX_LABELS_OFFSET)
    return quickly((x.reshape(-1, 28, 28), y.astype(str)), settings)


def sharpened(data: Path, _folder: Path) -> nw.Run:
    """The same, with logits a hundred times as large."""
    from dataclasses import replace

    run = clothes(data, {**FEW_EPOCHS, "layers": DENSE})
    with torch.no_grad():
        run.network.head.weight.mul_(100)  # pyright: ignore[reportAttributeAccessIssue]  the last layer
        run.network.head.bias.mul_(100)  # pyright: ignore[reportAttributeAccessIssue]
    return replace(run, folder=None)


def digits(folder: Path) -> nw.Run:
    """A convnet of some 30,000 weights on digits, in a folder: hardened runs name their parent."""
    parent, pictures = folder / "digits", folder / "pictures"
    if not (parent / "weights.safetensors").exists():
        data = load_digits()
        for number, (image, label) in enumerate(zip(data.images, data.target, strict=True)):
            (pictures / str(label)).mkdir(parents=True, exist_ok=True)
            Image.fromarray((image * 255 / 16).astype(np.uint8)).save(pictures / str(label) / f"{number}.png")
        settings = {**PLAIN, "layers": SMALL_NET, "epochs": 20}
        nw.train(pictures, settings=settings, folder=parent, audit=False, diagnose=False)
    return nw.load(parent)


def hardened_by(method: str) -> Callable[[Path, Path], nw.Run]:
    """The digits, hardened in one way."""

    def make(_data: Path, folder: Path) -> nw.Run:
        digits(folder)
        nw.harden(folder / "digits", method=method, eps=DIGITS_EPS, folder=folder / method)
        return nw.load(folder / method)

    return make


def quickly(data: Any, settings: Mapping[str, Any], **words: Any) -> nw.Run:  # Any: as `nw.train`
    """Trained without audit and diagnosis."""
    return nw.train(data, settings={**PLAIN, **settings}, audit=False, diagnose=False, **words)


def file(name: str, **words: Any) -> Callable[[Path, Path], nw.Run]:  # Any: as `nw.train`
    """A run on a file."""
    return lambda data, _: quickly(data / name, FEW_EPOCHS, **words)


RUNS: dict[str, tuple[Callable[[Path, Path], nw.Run], Mapping[str, Any]]] = {
    "digits, convnet": (lambda _, folder: digits(folder), {"eps": DIGITS_EPS}),
    "clothes, convnet": (lambda data, _: clothes(data, FEW_EPOCHS), {"eps": CLOTHES_EPS}),
    "clothes, dense": (
        lambda data, _: clothes(data, {**FEW_EPOCHS, "layers": DENSE}),
        {"eps": CLOTHES_EPS},
    ),
    "clothes, unnoticed": (lambda data, _: clothes(data, FEW_EPOCHS), {}),
    "telescope, table": (file("telescope.csv", target="Class"), {}),
    "adult, mixed table": (file("adult.csv", target="income"), {}),
    "bank, mixed table": (file("collection/bank.csv", target="y", drop=("id",)), {}),
    "lending club, mixed table": (file("lending_club.csv", target="Class"), {}),
    "satellite, table": (file("collection/satellite.csv", target="classes"), {}),
    "movie reviews, text": (file("movie_reviews.csv", target="sentiment", drop=("score",)), {}),
    "splice, symbols": (file("splice.csv", target="junction"), {}),
    "vowels, series": (
        lambda data, _: quickly(
            data / "japanese_vowels.csv", FEW_EPOCHS, labels=data / "japanese_vowels_labels.csv", target="speaker",
            series="utterance", time="time",
        ),
        {},
    ),
}  # fmt: skip


if __name__ == "__main__":
    main()
