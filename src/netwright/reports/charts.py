"""Charts of a training."""

from collections.abc import Callable
from math import inf, isfinite
from statistics import median

from netwright.records.finding import Chart
from netwright.records.history import History
from netwright.records.watched import LayerMoment, Watched

LAYERS = 6  # lines of one chart; more cannot be told apart
# A step changes weights by about a thousandth (course notes of Stanford's CS231n, "ratio of weights:updates"), within a
# factor of ten: for comparison, not a threshold.
BAND = (1e-4, 1e-2)


def charts_of(history: History, watched: Watched) -> tuple[Chart, ...]:
    """Losses, learning rate, and per layer gradients, updates, dead and saturated units, if known."""
    found = (
        _epochs(history),
        _losses(watched),
        _rates(history, watched),
        _updates(watched),
        _layers(watched, "gradient norm, before clipping", lambda layer: layer.gradient, is_log=True),
        _layers(watched, "share of dead units", lambda layer: layer.dead),
        _layers(watched, "share of saturated outputs", lambda layer: layer.saturated),
    )
    return tuple(chart for chart in found if chart is not None)


def _epochs(history: History) -> Chart | None:
    if not history.epochs:
        return None
    lines = {"training": tuple(epoch.train_loss for epoch in history.epochs)}
    if any("loss" in epoch.valid for epoch in history.epochs):
        lines["validation"] = tuple(epoch.valid.get("loss", float("nan")) for epoch in history.epochs)
    marks = ((float(history.best.epoch), "kept"),) if history.best else ()
    places = tuple(float(epoch.epoch) for epoch in history.epochs)
    return Chart("lines", "loss by epoch", "epoch", "loss", tuple(lines), tuple(lines.values()), places, marks)


def _losses(watched: Watched) -> Chart | None:
    if len(watched.losses) < 2:
        return None
    stretches = watched.losses
    values = tuple(tuple(getattr(s, name) for s in stretches) for name in ("mean", "least", "most"))
    places = tuple(s.first + s.count / 2 for s in stretches)
    return Chart("lines", "batch loss", "step", "loss", ("mean", "least", "most"), values, places)


def _rates(history: History, watched: Watched) -> Chart | None:
    if watched.moments:
        values, places, x = [m.lr for m in watched.moments], [float(m.step) for m in watched.moments], "step"
    else:
        values, places, x = [e.lr for e in history.epochs], [float(e.epoch) for e in history.epochs], "epoch"
    if len(values) < 2:
        return None
    return Chart("lines", "learning rate", x, "learning rate", ("learning rate",), (tuple(values),), tuple(places))


def _updates(watched: Watched) -> Chart | None:
    """Of many layers, a selection from the one that moves least to the one that moves most."""
    lines = {
        name: values for name, values in _rows(watched, lambda layer: layer.update) if any(0 < v < inf for v in values)
    }
    if not lines:
        return None
    ranked = sorted(lines, key=lambda name: median(v for v in lines[name] if isfinite(v)))
    last, count = len(ranked) - 1, min(LAYERS, len(ranked))
    chosen = {ranked[round(k * last / max(1, count - 1))] for k in range(count)}
    shown = {name: values for name, values in lines.items() if name in chosen}
    places = _steps(watched)
    shown |= {f"usual, {'most' if bound == BAND[1] else 'least'}": (bound,) * len(places) for bound in BAND}
    more = f", {count} of {len(lines)} layers" if len(lines) > count else ""
    return Chart(
        "lines", f"update / weights{more}", "step", "norm of the step's change / norm of the weights",
        tuple(shown), tuple(shown.values()), places, is_log=True,
    )  # fmt: skip


def _layers(
    watched: Watched, title: str, number: Callable[[LayerMoment], float], *, is_log: bool = False
) -> Chart | None:
    rows = [(name, values) for name, values in _rows(watched, number) if any(map(isfinite, values))]
    if not rows:
        return None
    names, values = zip(*rows, strict=True)
    return Chart("map", title, "step", "layer", names, values, _steps(watched), is_log=is_log)


def _rows(watched: Watched, number: Callable[[LayerMoment], float]) -> list[tuple[str, tuple[float, ...]]]:
    return [
        (name, tuple(number(moment.layers[k]) for moment in watched.moments)) for k, name in enumerate(watched.layers)
    ]


def _steps(watched: Watched) -> tuple[float, ...]:
    return tuple(float(moment.step) for moment in watched.moments)
