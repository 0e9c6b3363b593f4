from math import inf, isnan, nan

from netwright.records.history import Epoch, History
from netwright.records.watched import LayerMoment, Moment, Stretch, Watched
from netwright.reports.charts import charts_of


def epoch(number: int, *, is_best: bool = False, **valid: float) -> Epoch:
    return Epoch(number, number * 10, 1 / number, valid, 1e-3, 1.0, 0.1, 100.0, 0, is_best)


def moment(step: int, updates: tuple[float, ...]) -> Moment:
    layers = tuple(LayerMoment(0.1, 1.0, u, 0.0, 1.0, nan if k % 2 else 0.5, nan) for k, u in enumerate(updates))
    return Moment(step, 1.0, 0.01, 0.2, layers)


def test_nothing_known_gives_no_charts() -> None:
    assert charts_of(History(), Watched()) == ()


def test_losses_of_both_parts_are_shown_with_the_epoch_that_was_kept() -> None:
    chart, rates = charts_of(History((epoch(1, loss=0.9), epoch(2, loss=0.7, is_best=True), epoch(3))), Watched())
    assert chart.names == ("training", "validation")
    assert chart.values[0] == (1.0, 0.5, 1 / 3)
    assert chart.values[1][:2] == (0.9, 0.7)
    assert isnan(chart.values[1][2])
    assert chart.marks == ((2.0, "kept"),)
    assert rates.values == ((1e-3,) * 3,)


def test_layers_without_a_number_have_no_row_and_numbers_without_layers_no_chart() -> None:
    watched = Watched(("a", "b"), ("Linear", "ReLU"), (moment(0, (1e-3, nan)), moment(5, (1e-3, nan))))
    charts = {chart.title: chart for chart in charts_of(History(), watched)}
    assert set(charts) == {
        "learning rate",
        "update / weights",
        "gradient norm, before clipping",
        "share of dead units",
    }
    dead = charts["share of dead units"]
    assert (dead.names, dead.values, dead.places) == (("a",), ((0.5, 0.5),), (0.0, 5.0))


def test_of_many_layers_those_that_move_least_and_most_are_drawn_beside_the_usual_band() -> None:
    names = tuple(f"layer{k}" for k in range(50))
    watched = Watched(names, ("Linear",) * 50, (moment(0, tuple(10.0 ** (k - 60) for k in range(50))),))
    chart = next(c for c in charts_of(History(), watched) if c.title.startswith("update"))
    assert chart.title == "update / weights, 6 of 50 layers"
    assert (chart.names[0], chart.names[5]) == ("layer0", "layer49")
    assert chart.values[-2:] == ((1e-4,), (1e-2,))
    assert chart.is_log


def test_a_training_that_exploded_is_shown_without_its_updates() -> None:
    watched = Watched(("a",), ("Linear",), (moment(0, (inf,)), moment(1, (nan,))))
    assert not [chart for chart in charts_of(History(), watched) if chart.title.startswith("update")]


def test_losses_of_single_steps_stand_in_the_middle_of_their_stretch() -> None:
    watched = Watched(losses=(Stretch(0, 10, 2.0, 1.0, 3.0), Stretch(10, 10, 1.0, 0.5, 1.5)))
    (chart,) = charts_of(History(), watched)
    assert chart.places == (5.0, 15.0)
    assert chart.values == ((2.0, 1.0), (1.0, 0.5), (3.0, 1.5))
