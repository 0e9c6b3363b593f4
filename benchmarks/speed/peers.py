"""Trains equal networks on equal data with netwright and with what people would use, and prints a table for each.

    pip install -e '.[bench]'
    python -m benchmarks.speed.peers --data FOLDER --json peers.jsonl > peers.md

FOLDER holds fashion-mnist/*.gz and tinyshakespeare/input.txt. A peer that is not installed is shown as such. fastai
asks for torchvision but does not need it here, so the extra leaves it out:

    pip install --no-deps fastai==2.8.12
    pip install -c constraints.txt fastcore fasttransform fastprogress fastdownload pandas matplotlib requests

Every training is a process of its own; in each round all peers take their turn. Results are written at once: the same
command goes on where it ended.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from benchmarks.machine import processor
from benchmarks.speed.cases import CASES, Case
from benchmarks.speed.measure import keep_to, ratios, spread, table
from benchmarks.speed.trainers import PEERS, Peer

OURS = "netwright"
# How many times as fast as a peer netwright has to be. Set on a machine with AMX, whose bf16 products are 9 times as
# fast as those in fp32; another machine may miss them.
BARS = {
    "loop": {"mlp": 1.8, "conv": 2.5, "vit": 2.0, "gpt": 2.7, "lstm": 1.8},
    "lightning": {"mlp": 2.5, "conv": 3.3, "vit": 2.2, "gpt": 2.2, "lstm": 2.0},
    "keras-torch": {"mlp": 2.5, "conv": 3.3, "vit": 2.2, "gpt": 2.2, "lstm": 2.0},
    "keras-jax": {"mlp": 1.4, "conv": 7.0},
    "skorch": {"mlp": 2.0, "conv": 3.0},
    "fastai": {"mlp": 2.8, "conv": 2.5},
    "scikit-learn": {"mlp": 3.5},
}
HEAD = (
    "peer", "epoch 2, s", "times netwright's", "bar", "met", "start to end, s", "peak memory, MB", "accuracy",
    "parameters", "version",
)  # fmt: skip

PAGE = """# Speed: training the same network with netwright and with what people would use

Made by `python -m benchmarks.speed.peers --data FOLDER --json FILE` on {machine}.

- **The same for all**: network, data, batch size, epochs, AdamW with rate 1e-3, weight decay 0.01, betas 0.9 and 0.999
  and epsilon 1e-8, constant rate, random order, no validation. Pixels are divided by 255 inside the network.
- **What is compared** is each peer as its tutorial uses it: the plain loop, Lightning and fastai read floats from a
  DataLoader without workers, skorch and Keras take arrays; fp32, and otherwise each one's own defaults. netwright
  takes the whole tensors, bytes where there are pixels, and chooses arithmetic, kernels and threads itself, as it does
  for everybody: where it chooses bf16, that is part of the difference. Exceptions: netwright and fastai do not decay
  biases and norms, scikit-learn has Adam with an L2 penalty of its own, Keras' LSTM has one bias where torch's has
  two, and netwright's GPT does not learn the last of the 128 characters of a window.
- **Epoch 2** is wall time by each peer's own callbacks (netwright: `run.history`). **Times netwright's** is the ratio
  of the two in the same round. **Start to end** is from the start of the process to the end of the last of
  {epochs} epochs, with imports, reading and compiling. Median [least-most] over the rounds; other columns are medians.
- **Accuracy** on test rows that no peer trained on: it shows equal work, not which is better. First weights are those
  of each framework's own layers. For the GPT it is the share of next characters.
- **Threads**: each process may use {threads} core(s) (by its affinity, where the system has one, which is all that
  JAX heeds), and OMP_NUM_THREADS and its like say the same number.
- **Bars** were set on a machine with AMX (9 times the fp32 rate in bf16); without it a miss is to be expected.

