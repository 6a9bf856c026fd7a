"""One code for the oldest and the newest version of a library that setup.cfg allows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from affect_lightning.errors import ContractError
from affect_lightning.weights import WeightDifferences
from affect_lightning_plugins.transformers_versions import cache_argument, kept_cache, loading_differences

TINY = {
    "vocab_size": 23,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}


class SinceFiveTwentyFour:
    def forward(self, input_ids: Any, cache: Any = None, **options: Any) -> None: ...


class BeforeFiveTwentyFour:
    def forward(self, input_ids: Any, past_key_values: Any = None, **options: Any) -> None: ...


class Silent:
    def forward(self, **options: Any) -> None: ...


def test_the_cache_is_handed_over_under_the_models_own_name() -> None:
    kept = object()
    assert cache_argument(SinceFiveTwentyFour(), kept) == {"cache": kept}
    assert cache_argument(BeforeFiveTwentyFour(), kept) == {"past_key_values": kept}
    installed = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **TINY))
    assert cache_argument(Silent(), kept) == cache_argument(installed, kept)


@pytest.mark.filterwarnings("error")  # a deprecated name is one, whatever else the run allows
@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "mistral"])
def test_the_cache_of_a_real_model_goes_back_and_forth(family: str) -> None:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **TINY)).eval()
    ids = torch.tensor([[3, 7, 5]])
    with torch.no_grad():
        read = model(input_ids=ids[:, :2], use_cache=True, **cache_argument(model, None))
        next_token = model(input_ids=ids[:, 2:], use_cache=True, **cache_argument(model, kept_cache(read)))
        whole = model(input_ids=ids)
    assert torch.allclose(next_token.logits[:, -1], whole.logits[:, -1], atol=1e-5)


def test_weights_of_another_shape_are_named_in_both_forms_of_the_report() -> None:
    others = {"missing_keys": {"b", "a"}, "unexpected_keys": ["c"]}
    for reshaped in ("layer.weight", ("layer.weight", (2, 3), (3, 3))):
        found = loading_differences({**others, "mismatched_keys": [reshaped]})
        assert found == WeightDifferences(missing=("a", "b"), surplus=("c",), reshaped=("layer.weight",))


def test_both_names_are_read_and_none_is_refused() -> None:
    kept = object()
    assert kept_cache(SimpleNamespace(cache=kept)) is kept
    assert kept_cache(SimpleNamespace(past_key_values=kept)) is kept
    with pytest.raises(
        ContractError, match=r"Choose a language model .* got SimpleNamespace without a cache, expected one"
    ):
        kept_cache(SimpleNamespace(cache=None, logits=1))
