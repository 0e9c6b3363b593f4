"""What the doctor says of a hundred healthy loops in plain PyTorch, drawn at random: it should say nothing bad.

    python -m benchmarks.healthy > healthy.md
    python -m benchmarks.healthy --first 100 --count 20

Each loop draws its data, network, optimizer, schedule, loss and habits from its number. One that does not come near
the score of simple models on the same rows, or overfits, is not healthy itself, and is listed apart.
"""

import argparse
import random
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from benchmarks.speed.measure import conditions
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from torch import Tensor, nn

import netwright as nw

MOST = 0.03  # of the loops may be flagged
NEAR = 0.97  # of the score of the better of a forest and a linear model
GAP = 0.08  # between training and validation score: a wider one is overfitting, and the doctor should say so
Rows = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Data:
    """Rows in random order, the first 600 of them for training."""

    name: str
    x: Tensor
    y: Tensor
    classes: int  # 0 for numbers
    shape: str = "flat"  # or "map", "steps"


def main() -> None:
    """Prints a line for each loop that was flagged, and the share of the healthy ones that were."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--first", type=int, default=0, help="number of the first loop")
    parser.add_argument("--count", type=int, default=100)
    options = parser.parse_args()
    torch.set_num_threads(1)
    flagged, sick, began = 0, 0, time.perf_counter()
    for number in range(options.first, options.first + options.count):
        told, run, score, trained, reference = looped(number)
        if score < NEAR * reference or trained - score > GAP:
            sick += 1
            scores = f"{score:.3f}, {trained:.3f} on training rows, a simple model {reference:.3f}"
            print(f"- {number} {told}: not healthy itself, {scores}", flush=True)
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loud = [f for f in nw.diagnose(run).findings if f.severity != "note"]
        flagged += bool(loud)
        for finding in loud:
            print(f"- {number} {told} ({score:.3f}): {finding.severity} {finding.code} {finding.summary}", flush=True)
    healthy = options.count - sick
    share = flagged / max(1, healthy)
    print(f"\n{flagged} of {healthy} healthy loops flagged: {share:.1%} (at most {MOST:.0%})")
    print(f"{time.perf_counter() - began:.0f} s")
    print("\n" + conditions(1, ("netwright", "torch", "scikit-learn")))


def looped(number: int) -> tuple[str, nw.Run, float, float, float]:
    """The loop of a number: what was drawn, the adopted run, its scores on both parts and a simple model's."""
    draw = random.Random(number)
    data = draw.choice(DATA)(number)
    torch.manual_seed(number)
    network, body = _network(draw, data)
    loss, name = _loss(draw, data)
    network = nn.Sequential(network, nn.LogSoftmax(1)) if name == "nll" else network
    epochs, size = draw.choice((20, 30)), draw.choice((16, 32, 64))
    optimizer, rule = _optimizer(draw, network, is_plain=body.startswith("bn") or data.shape == "flat")
    steps = -(-600 // size) * epochs
    scheduler, each, course = _schedule(draw, optimizer, steps, epochs)
    habits = {habit for habit in ("clip", "halves", "zeros", "validates", "penalty", "noise") if draw.random() < 0.2}
    (x, y), valid = (data.x[:600], data.y[:600]), (data.x[600:], data.y[600:])
    with nw.watch(network, optimizer) as watch:
        for _ in range(epochs):
            network.train()
            for rows in torch.randperm(600).split(size):
                optimizer.zero_grad(set_to_none="zeros" not in habits)
                for part in rows.chunk(2 if "halves" in habits and len(rows) > 8 else 1):
                    inputs = x[part] + (0.05 * torch.randn(x[part].shape) if "noise" in habits else 0.0)
                    whole = loss(network(inputs), y[part]) * len(part) / len(rows)
                    if "penalty" in habits:
                        whole = whole + 1e-5 * sum(p.square().sum() for p in network.parameters())
                    whole.backward()
                if "clip" in habits:
                    nn.utils.clip_grad_norm_(network.parameters(), 5.0)
                optimizer.step()
                if scheduler is not None and each == "step":
                    scheduler.step()
            if "validates" in habits:
                network.eval()
                with torch.no_grad():
                    network(valid[0])
            if scheduler is not None and each == "epoch":
                scheduler.step()
    run = nw.adopt(network, loss, (x, y), valid, watch=watch)
    told = " ".join([data.name, body, name, rule, course, f"batch {size}", f"epochs {epochs}", *sorted(habits)])
    return told, run, _score(network, valid, data), _score(network, (x, y), data), _reference(data)


def _digits(seed: int) -> Data:
    x, y = load_digits(return_X_y=True)
    some = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:900]
    return Data("digits", torch.tensor(x / 16, dtype=torch.float32)[some], torch.tensor(y)[some], 10)


