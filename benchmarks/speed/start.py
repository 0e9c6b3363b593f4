"""How long one waits before anything happens: imports, `--help`, the first training step.

python -m benchmarks.speed.start > start.md
"""

import argparse
import subprocess
import sys
from functools import partial
from statistics import median

from benchmarks.speed.measure import conditions, in_turn, keep_to, spread, table

DATA = """
import torch
x, y = torch.randn(128, 784), torch.randint(10, (128,))
network = torch.nn.Sequential(torch.nn.Linear(784, 512), torch.nn.ReLU(), torch.nn.Linear(512, 10))
"""
OURS = """
import netwright as nw
from netwright.training.optimizer import build_optimizer
task, recipe = nw.Classification(tuple("0123456789")), nw.Recipe()
next(nw.steps(network, [(x, y)], task.objective(recipe), build_optimizer(network, recipe)))
"""
THEIRS = """
optimizer = torch.optim.AdamW(network.parameters())
torch.nn.functional.cross_entropy(network(x), y).backward()
optimizer.step()
"""
CASES = {
    "an empty Python": ("-c", ""),
    "`import netwright`": ("-c", "import netwright"),
    "`netwright --help`": ("-c", "from netwright.cli import main; main()", "--help"),
    "`import torch`": ("-c", "import torch"),
    "first step of a perceptron, `nw.steps`": ("-c", "import netwright" + DATA + OURS),
    "first step of a perceptron, plain torch": ("-c", DATA + THEIRS),
}


def main() -> None:
    """Starts every case in turn in fresh processes."""
    options = _options()
    keep_to(options.threads)
    cases = {name: partial(_start, arguments) for name, arguments in CASES.items()}
    in_turn(cases, 1)  # files come from the disk once
    found = in_turn(cases, options.rounds)
    empty = median(found["an empty Python"])
    lines = [(name, spread(times), f"{median(times) - empty:.2f}") for name, times in found.items()]
    print(f"# Speed: the start\n\n{table(('process', 'seconds', 'without Python itself'), lines)}\n")
    print(f"Wall time of whole processes, {options.rounds} of each, in turn: median [least-most].\n")
    print(conditions(options.threads, ("netwright", "torch")))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def _start(arguments: tuple[str, ...]) -> None:
    subprocess.run((sys.executable, *arguments), check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
