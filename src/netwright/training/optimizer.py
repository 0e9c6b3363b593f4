"""Update rules by name, from a network and a recipe; only weight matrices decay."""

from collections.abc import Callable, Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Muon, Optimizer, RMSprop

from netwright.machine.fused import Group, UpdateRule, fused_adam, fused_sgd
from netwright.records.errors import RecipeError
from netwright.records.recipe import Recipe
from netwright.resolve import resolve
from netwright.training import OPTIMIZERS

EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)
FUSED_DEVICES = ("cpu", "cuda")  # torch has one kernel for all parameters; on a CPU an MLP's step is 1.6 times as fast


def build_optimizer(network: nn.Module, recipe: Recipe) -> UpdateRule:
    """The recipe's optimizer over the network's trainable parameters."""
    rule: Callable[[nn.Module, Recipe], UpdateRule] = resolve("optimizer", recipe.optimizer, OPTIMIZERS)
    return rule(network, recipe)


def decayed(network: nn.Module) -> dict[str, Tensor]:
    """The parameters with weight decay: weights with two dimensions or more of dense, convolution, recurrent and
    attention layers.

    Biases, norms, scalars and embeddings do not decay. In your own modules, a parameter decays if it is called
    `weight` (or `..._weight`, `weight_...`).
    """
    kept = {id(p) for m in network.modules() if isinstance(m, EMBEDDINGS) for p in m.parameters(recurse=False)}
    return {
        name: parameter
        for name, parameter in network.named_parameters()
        if parameter.requires_grad
        and parameter.ndim >= 2
        and "weight" in name.rpartition(".")[2]
        and id(parameter) not in kept
    }


def groups(network: nn.Module, recipe: Recipe) -> list[Group]:
    """Two parameter groups: with `recipe.weight_decay`, and without."""
    heavy = decayed(network)
    rest = [p for name, p in network.named_parameters() if p.requires_grad and name not in heavy]
    return _groups(list(heavy.values()), rest, recipe)


def sgd(network: nn.Module, recipe: Recipe) -> UpdateRule:
    """Stochastic gradient descent with momentum; decay is L2 in the gradient. Sutskever et al. 2013 (Nesterov)."""
    nesterov = recipe.nesterov and recipe.momentum > 0
    both = groups(network, recipe)
    if _is_fused(network):
        return fused_sgd(both, lr=recipe.lr, momentum=recipe.momentum, nesterov=nesterov)
    return SGD(both, lr=recipe.lr, momentum=recipe.momentum, nesterov=nesterov)


def adam(network: nn.Module, recipe: Recipe) -> UpdateRule:
    """Adam; decay is L2 in the gradient. Kingma and Ba 2014, arXiv:1412.6980."""
    betas = (recipe.momentum, recipe.beta2)
    both = groups(network, recipe)
    if _is_fused(network):
        return fused_adam(both, lr=recipe.lr, betas=betas, decoupled=False)
    return Adam(both, lr=recipe.lr, betas=betas)


def adamw(network: nn.Module, recipe: Recipe) -> UpdateRule:
    """Adam with decay of the weights themselves, by lr * weight_decay a step. Loshchilov and Hutter 2017,
    arXiv:1711.05101.
    """
    both = groups(network, recipe)
    if _is_fused(network):
        return fused_adam(both, lr=recipe.lr, betas=(recipe.momentum, recipe.beta2), decoupled=True)
    return _adamw(both, network, recipe)


def rmsprop(network: nn.Module, recipe: Recipe) -> UpdateRule:
    """RMSprop with momentum; decay is L2 in the gradient. Hinton 2012; torch has no fused kernel for it."""
    return RMSprop(groups(network, recipe), lr=recipe.lr, momentum=recipe.momentum, foreach=True)


def muon(network: nn.Module, recipe: Recipe) -> UpdateRule:
    """Muon for the hidden matrices, AdamW for everything else. Jordan et al. 2024, kellerjordan.github.io/posts/muon.

    Hidden are all decayed matrices except the first and last weights of the network, next to data and answers.
    Updates are scaled to AdamW's size (Liu et al. 2025, arXiv:2502.16982), so that one learning rate serves both.
    Raises RecipeError if the network has no hidden matrix.
    """
    heavy = decayed(network)
    hidden = {name: p for name, p in list(heavy.items())[1:-1] if p.ndim == 2}
    if not hidden:
        raise RecipeError(
            "muon updates the matrices between the first and the last layer, and this network has none",
            remedy="choose another optimizer, such as adamw, or a deeper network.",
        )
    others = [p for name, p in heavy.items() if name not in hidden]
    rest = [p for name, p in network.named_parameters() if p.requires_grad and name not in heavy]
    return OneOfTwo(
        Muon(
            hidden.values(),
            lr=recipe.lr,
            weight_decay=recipe.weight_decay,
            momentum=recipe.momentum,
            nesterov=recipe.nesterov,
            adjust_lr_fn="match_rms_adamw",
        ),
        _adamw(_groups(others, rest, recipe), network, recipe),
    )


@final
class OneOfTwo(Optimizer):
    """Two optimizers over different parameters that behave as one: one step, one list of groups, one state."""

    def __init__(self, first: Optimizer, second: Optimizer) -> None:
        Optimizer.__init__(self, [*first.param_groups, *second.param_groups], {})
        self._first, self._second = first, second

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore[reportIncompatibleMethodOverride]  torch's overloads
        """One step of both. The state is here, so that it is saved and loaded as one optimizer's."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        cut = len(self._first.param_groups)
        for part, own in ((self._first, self.param_groups[:cut]), (self._second, self.param_groups[cut:])):
            part.param_groups, part.state = own, self.state
            part.step()
        return loss


def _adamw(parameter_groups: list[Group], network: nn.Module, recipe: Recipe) -> Optimizer:
    return AdamW(parameter_groups, lr=recipe.lr, betas=(recipe.momentum, recipe.beta2), fused=_is_fused(network))


def _groups(heavy: Sequence[Tensor], rest: Sequence[Tensor], recipe: Recipe) -> list[Group]:
    both = ({"params": heavy, "weight_decay": recipe.weight_decay}, {"params": rest, "weight_decay": 0.0})
    return [group for group in both if group["params"]]


def _is_fused(network: nn.Module) -> bool:
    """Whether torch has a fused kernel for these parameters."""
    return all(p.is_floating_point() and p.device.type in FUSED_DEVICES for p in network.parameters())