def _maps(seed: int) -> Data:
    data = _digits(seed)
    return Data("pictures", data.x.reshape(-1, 1, 8, 8), data.y, 10, "map")


def _shells(seed: int) -> Data:
    x = torch.randn(900, 6, generator=torch.Generator().manual_seed(seed))
    return Data("shells", x, (x[:, :3].norm(dim=1) > 1.5).long(), 2)


def _noisy(seed: int) -> Data:
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(900, 12, generator=g)
    right = (x[:, :4].sum(1) > 0).long()
    return Data("noisy", x, torch.where(torch.rand(900, generator=g) < 0.1, 1 - right, right), 2)


def _clusters(seed: int) -> Data:
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 4, (900,), generator=g)
    return Data("clusters", torch.randn(4, 8, generator=g)[y] * 1.5 + torch.randn(900, 8, generator=g), y, 4)


def _rare(seed: int) -> Data:
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(900, 8, generator=g)
    return Data("a class of one in eight", x, (x[:, 0] + x[:, 1] > 1.6).long(), 2)


def _numbers(seed: int) -> Data:
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(900, 6, generator=g)
    y = torch.sin(3 * x[:, 0]) * 2 + 4 * (x[:, 1] - 0.5) ** 2 + 2 * x[:, 2] + 0.2 * torch.randn(900, generator=g)
    return Data("numbers", x, (y - y.mean())[:, None], 0)


def _linear(seed: int) -> Data:
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(900, 5, generator=g)
    return Data("linear", x, (x @ torch.randn(5, 1, generator=g) + 0.3 * torch.randn(900, 1, generator=g)), 0)


def _steps(seed: int) -> Data:
    x = torch.randn(900, 12, 2, generator=torch.Generator().manual_seed(seed))
    return Data("steps", x, (x[:, :, 0].mean(1) > 0).long(), 2, "steps")


DATA: tuple[Callable[[int], Data], ...] = (
    _digits, _maps, _shells, _noisy, _clusters, _rare, _numbers, _linear, _steps,
)  # fmt: skip


class _Last(nn.Module):
    """The last state of a recurrent layer, or the mean of its states."""

    def __init__(self, layer: nn.RNNBase, outputs: int, *, is_mean: bool) -> None:
        super().__init__()
        self.layer, self.out, self.is_mean = layer, nn.Linear(layer.hidden_size, outputs), is_mean

    def forward(self, x: Tensor) -> Tensor:
        states = self.layer(x)[0]
        return self.out(states.mean(1) if self.is_mean else states[:, -1])


def _network(draw: random.Random, data: Data) -> tuple[nn.Module, str]:
    outputs = max(1, data.classes)
    if data.shape == "map":
        return nn.Sequential(
            nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(24 * 16, outputs),
        ), "bn convolutions"  # fmt: skip
    if data.shape == "steps":
        kind, is_mean = draw.choice((nn.GRU, nn.LSTM)), draw.random() < 0.5
        return _Last(kind(2, 24, batch_first=True), outputs, is_mean=is_mean), kind.__name__
    wide, act = draw.choice((32, 64)), draw.choice((nn.ReLU, nn.Tanh, nn.GELU, nn.SiLU))
    between = draw.choice(("", "bn", "ln", "dropout"))
    parts: list[nn.Module] = []
    last = data.x.shape[1]
    for _ in range(draw.choice((1, 2))):
        parts.append(nn.Linear(last, wide))
        extra: dict[str, list[nn.Module]] = {"bn": [nn.BatchNorm1d(wide)], "ln": [nn.LayerNorm(wide)]}
        parts += [*extra.get(between, []), act(), *([nn.Dropout(0.1)] if between == "dropout" else [])]
        last = wide
    return nn.Sequential(*parts, nn.Linear(last, outputs)), f"{between} {act.__name__} {wide}".strip()


