import pytest

from netwright.models import (
    ACTIVATIONS,
    BACKBONES,
    CAUSAL_BACKBONES,
    DENSE_BACKBONES,
    INITS,
    NORMALIZATIONS,
    NUMBER_EMBEDDINGS,
)
from netwright.resolve import resolve
from netwright.testing.models import (
    check_activation,
    check_backbone,
    check_causal_backbone,
    check_dense_backbone,
    check_init,
    check_normalization,
)


@pytest.mark.parametrize("name", BACKBONES)
def test_backbone_fulfils_its_contract(name):
    check_backbone(name)


@pytest.mark.parametrize("name", DENSE_BACKBONES)
def test_dense_backbone_fulfils_its_contract(name):
    check_dense_backbone(name)


@pytest.mark.parametrize("name", CAUSAL_BACKBONES)
def test_causal_backbone_fulfils_its_contract(name):
    check_causal_backbone(name)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_fulfils_its_contract(name):
    check_activation(name)


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_normalization_fulfils_its_contract(name):
    check_normalization(name)


@pytest.mark.parametrize("name", INITS)
def test_init_fulfils_its_contract(name):
    check_init(name)


@pytest.mark.parametrize("name", NUMBER_EMBEDDINGS)
def test_number_embedding_exists(name):
    assert callable(resolve("embedding", name, NUMBER_EMBEDDINGS))
