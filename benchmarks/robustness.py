"""Our attacks beside those of other packages, on small pictures of digits: honest networks and broken defenses.

    pip install -e '.[bench]'
    pip install --no-deps torchattacks pyautoattack
    python -m benchmarks.robustness --json robustness.jsonl

Part one, agreement: the same PGD (size, steps, length of a step, start) on 1,000 pictures by netwright, torchattacks,
foolbox and ART. Part two, strength: how many of 256 test pictures are right after all attacks of netwright, and after
AutoAttack. Measured cases are kept in --json; after --minutes no new case is begun, and the same command goes on.
"""

import argparse
import gzip
import json
import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from benchmarks.public_data import IDX_IMAGES_OFFSET, IDX_LABELS_OFFSET
from benchmarks.speed.measure import conditions, table
from tests.attacks import museum
from torch import Tensor, nn

from netwright.attacks.campaign import Campaign
from netwright.attacks.pgd import pgd
from netwright.attacks.plans import planned
from netwright.attacks.problem import is_random
from netwright.attacks.transfer import surrogates_of
from netwright.records.batch import Batch
from netwright.records.threat import Norm
from netwright.resolve import require

PACKAGES = ("netwright", "torch", "torchattacks", "foolbox", "adversarial-robustness-toolbox", "pyautoattack")
SIZES: dict[Norm, float] = {"inf": museum.SIZE, "2": 1.0}
AGREEMENT_ROWS, STRENGTH_ROWS = 1_000, 256
STEPS, STRIDE = 20, 0.125  # of PGD; the stride in sizes
AGREE = 0.015  # of the pictures: the most that two packages may differ
WEAKER = 0.005  # of the pictures: the most that AutoAttack may beat and we do not
MINUTES = 7.0
CLOTHES_EPOCHS = 6
FASHION: list[Path] = []  # the folder, if it was named


@dataclass(frozen=True)
class Measured:
    """The share of pictures that are right after attacks of one package."""

    part: str  # "agreement" or "strength"
    network: str
    norm: str
    package: str
    right: float
    rows: int
    seconds: float


@dataclass(frozen=True)
class Case:
    """What to measure."""

    part: str
    network: str
    norm: Norm
    package: str
    measure: Callable[[nn.Module, Batch, Norm], float]

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Says which one it is."""
        return self.part, self.network, self.norm, self.package


def main() -> None:
    """Measures what is not yet in --json, and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=Path("robustness.jsonl"))
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--data", type=Path, help="a folder with fashion-mnist/, if clothes are attacked too")
    parser.add_argument("--only", default="", help="networks whose names hold this")
    options = parser.parse_args()
    FASHION.extend([options.data / "fashion-mnist"] if options.data else [])
    torch.set_num_threads(options.threads)
    for package in ("torchattacks", "foolbox", "art", "pyautoattack"):
        require(package, extra="bench")
    lines = options.json.read_text().splitlines() if options.json.exists() else []
    found = [Measured(**json.loads(line)) for line in lines]
    done, began, left = {(m.part, m.network, m.norm, m.package) for m in found}, time.perf_counter(), 0
    for case in cases():
        if case.key in done or options.only not in case.network:
            continue
        if time.perf_counter() - began > 60 * options.minutes:
            left += 1
            continue
        found.append(measured(case))
        with options.json.open("a") as out:
            out.write(json.dumps(asdict(found[-1])) + "\n")
    if left:
        print(f"{left} cases are left: run the same command again\n")
    print(agreement(found), strength(found), conditions(options.threads, PACKAGES), sep="\n\n")


def cases() -> Iterator[Case]:
    """All of them."""
    for norm in SIZES:
        for network in ("plain", "pgd-trained", *(CLOTHES if FASHION else ())):
            for package, attack in PGD.items():
                yield Case("agreement", network, norm, package, attack)
        for network in (*museum.HONEST, *museum.MASKED, *(CLOTHES if FASHION else ())):
            for package, attack in UNIONS.items():
                yield Case("strength", network, norm, package, attack)


def measured(case: Case) -> Measured:
    """One case."""
    is_clothes = case.network in CLOTHES
    network = CLOTHES[case.network]() if is_clothes else museum.network(case.network)
    count = AGREEMENT_ROWS if case.part == "agreement" else STRENGTH_ROWS
    batch = shown_clothes(count) if is_clothes else every(count) if case.part == "agreement" else museum.rows(count)
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the other packages
        right = case.measure(network, batch, case.norm)
    seconds = time.perf_counter() - began
    print(f"{' '.join(case.key)}: {right:.4f} in {seconds:.1f} s", flush=True)
    return Measured(*case.key, right, len(batch), seconds)


