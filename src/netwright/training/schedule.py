"""The course of the learning rate: pure functions from a step to a share of the peak."""

from collections.abc import Callable
from math import cos, pi

from netwright.records.recipe import Recipe
from netwright.resolve import resolve
from netwright.training import SCHEDULES

Schedule = Callable[[int, int, float], float]
"""(step from 0, all steps, share of the steps in which the rate rises) -> share of the peak learning rate."""

FLAT = 0.5  # share of the steps before flat_cosine falls; Holzmüller et al. 2024, arXiv:2407.04491, "flat_cos"
RISE = 0.3  # of one_cycle: a slow rise allows a high peak (Smith and Topin 2017, arXiv:1708.07120)
FIRST = 1 / 25  # of one_cycle's peak: where it starts
CLIMB = 0.2  # of triangular: the shorter the training, the larger the share that should go into the descent


def schedule(recipe: Recipe, steps: int) -> Callable[[int], float]:
    """The recipe's schedule over `steps` steps: step from 0 -> learning rate. Later steps keep the last rate."""
    course: Schedule = resolve("schedule", recipe.schedule, SCHEDULES)
    return lambda step: recipe.lr * course(min(step, steps - 1), steps, recipe.warmup)


def constant(step: int, steps: int, warmup: float) -> float:
    """The peak, after a linear rise."""
    return _rise(step, steps, warmup)


def plateau(step: int, steps: int, warmup: float) -> float:
    """The peak, after a linear rise; `fit` lowers it when the validation score stops improving."""
    return _rise(step, steps, warmup)


def cosine(step: int, steps: int, warmup: float) -> float:
    """A linear rise, then half a cosine down towards 0. Loshchilov and Hutter 2016, arXiv:1608.03983."""
    return _rise(step, steps, warmup) * _fall(step, steps, warmup)


def flat_cosine(step: int, steps: int, warmup: float) -> float:
    """A linear rise, the peak for the first half of all steps, then half a cosine down towards 0."""
    return _rise(step, steps, warmup) * _fall(step, steps, max(FLAT, warmup))


def one_cycle(step: int, steps: int, warmup: float) -> float:
    """Half a cosine up from 1/25 of the peak, then half a cosine down towards 0.

    The rise is the point of this schedule: it takes 30 % of the steps even if `warmup` is shorter.
    """
    share = max(RISE, warmup)
    rising = share * steps
    if step >= rising:
        return _fall(step, steps, share)
    return FIRST + (1 - FIRST) * (1 - cos(pi * step / rising)) / 2


def triangular(step: int, steps: int, warmup: float) -> float:
    """A linear rise for 20 % of the steps, or for `warmup` if longer, then a linear fall to 0 after the last.

    For short trainings at a high peak: most of the gain comes while the rate falls, and a line falls the longest. Smith
    2015, arXiv:1506.01186, one triangle with its tip moved to the front.
    """
    share = max(CLIMB, warmup)
    return min(_rise(step, steps, share), (steps - step) / (steps * (1 - share)))


def _rise(step: int, steps: int, warmup: float) -> float:
    """Linear, from the first step above 0 to 1 after `warmup * steps` steps."""
    return min(1.0, (step + 1) / max(1.0, warmup * steps))


def _fall(step: int, steps: int, start: float) -> float:
    """1 up to the share `start` of the steps, then half a cosine; the last step is still above 0."""
    done = max(0.0, step - start * steps) / (steps * (1 - start))
    return (1 + cos(pi * done)) / 2
