"""What a forecast reads: each series' past scaled by itself, and beside it what is known of other columns."""

from collections.abc import Sequence
from typing import Literal, final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

Role = Literal["past", "others", "known", "calendar", "static"]
"""Of an input: the targets' past; other columns' past; columns known ahead; sines and cosines of the time; the rest."""

FLAT = 1e-3  # standard deviations of a target, added to a window's own: nearly constant windows are not blown up
FEW = 8  # known steps; with fewer, a window's spread is partly a guess
GUESS = 0.5  # of the level, as the spread of a series of which one value is known
POINTS = 16  # steps of another column's past that are read: a day by hours and a half
MOST_POINTS = 768  # numbers of all steps ahead of the known columns: more are thinned evenly
WAVES = 3  # of each cycle of the calendar: a week's weekend is not a sine
FARTHEST = 5.0  # spreads: covariates beyond it are cut, so that one mistake does not decide a forecast


@final
class History(nn.Module):
    """From a forecast's inputs to scaled numbers; `learn` takes means and spreads of covariates from training rows.

    The window's own mean and spread as in Kim et al. 2022 (RevIN), without its learned scale.
    """

    def __init__(
        self, roles: Sequence[Role], channels: Sequence[int], lags: int, ahead: int, season: int,
        moments: tuple[Sequence[float], Sequence[float]],
    ) -> None:  # fmt: skip
        """`channels` are those of each input, 0 for static ones; `moments` are mean and scale of each target."""
        super().__init__()
        self.roles, self.lags, self.ahead = tuple(roles), lags, ahead
        self.at = self.roles.index("past")
        self.mean: Tensor
        self.scale: Tensor
        for name, numbers in zip(("mean", "scale"), moments, strict=True):
            self.register_buffer(name, torch.tensor(numbers), persistent=False)  # they come with the task
        self.points = [_points(role, count, lags, ahead, season) for role, count in zip(roles, channels, strict=True)]
        for number, (points, count) in enumerate(zip(self.points, channels, strict=True)):
            if len(points) and roles[number] != "calendar":
                self.register_buffer(f"center{number}", torch.zeros(count))
                self.register_buffer(f"spread{number}", torch.ones(count))
        waves = [WAVES if role == "calendar" else 1 for role in roles]
        self.width = sum(len(p) * count * wave for p, count, wave in zip(self.points, channels, waves, strict=True))

    def learn(self, inputs: Sequence[Tensor]) -> None:
        """Means and spreads of the covariates, from encoded training rows."""
        for number, x in enumerate(inputs):
            if hasattr(self, f"center{number}"):
                known = x.double().cpu().flatten(0, 1).numpy()
                with np.errstate(all="ignore"):
                    center, spread = np.nan_to_num(np.nanmean(known, 0)), np.nan_to_num(np.nanstd(known, 0))
                getattr(self, f"center{number}").copy_(torch.from_numpy(center))
                getattr(self, f"spread{number}").copy_(torch.from_numpy(np.where(spread > 0, spread, 1.0)))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Past (B, targets, lags) scaled by itself, its middle and spread (B, targets, 1), covariates (B, width).

        The past is standardized first, so middle and spread are in standard deviations of the target. Missing values
        are 0: the window's mean, and the mean of a covariate.
        """
        x = inputs[self.at][:, : self.lags]
        x = F.pad(x, (0, 0, 0, self.lags - x.shape[1]), value=torch.nan)  # batches are cut after their last known step
        x = ((x - self.mean) / self.scale).transpose(1, 2)
        known = ~x.isnan()
        count = known.sum(2, keepdim=True)
        x = torch.where(known, x, 0.0)
        middle = x.sum(2, keepdim=True) / count.clamp(min=1)
        centered = torch.where(known, x - middle, 0.0)
        level = (middle + (self.mean / self.scale)[:, None]).abs()  # in standard deviations from zero
        guess, lacking = (GUESS * level).clamp(FLAT, 1.0), (FEW - count).clamp(min=0)
        squares = centered.square().sum(2, keepdim=True) + lacking * guess.square()
        spread = (squares / (count + lacking) + FLAT**2).sqrt()
        beside = [self._beside(number, x) for number, x in enumerate(inputs[: len(self.roles)])]
        shared = torch.cat([part for part in beside if part is not None] or [x.new_empty(len(x), 0)], 1)
        return centered / spread, middle, spread, shared

    def _beside(self, number: int, x: Tensor) -> Tensor | None:
        points = self.points[number]
        if not len(points):
            return None
        length = self.lags + (0 if self.roles[number] == "others" else self.ahead)
        if x.shape[1] < length:
            x = F.pad(x, (0, 0, 0, length - x.shape[1]), value=torch.nan)
        x = x[:, points]
        if self.roles[number] == "calendar":
            return _waves(x[:, 0])
        x = (x - getattr(self, f"center{number}")) / getattr(self, f"spread{number}")
        return x.nan_to_num(0.0, 0.0, 0.0).clamp(-FARTHEST, FARTHEST).flatten(1)


def _points(role: Role, channels: int, lags: int, ahead: int, season: int) -> list[int]:
    """The steps of an input that are read, from its first."""
    if role in ("past", "static") or not channels:
        return []
    if role == "calendar":
        return [lags]  # the first step ahead: cycles go on from there
    recent = _thinned(lags - min(lags, max(season, FEW)), lags, POINTS)
    if role == "others":
        return recent
    return [*recent[:: max(1, len(recent) // 4)], *_thinned(lags, lags + ahead, max(1, MOST_POINTS // channels))]


def _thinned(start: int, end: int, most: int) -> list[int]:
    """Evenly spread, with the last."""
    return sorted({*np.linspace(end - 1, start, min(most, end - start)).round().astype(int).tolist()})


def _waves(x: Tensor) -> Tensor:
    """(B, 2 cycles) sines and cosines in turn -> the same with WAVES - 1 overtones, (B, 2 WAVES cycles)."""
    turn = torch.view_as_complex(x.nan_to_num(0.0).unflatten(1, (-1, 2)).flip(2).float().contiguous())
    return torch.cat([torch.view_as_real(turn**wave).flatten(1) for wave in range(1, WAVES + 1)], 1)