@cache
def pictures_of_clothes(part: str, count: int) -> tuple[Tensor, Tensor]:
    """The first of Fashion-MNIST's training or test pictures (N, 1, 28, 28) in [0, 1], and their labels."""
    with gzip.open(FASHION[0] / f"{part}-images-idx3-ubyte.gz") as file:
        x = np.frombuffer(file.read(IDX_IMAGES_OFFSET + 784 * count), np.uint8, offset=IDX_IMAGES_OFFSET)
    with gzip.open(FASHION[0] / f"{part}-labels-idx1-ubyte.gz") as file:
        y = np.frombuffer(file.read(IDX_LABELS_OFFSET + count), np.uint8, offset=IDX_LABELS_OFFSET)
    return torch.tensor(x.reshape(-1, 1, 28, 28) / 255).float(), torch.tensor(y).long()


def shown_clothes(count: int) -> Batch:
    """Test pictures."""
    x, y = pictures_of_clothes("t10k", count)
    return Batch((x,), (y,), torch.arange(count))


@cache
def clothes(loss: museum.Loss) -> nn.Module:
    """A small convnet after a few epochs on 5,000 pictures."""
    return museum.trained(clothes_net(), loss, CLOTHES_EPOCHS, rows=pictures_of_clothes("train", 5_000))


def clothes_net() -> nn.Module:
    """Two layers of convolutions with strides."""
    convs = (nn.Conv2d(1, 16, 4, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 4, 2, 1), nn.ReLU())
    return nn.Sequential(*convs, nn.Flatten(), nn.Linear(32 * 49, 64), nn.ReLU(), nn.Linear(64, 10))


def every(count: int) -> Batch:
    """Test and training pictures: for the agreement of attacks it does not matter which."""
    x, y, more, labels = museum.pictures()
    return Batch((torch.cat([more, x])[:count],), (torch.cat([labels, y])[:count],), torch.arange(count))


def right(network: nn.Module, x: Tensor, y: Tensor) -> float:
    """The share of right answers."""
    with torch.no_grad():
        return float((network(x).argmax(1) == y).double().mean())


def our_pgd(network: nn.Module, batch: Batch, norm: Norm) -> float:
    """From the pictures themselves."""
    threat = museum.threat(batch, norm, SIZES[norm])
    moved = pgd(network, batch, museum.DIGITS, threat, steps=STEPS, stride=STRIDE, starts_at_random=False)
    return right(network, moved.inputs[0], batch.targets[0])


def torchattacks_pgd(network: nn.Module, batch: Batch, norm: Norm) -> float:
    """PGD and PGDL2."""
    package = require("torchattacks", extra="bench")
    attack = package.PGD if norm == "inf" else package.PGDL2
    made = attack(network, eps=SIZES[norm], alpha=STRIDE * SIZES[norm], steps=STEPS, random_start=False)
    return right(network, made(batch.inputs[0], batch.targets[0]), batch.targets[0])


def foolbox_pgd(network: nn.Module, batch: Batch, norm: Norm) -> float:
    """LinfPGD and L2PGD."""
    package = require("foolbox", extra="bench")
    attack = package.attacks.LinfPGD if norm == "inf" else package.attacks.L2PGD
    made = attack(abs_stepsize=STRIDE * SIZES[norm], steps=STEPS, random_start=False)
    model = package.PyTorchModel(network, bounds=(0, 1), device="cpu")
    _, moved, _ = made(model, batch.inputs[0], batch.targets[0], epsilons=SIZES[norm])
    return right(network, moved, batch.targets[0])


def art_pgd(network: nn.Module, batch: Batch, norm: Norm) -> float:
    """ProjectedGradientDescent."""
    require("art", extra="bench")
    from art.attacks.evasion import ProjectedGradientDescentPyTorch
    from art.estimators.classification import PyTorchClassifier

    judge = PyTorchClassifier(
        network, nn.CrossEntropyLoss(), batch.inputs[0].shape[1:], 10, clip_values=(0, 1), device_type="cpu"
    )
    attack = ProjectedGradientDescentPyTorch(
        judge,
        norm=np.inf if norm == "inf" else 2,
        eps=SIZES[norm],
        eps_step=STRIDE * SIZES[norm],
        max_iter=STEPS,
        num_random_init=0,
        batch_size=len(batch),
        verbose=False,
    )
    moved = attack.generate(batch.inputs[0].numpy(), batch.targets[0].numpy())
    return right(network, torch.from_numpy(moved), batch.targets[0])


def union(network: nn.Module, batch: Batch, norm: Norm, *, is_full: bool) -> float:
    """What `attack` tries, one after the other, each on pictures that are still right."""
    threat = museum.threat(batch, norm, SIZES[norm])
    campaign = judge(network, batch, norm)
    for attack in planned(museum.DIGITS, threat.ways, (), is_full=is_full):
        options = dict(attack.options)
        if attack.name == "transfer":
            is_small = batch.inputs[0].shape[-1] == 8
            x, y = museum.pictures()[:2] if is_small else pictures_of_clothes("train", 2_000)
            taught, build = Batch((x,), (y,), torch.arange(len(x))), museum.convnet if is_small else clothes_net
            options["surrogates"] = surrogates_of(network, taught, museum.DIGITS, [build] * 2)
        campaign.attack(attack.name, campaign.standing, options)
    return float(campaign.standing.double().mean())