{tables}"""


@dataclass(frozen=True)
class Measured:
    """One training."""

    case: str
    peer: str
    round: int
    rows: int
    threads: int
    epochs: int
    processor: str
    date: str
    seconds: list[float]  # of each epoch
    total: float  # seconds from the start of the process to the end of training
    peak_bytes: int
    accuracy: float
    parameters: int
    versions: dict[str, str]


def main() -> None:
    """Measures what is not in the results file yet, then prints the page."""
    options = _options()
    done = _read(options.json)
    if not options.page_only:
        keep_to(options.threads)
        for row in _measure(options, done):
            done.append(row)
            if options.json:
                with options.json.open("a") as file:
                    file.write(json.dumps(asdict(row)) + "\n")
            seconds = " ".join(f"{second:.2f}" for second in row.seconds)
            print(
                f"round {row.round} {row.case:5} {row.peer:12} {seconds} s, {row.total:.1f} s in all",
                file=sys.stderr, flush=True,
            )  # fmt: skip
    print(_page(done, options))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the public files")
    parser.add_argument("--json", type=Path, help="file of results, a line for each training; continued where it ended")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=2, help="the second one is shown: at least 2")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--share", type=float, default=1.0, help="share of the training rows, for a trial")
    parser.add_argument("--networks", type=_names(CASES), default=list(CASES), help=f"of {','.join(CASES)}")
    parser.add_argument("--peers", type=_names(PEERS), default=list(PEERS), help=f"of {','.join(PEERS)}")
    parser.add_argument("--page-only", action="store_true", help="measure nothing, print the page of --json")
    options = parser.parse_args()
    if options.epochs < 2:
        parser.error("--epochs is 2 or more: the second one is shown")
    return options


def _names(known: Mapping[str, object]) -> Callable[[str], list[str]]:
    def read(text: str) -> list[str]:
        names = text.split(",")
        if unknown := set(names) - set(known):
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)} is none of {', '.join(known)}")
        return names

    return read


def _measure(options: argparse.Namespace, done: list[Measured]) -> Iterator[Measured]:
    for number in range(options.rounds):
        for case in (CASES[name] for name in options.networks):
            for peer in (PEERS[name] for name in options.peers):
                rows = max(case.batch_size, round(case.rows * options.share))
                settings = (case.name, peer.name, number, rows, options.threads, options.epochs)
                known = {(row.case, row.peer, row.round, row.rows, row.threads, row.epochs) for row in done}
                if _can(peer, case) and settings not in known:
                    found = _train(case, peer, rows, number, options)
                    yield Measured(*settings, processor(options.threads), str(date.today()), **found)


def _can(peer: Peer, case: Case) -> bool:
    return find_spec(peer.needs) is not None and case.name in (peer.only or CASES)


def _train(case: Case, peer: Peer, rows: int, seed: int, options: argparse.Namespace) -> dict[str, object]:
    """What worker.py prints, from a fresh process on so many cores."""
    threads = str(options.threads)
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, threads), **dict(peer.environment)}
    command = (
        sys.executable, "-m", "benchmarks.speed.worker", "--case", case.name, "--peer", peer.name, "--rows", str(rows),
        "--data", str(options.data.resolve()), "--epochs", str(options.epochs), "--seed", str(seed),
        "--began", str(time.time()),
    )  # fmt: skip
    ended = subprocess.run(
        command, env=environment, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise SystemExit(f"{peer.name} failed at {case.name}:\n{ended.stderr}")
    return json.loads(ended.stdout.splitlines()[-1])


def _read(file: Path | None) -> list[Measured]:
    if file is None or not file.exists():
        return []
    return [Measured(**json.loads(line)) for line in file.read_text().splitlines()]


def _page(done: Sequence[Measured], options: argparse.Namespace) -> str:
    """Of the trainings with the options' epochs and threads."""
    shown = [row for row in done if (row.epochs, row.threads) == (options.epochs, options.threads)]
    places = ", ".join(sorted({row.processor for row in shown}))
    days = sorted({row.date for row in shown})
    when = " to ".join(dict.fromkeys((days[0], days[-1]))) if days else "no day"
    python = ", ".join(sorted({row.versions["Python"] for row in shown}))
    tables = "\n\n".join(_table(CASES[name], shown) for name in options.networks)
    machine = f"{places or 'nothing'}; Python {python}; {when}"
    return PAGE.format(machine=machine, epochs=options.epochs, threads=options.threads, tables=tables)


def _table(case: Case, done: Sequence[Measured]) -> str:
    """Ratios pair the rounds that both have; a page of different numbers of rows would compare nothing."""
    rows = [row for row in done if row.case == case.name]
    counts = sorted({row.rows for row in rows})
    assert len(counts) <= 1, f"{case.name} was measured with {counts} rows: use another --json file"
    mine = {row.round: row for row in rows if row.peer == OURS}
    lines = [_line(peer, case, [row for row in rows if row.peer == peer.name], mine) for peer in PEERS.values()]
    title = f"## {case.title}\n\n{counts[0] if counts else 0:,} rows, batch {case.batch_size}, {len(mine)} rounds"
    return f"{title}\n\n{table(HEAD, (line for line in lines if line))}"


def _line(peer: Peer, case: Case, rows: Sequence[Measured], mine: Mapping[int, Measured]) -> tuple[object, ...]:
    if not rows:
        why = "not measured" if find_spec(peer.needs) else "not installed"
        return (peer.title, why, *[""] * (len(HEAD) - 2)) if case.name in (peer.only or CASES) else ()
    pairs = [(row.seconds[1], mine[row.round].seconds[1]) for row in rows if row.round in mine]
    found = ratios(*zip(*pairs, strict=True)) if pairs else []
    bar = BARS.get(peer.name, {}).get(case.name)
    return (
        peer.title,
        spread([row.seconds[1] for row in rows]),
        spread(found) if found else "",
        bar or "",
        ("met" if median(found) >= bar else "**missed**") if bar and found else "",
        f"{median(row.total for row in rows):.1f}",
        f"{median(row.peak_bytes for row in rows) / 1e6:,.0f}",
        f"{median(row.accuracy for row in rows):.3f}",
        f"{rows[0].parameters:,}",
        ", ".join(f"{name} {number}" for name, number in rows[-1].versions.items() if name != "Python"),
    )


if __name__ == "__main__":
    main()
