from netwright.records.standing import standing
from netwright.records.task import Metric, Scores


def scored(value: float, *, higher_is_better: bool, lead: Metric | None = None) -> Scores:
    return Scores((Metric("m", value, value - 1, value + 1, higher_is_better),), 10, lead=lead)


def test_the_best_simple_model_is_the_one_to_beat() -> None:
    for sign, higher_is_better in ((1, True), (-1, False)):
        ours, *others = (scored(sign * value, higher_is_better=higher_is_better) for value in (10, 3, 7, 5))
        found = standing(ours, list(zip(("constant", "boosted trees", "linear"), others, strict=True)))
        assert found is not None
        assert (found.name, found.named, found.is_ahead) == ("boosted trees", "boosted trees", True)


def test_a_number_within_the_interval_is_not_beaten() -> None:
    for value, is_higher, is_close in ((9.5, True, True), (10.5, False, True), (11.5, False, False)):
        found = standing(scored(10, higher_is_better=True), [("linear", scored(value, higher_is_better=True))])
        assert found is not None
        assert (found.is_ahead, found.is_higher, found.is_close) == (False, is_higher, is_close)
        assert str(found) == f"m 10.0000 against {value:.4f} of the linear model"


def test_nothing_is_compared_without_scores() -> None:
    assert standing(None, [("linear", scored(1, higher_is_better=True))]) is None
    assert standing(scored(1, higher_is_better=True), ()) is None


def test_a_paired_difference_decides_where_there_is_one() -> None:
    for value, low, high, is_ahead, is_close, by in (
        (0.4, 0.1, 0.7, True, False, "0.4000 (0.1000 to 0.7000)"),
        (0.4, -0.1, 0.9, False, True, "0.4000 (-0.1000 to 0.9000)"),
        (-0.4, -0.7, -0.1, False, False, "0.4000 (0.1000 to 0.7000)"),
    ):
        other = scored(10 - value, higher_is_better=True, lead=Metric("m", value, low, high, True))
        found = standing(scored(10, higher_is_better=True), [("linear", other)])
        assert found is not None
        assert (found.is_ahead, found.is_close, found.by) == (is_ahead, is_close, by)
