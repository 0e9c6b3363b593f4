import pytest

from netwright.resolve import resolve
from netwright.simple_models import SIMPLE_MODELS
from netwright.testing.simple_models import check_simple_model


@pytest.mark.parametrize("name", SIMPLE_MODELS)
def test_simple_model_fulfils_its_contract(name: str):
    check_simple_model(resolve("simple model", name, SIMPLE_MODELS))


def test_a_simple_model_is_one_file_and_one_line(tmp_path, monkeypatch):
    package = tmp_path / "own_models"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "nearest.py").write_text(NEAREST)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(SIMPLE_MODELS, "nearest", "own_models.nearest:fit")
    model = resolve("simple model", "nearest", SIMPLE_MODELS)
    check_simple_model(model)


NEAREST = """
from netwright.simple_models import neighbors


def fit(x, wanted, seed=0):
    return neighbors.fit(x, wanted, seed)
"""
