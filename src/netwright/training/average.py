"""A running average of the weights, which generalizes better than the last step's weights."""

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from netwright.training.weights import copied, named

UPDATES = 64  # per half-life: the average lags by under 1 % of it, and costs only this many passes over the weights
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


@final
class Average:
    """Exponential moving average of parameters and of batch norms' running statistics.

    A step counts half as much `half_life` steps later. In the first three half-lives the average forgets faster (decay
    n / (n + 2) at the nth update: Shamir and Zhang 2012, arXiv:1212.1824, eta = 1), so that the untrained weights do
    not linger. Other buffers keep their latest values: counters have no mean, and masks hold infinities.
    Polyak and Juditsky 1992; Tarvainen and Valpola 2017, arXiv:1703.01780.
    """

    def __init__(self, network: nn.Module, half_life: float) -> None:
        """Starts at the network's weights. `half_life` in steps, above 0."""
        self.half_life = half_life
        self.tensors = copied(network)
        self._averaged = _averaged(network)

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Resumes from a saved average."""
        for name, tensor in self.tensors.items():
            tensor.copy_(tensors[name])

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Adds the weights after optimizer step `step` (from 1), if that step counts."""
        decay = kept_share(self.half_life, step)
        if decay == 1:
            return
        latest = named(network)
        ours = [self.tensors[name] for name in self._averaged]
        get_ema_multi_avg_fn(decay)(ours, [latest[name] for name in self._averaged], step)
        for name in latest.keys() - self._averaged.keys():
            self.tensors[name].copy_(latest[name])


def kept_share(half_life: float, step: int) -> float:
    """The average's decay at a step (from 1); 1 if the step does not count."""
    every = max(1, int(half_life / UPDATES))
    count = step // every
    return 1.0 if step % every else min(0.5 ** (every / half_life), count / (count + 2))


def _averaged(network: nn.Module) -> dict[str, None]:
    """Names of the averaged tensors, in the network's order."""
    norms = {name for name, module in network.named_modules() if isinstance(module, NORMS)}
    statistics = {f"{name}.{part}".lstrip(".") for name in norms for part in ("running_mean", "running_var")}
    parameters = {name for name, _ in network.named_parameters()}
    return {n: None for n, t in named(network).items() if t.is_floating_point() and n in parameters | statistics}
