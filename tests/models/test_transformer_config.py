"""Parameters that every transformer of the SASRec family has: they reach its layers, and change nothing by default."""

import pytest
import torch
from chains import markov_chain, sessions
from torch import nn

from segue.data.vocabulary import PADDING
from segue.errors import ParameterError
from segue.models.bert4rec import BERT4Rec
from segue.models.esasrec import ESASRec
from segue.models.gsasrec import GSASRec
from segue.models.sasrec import SASRec
from segue.models.transformer import TransformerModel
from segue.nn.encoders.attention import Attention
from segue.nn.encoders.base import SequenceEncoder
from segue.nn.encoders.layers import Dropout

FAMILY = {SASRec: 1e-8, BERT4Rec: 1e-5, GSASRec: 1e-5, ESASRec: 1e-5}
"""The models, with their default epsilon."""
LOG = sessions([[1, 2, 3], [3, 4, 5]], 300)


def network(kind: type[TransformerModel], **parameters: object) -> SequenceEncoder:
    model = kind(embedding_size=32, **parameters)
    model.fit_preprocessing(LOG)
    torch.manual_seed(0)
    return model.assemble()


def attention_rates(found: SequenceEncoder) -> set[float]:
    return {module.dropout.rate for module in found.modules() if isinstance(module, Attention)}


@pytest.mark.parametrize("kind", FAMILY)
def test_attention_has_a_dropout_rate_of_its_own(kind: type[TransformerModel]) -> None:
    found = network(kind, dropout=0.3, attention_dropout=0.1)
    assert attention_rates(found) == {0.1}
    inside = {module.dropout for module in found.modules() if isinstance(module, Attention)}
    assert {one.rate for one in found.modules() if isinstance(one, Dropout) and one not in inside} == {0.3}
    assert attention_rates(network(kind, dropout=0.3)) == {0.3}
    assert attention_rates(network(kind, dropout=0.3, attention_dropout=0.0)) == {0.0}


@pytest.mark.parametrize(("kind", "usual"), FAMILY.items())
def test_all_layer_normalisations_have_the_epsilon(kind: type[TransformerModel], usual: float) -> None:
    def epsilons(**parameters: float) -> set[float]:
        return {one.eps for one in network(kind, **parameters).modules() if isinstance(one, nn.LayerNorm)}

    assert epsilons() == {usual}
    assert epsilons(layer_norm_eps=1e-12) == {1e-12}


@pytest.mark.parametrize("kind", FAMILY)
def test_the_initializer_range_is_the_spread_of_all_weights(kind: type[TransformerModel]) -> None:
    found = network(kind, initializer_range=0.1, inner_size=64)
    norms = {id(one) for layer in found.modules() if isinstance(layer, nn.LayerNorm) for one in layer.parameters()}
    for name, weight in found.named_parameters():
        if id(weight) in norms:
            assert weight.unique().tolist() == [float(name.endswith("weight"))], name
        elif name.endswith("bias"):
            assert not weight.any(), name
        else:
            drawn = weight[1:] if name == "items" else weight
            assert drawn.std().item() == pytest.approx(0.1, rel=0.35 if drawn.dim() == 1 else 0.1), name
    assert not found.items[PADDING].any()


def test_context_features_keep_their_rows_for_unknown_values() -> None:
    log = markov_chain(10, 50).train
    model = SASRec(embedding_size=8, features=("weekday",), initializer_range=0.5)
    model.fit_preprocessing(log)
    assert not model.assemble().context.weights[0][PADDING].any()


@pytest.mark.parametrize("name", ["attention_dropout", "layer_norm_eps", "initializer_range"])
def test_values_out_of_range_are_refused(name: str) -> None:
    with pytest.raises(ParameterError, match=rf"sasrec\.{name}: must be greater than"):
        SASRec(**{name: -1.0})
