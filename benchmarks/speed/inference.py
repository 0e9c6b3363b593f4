"""How fast answers come, for a table of a million rows and for 60,000 pictures, against the fastest plain forward pass.

    pip install -e '.[bench]'
    python -m benchmarks.speed.inference --data FOLDER > inference.md

FOLDER holds fashion-mnist/*.gz.
"""

import argparse
import copy
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl
import torch
from benchmarks.speed.cases import fashion_mnist
from benchmarks.speed.measure import conditions, in_turn, keep_to, ratios, spread, table
from torch import Tensor, nn

import netwright as nw
from netwright.data.prepare import encode_new
from netwright.data.read import read
from netwright.machine.device import prepare_device
from netwright.training.evaluate import predictions

SIZES = (256, 1024, 4096, 16384)  # rows of a batch that each way is tried with
TRIED = 0.1  # share of the rows on which its best one is found
FEW = 2048  # rows on which all ways are compared first
HOPELESS = 3.0  # times the fastest way there, from which a way is left out: bf16 without instructions for it
COLUMNS = 20
TRAINED, TRAINED_PICTURES = 20_000, 12_000  # rows
TABLE = {"members": 1, "epochs": 2}
PICTURES = {"epochs": 1}
BAR = 1.3  # the answers may take so many times as long as the fastest forward pass
CLOSE = 1e-3  # ONNX Runtime sums in another order
SHOWN = 512  # rows on which ways have to agree

PAGE = """
Every plain way runs the trained network on the same encoded tensors, from memory to logits, with the best of the
batch sizes {sizes}, found on a tenth of the rows, in `torch.inference_mode`; torch.compile with
dynamic=True, its compiling not counted. netwright's two rows do more: *answers* (`training.evaluate.predictions`, in
the settings that `predict` makes for the process) are labels and probabilities of the same tensors, as a frame;
*predict* is the whole `nw.predict`, which reads and encodes before. A way that takes {hopeless:.0f} times the fastest
on {few:,} rows is left out. Bar: the answers within {bar} times the fastest. {rounds} rounds, all ways in turn:
median [least-most].{notes}

{conditions}"""

Forward = Callable[[tuple[Tensor, ...]], object]