def quick(network: nn.Module, batch: Batch, norm: Norm) -> float:
    """Half a minute for a few hundred pictures."""
    return union(network, batch, norm, is_full=False)


def full(network: nn.Module, batch: Batch, norm: Norm) -> float:
    """Everything."""
    return union(network, batch, norm, is_full=True)


def autoattack(network: nn.Module, batch: Batch, norm: Norm) -> float:
    """Its standard version; for a network with random answers, the version made for those."""
    package = require("pyautoattack", extra="bench")
    version = "rand" if is_random(network, batch, museum.DIGITS) else "standard"
    kind = "Linf" if norm == "inf" else "L2"
    logging.getLogger("auto-attack").setLevel(logging.ERROR)
    attack = package.AutoAttack(_Joined(network), norm=kind, eps=SIZES[norm], version=version, seed=0, device="cpu")
    moved, _ = attack.run_standard_evaluation(batch.inputs[0], batch.targets[0], batch_size=len(batch))
    campaign = judge(network, batch, norm)
    harm = campaign.harm(Batch((moved,), batch.targets, batch.rows))
    return float((torch.maximum(harm, campaign.clean) < 1).double().mean())


class _Joined(nn.Module):
    """The same answers; a gradient that is missing is 0, because AutoAttack ends with an error without one."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return self.inner(x) + 0 * x.flatten(1).sum(1, keepdim=True)


def judge(network: nn.Module, batch: Batch, norm: Norm) -> Campaign:
    """Counts right answers; of a random network by the majority."""
    return Campaign(network, batch, museum.DIGITS, museum.threat(batch, norm, SIZES[norm]))


CLOTHES = {
    "clothes, plain": partial(clothes, museum.plain_loss),
    "clothes, pgd-trained": partial(clothes, museum.hardened_loss),
}
PGD = {"netwright": our_pgd, "torchattacks": torchattacks_pgd, "foolbox": foolbox_pgd, "ART": art_pgd}
UNIONS = {"netwright, quick": quick, "netwright, full": full, "AutoAttack": autoattack}


def agreement(found: Sequence[Measured]) -> str:
    """A line for each network and norm; what differs too much is bold."""
    rows = list[tuple[str, ...]]()
    for (network, norm), of in _groups(found, "agreement"):
        ours = of["netwright"].right if "netwright" in of else float("nan")
        others = [
            "" if name not in of else _marked(of[name].right, abs(of[name].right - ours) > AGREE)
            for name in PGD
            if name != "netwright"
        ]
        rows.append((network, norm, str(SIZES[norm]), f"{ours:.1%}", *others))
    title = f"Right after the same PGD, {STEPS} steps, {AGREEMENT_ROWS:,} pictures (bold: over {AGREE:.1%} from ours)"
    return f"{title}\n\n" + table(("network", "norm", "size", *PGD), rows)


def strength(found: Sequence[Measured]) -> str:
    """A line for each network and norm; where AutoAttack finds more than WEAKER, its share is bold."""
    rows, gaps = list[tuple[str, ...]](), list[float]()
    for (network, norm), of in _groups(found, "strength"):
        if len(of) < len(UNIONS):
            continue
        fast, ours, other = (of[name] for name in UNIONS)
        gap = ours.right - other.right
        gaps.append(gap)
        kind = "broken" if network in museum.MASKED else "honest"
        seconds = " / ".join(f"{m.seconds:.0f}" for m in (fast, ours, other))
        marked = _marked(other.right, gap > WEAKER)
        rows.append((network, kind, norm, f"{fast.right:.1%}", f"{ours.right:.1%}", marked, f"{gap:+.1%}", seconds))
    head = ("network", "", "norm", *UNIONS, "full less AutoAttack", "seconds")
    title = f"Right after all attacks, {STRENGTH_ROWS} test pictures (bold: AutoAttack over {WEAKER:.1%} stronger)"
    end = f"\n\nfull less AutoAttack: median {median(gaps):+.1%}, greatest {max(gaps):+.1%}" if gaps else ""
    return f"{title}\n\n{table(head, rows)}{end}"


def _groups(found: Sequence[Measured], part: str) -> Iterator[tuple[tuple[str, Norm], dict[str, Measured]]]:
    for norm in SIZES:
        for network in dict.fromkeys(m.network for m in found if m.part == part and m.norm == norm):
            of = {m.package: m for m in found if (m.part, m.network, m.norm) == (part, network, norm)}
            yield (network, norm), of


def _marked(share: float, is_bold: bool) -> str:
    return f"**{share:.1%}**" if is_bold else f"{share:.1%}"


if __name__ == "__main__":
    main()