def _loss(draw: random.Random, data: Data) -> tuple[Callable[[Tensor, Tensor], Tensor], str]:
    if not data.classes:
        return draw.choice((
            (nn.MSELoss(), "mse"), (nn.SmoothL1Loss(), "smooth l1"), (nn.HuberLoss(), "huber"),
            (lambda o, t: (o - t).square().mean(), "own mse"),
        ))  # fmt: skip
    return draw.choice((
        (nn.CrossEntropyLoss(), "cross entropy"), (F.cross_entropy, "F.cross_entropy"),
        (nn.CrossEntropyLoss(label_smoothing=0.05), "smoothed"),
        (nn.CrossEntropyLoss(weight=torch.linspace(1, 1.5, data.classes)), "weighted"), (nn.NLLLoss(), "nll"),
    ))  # fmt: skip


def _optimizer(draw: random.Random, network: nn.Module, *, is_plain: bool) -> tuple[torch.optim.Optimizer, str]:
    weights = list(network.parameters())
    rules: list[tuple[str, Callable[[], torch.optim.Optimizer]]] = [
        ("adam", lambda: torch.optim.Adam(weights, lr=5e-3)),
        ("adamw", lambda: torch.optim.AdamW(weights, lr=3e-3, weight_decay=0.02)),
        ("nadam", lambda: torch.optim.NAdam(weights, lr=3e-3)),
        ("rmsprop", lambda: torch.optim.RMSprop(weights, lr=2e-3)),
    ]
    if is_plain:
        rules += [
            ("momentum", lambda: torch.optim.SGD(weights, lr=0.05, momentum=0.9, nesterov=True)),
            ("adagrad", lambda: torch.optim.Adagrad(weights, lr=0.05)),
        ]
    name, make = draw.choice(rules)
    return make(), name


def _schedule(draw: random.Random, optimizer: torch.optim.Optimizer, steps: int, epochs: int):
    rate = float(optimizer.param_groups[0]["lr"])
    kinds = torch.optim.lr_scheduler
    name = draw.choice(("constant", "constant", "cosine", "falls by epochs", "one cycle", "warm-up"))
    match name:
        case "cosine":
            return kinds.CosineAnnealingLR(optimizer, steps), "step", name
        case "falls by epochs":
            return kinds.StepLR(optimizer, max(1, epochs // 3), 0.3), "epoch", name
        case "one cycle":
            cycle = kinds.OneCycleLR(optimizer, 2 * rate, total_steps=steps + 1, cycle_momentum=False)
            return cycle, "step", name
        case "warm-up":
            return kinds.LinearLR(optimizer, 0.1, total_iters=steps // 10), "step", name
        case _:
            return None, "", name


def _score(network: nn.Module, valid: Rows, data: Data) -> float:
    """Accuracy, or r2."""
    network.eval()
    with torch.no_grad():
        outputs = network(valid[0])
    if data.classes:
        return float((outputs.argmax(1) == valid[1]).float().mean())
    return float(1 - (outputs - valid[1]).square().mean() / valid[1].var())


def _reference(data: Data) -> float:
    flat, y = data.x.reshape(900, -1).numpy(), data.y.numpy().ravel()
    forest = (RandomForestClassifier if data.classes else RandomForestRegressor)(100, random_state=0)
    line = LogisticRegression(max_iter=1000) if data.classes else LinearRegression()
    return max(float(model.fit(flat[:600], y[:600]).score(flat[600:], y[600:])) for model in (forest, line))


if __name__ == "__main__":
    main()