def main() -> None:
    """Times both kinds of data and prints the page."""
    options = _options()
    keep_to(options.threads)
    torch.set_num_threads(options.threads)
    made = {"table": _table_run, "pictures": _pictures_run}
    print("# Speed: answers", flush=True)
    for name in options.only:
        print(f"\n{_measured(name, *made[name](options), options)}", flush=True)
    notes = "" if _has_compiler() else " No C++ compiler was found: torch.compile was left out."
    print(
        PAGE.format(
            sizes=", ".join(map(str, SIZES)),
            bar=BAR,
            few=FEW,
            hopeless=HOPELESS,
            rounds=options.rounds,
            notes=notes,
            conditions=conditions(options.threads, ("netwright", "torch", "onnxruntime", "onnx", "onnxscript")),
        )
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the public files")
    parser.add_argument("--only", nargs="+", choices=("table", "pictures"), default=("table", "pictures"))
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the table")
    parser.add_argument("--pictures", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def _table_run(options: argparse.Namespace) -> tuple[nw.Run, Any]:
    """Numbers and a class that depends on them; trained on the first rows."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(options.rows, COLUMNS)).astype(np.float32)
    y = np.where(x @ draw.normal(size=COLUMNS) + np.sin(2 * x[:, 0]) > 0, "yes", "no")
    frame = pl.DataFrame({f"x{k}": x[:, k] for k in range(COLUMNS)})
    sample = frame.head(TRAINED).with_columns(y=pl.Series(y[:TRAINED]))
    return nw.train(sample, target="y", settings=TABLE), frame


def _pictures_run(options: argparse.Namespace) -> tuple[nw.Run, Any]:
    parts = fashion_mnist(options.data, options.pictures)
    return nw.train((parts.x[:TRAINED_PICTURES], parts.y[:TRAINED_PICTURES].astype(str)), settings=PICTURES), parts.x


def _measured(name: str, run: nw.Run, data: Any, options: argparse.Namespace) -> str:
    """A table of all ways over the same rows."""
    examples, _ = encode_new(run.schema, None, read(data))
    inputs = next(examples.batches(len(examples), seed=None)).inputs
    network = run.network.eval()
    ways = _ways(network, inputs)
    behind = _behind(ways, inputs)
    best = {way: _best(way, forward, inputs) for way, forward in ways.items() if behind[way] < HOPELESS}
    plain: dict[str, Callable[[], object]] = {way: partial(_forward, *found, inputs) for way, found in best.items()}

    def answers() -> None:
        with prepare_device():
            for _ in predictions(network, run.task, examples, run.recipe):
                pass

    found = in_turn({**plain, "answers": answers, "predict": partial(nw.predict, run, data)}, options.rounds)
    fastest = min(plain, key=lambda way: median(found[way]))
    lines = [
        (
            f"netwright: {way}" if way not in plain else f"{way}{' (fastest)' if way == fastest else ''}",
            best[way][1] if way in plain else "own",
            spread(times),
            f"{len(examples) / median(times):,.0f}",
            spread(times_fastest := ratios(times, found[fastest])),
            ("met" if median(times_fastest) <= BAR else "**missed**") if way == "answers" else "",
        )
        for way, times in found.items()
    ]
    left_out = [way for way in ways if way not in best]
    lines += [(way, "", "left out", "", f"{behind[way]:.0f} on {FEW:,} rows", "") for way in left_out]
    head = ("way", "batch", "seconds", "rows a second", "times the fastest", f"bar {BAR}")
    parameters = sum(p.numel() for p in network.parameters())
    return f"## {len(examples):,} rows, {name}, {parameters:,} parameters\n\n{table(head, lines)}"


def _ways(network: nn.Module, inputs: tuple[Tensor, ...]) -> dict[str, Forward]:
    """Plain forward passes; each has given the eager one's answers on a few rows, in fp32 to a thousandth."""
    is_picture = any(x.ndim == 4 for x in inputs)
    last = copy.deepcopy(network).to(memory_format=torch.channels_last) if is_picture else network
    ways: dict[str, Forward] = {
        "eager fp32": lambda batch: network(*batch),
        "eager bf16, channels last": partial(_in_bf16, last),
        "ONNX Runtime fp32": _onnx(network, inputs),
    }
    if _has_compiler():
        compiled = torch.compile(network, dynamic=True)  # one compilation for all batch sizes
        ways |= {
            "torch.compile fp32": lambda batch: compiled(*batch),
            "torch.compile bf16": partial(_in_bf16, compiled),
        }
    few = tuple(x[:SHOWN] for x in inputs)
    with torch.inference_mode():
        wanted = network(*few)
        for way, forward in ways.items():
            outputs = torch.as_tensor(forward(few)).float()
            if "fp32" in way:
                torch.testing.assert_close(outputs, wanted, atol=CLOSE, rtol=CLOSE)
    return ways


def _in_bf16(network: Callable[..., Tensor], batch: tuple[Tensor, ...]) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return network(*batch)


def _onnx(network: nn.Module, inputs: tuple[Tensor, ...]) -> Forward:
    import onnxruntime

    few = tuple(x[:SHOWN] for x in inputs)
    rows = torch.export.Dim("rows")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.onnx"
        shapes = (tuple({0: rows} for _ in few),)  # the forward takes *inputs
        torch.onnx.export(network, few, file, dynamo=True, dynamic_shapes=shapes, verbose=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(file, options)
    names = [declared.name for declared in session.get_inputs()]
    return lambda batch: session.run(None, {n: x.numpy() for n, x in zip(names, batch, strict=True)})[0]


def _behind(ways: dict[str, Forward], inputs: tuple[Tensor, ...]) -> dict[str, float]:
    """How many times as long as the fastest each way takes on a few rows, after a first time that does not count."""
    few = {way: partial(_forward, forward, SIZES[1], tuple(x[:FEW] for x in inputs)) for way, forward in ways.items()}
    in_turn(few, 1)
    seconds = {way: min(times) for way, times in in_turn(few, 2).items()}
    return {way: taken / min(seconds.values()) for way, taken in seconds.items()}


def _best(way: str, forward: Forward, inputs: tuple[Tensor, ...]) -> tuple[Forward, int]:
    """The way and the batch size that is fastest on a share of the rows; every size is run once before it counts."""
    share = tuple(x[: max(SIZES[-1], round(TRIED * len(x)))] for x in inputs)
    sizes = {size: partial(_forward, forward, size, share) for size in SIZES}
    in_turn(sizes, 1)
    found = in_turn(sizes, 2)
    size = min(SIZES, key=lambda size: min(found[size]))
    print(f"{way}: batches of {size}", file=sys.stderr, flush=True)
    return forward, size


def _forward(forward: Forward, size: int, inputs: tuple[Tensor, ...]) -> None:
    with torch.inference_mode():
        for batch in _cut(inputs, size):
            forward(batch)


def _cut(inputs: tuple[Tensor, ...], size: int) -> Iterator[tuple[Tensor, ...]]:
    return zip(*(x.split(size) for x in inputs), strict=True)


def _has_compiler() -> bool:
    """As torch.compile looks for one."""
    return any(shutil.which(name) for name in ("g++", "clang++", "c++"))


if __name__ == "__main__":
    main()
