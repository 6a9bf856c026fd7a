"""Keys and values written in place: the same texts as `generate` of transformers, whatever the layers and the batch."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from affect_lightning.errors import DataError
from affect_lightning_plugins.language_models import growing_cache
from affect_lightning_plugins.language_models.growing_cache import GrowingLayer, make_room
from affect_lightning_plugins.language_models.response_decoding import DecodingOptions, decode_responses, read_prefix
from affect_lightning_plugins.transformers_versions import name_backbone

TOKENS = 20
LENGTHS = (9, 14, 4, 11)  # of the prompts; the window below is shorter than most, and than every answer
SIZES = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "initializer_range": 0.4,
    "bos_token_id": 1,
    "eos_token_id": None,
    "pad_token_id": 0,
}
WINDOW = {"sliding_window": 6}
# Layers are asked for a mask by the length of the query since transformers 5.10 at the latest, before by its positions.
BY_LENGTH = "query_length" in inspect.signature(DynamicLayer.get_mask_sizes).parameters
FAMILIES: dict[str, tuple[dict[str, Any], list[type]]] = {  # and the layers that the cache then has
    "llama": ({}, [GrowingLayer, GrowingLayer]),
    "qwen3": ({}, [GrowingLayer, GrowingLayer]),
    "qwen2": (
        {**WINDOW, "use_sliding_window": True, "max_window_layers": 1},
        [GrowingLayer, DynamicSlidingWindowLayer],
    ),
    "mistral": (WINDOW, [DynamicSlidingWindowLayer] * 2),
    "gemma3_text": (
        {**WINDOW, "layer_types": ["sliding_attention", "full_attention"]},
        [DynamicSlidingWindowLayer, GrowingLayer],
    ),
}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> tuple[Any, list[type]]:
    """A random model, and the kinds of its cache's layers."""
    options, layers = FAMILIES[request.param]
    torch.manual_seed(0)
    config = AutoConfig.for_model(request.param, **SIZES, **options)
    return name_backbone(AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")).eval(), layers


@pytest.fixture
def caches(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The caches that decoding made room in; blocks are short, so that several are needed."""
    seen: list[Any] = []

    def spy(cache: Any, tokens: int) -> None:
        make_room(cache, tokens)
        seen.append(cache)

    monkeypatch.setattr(growing_cache, "BLOCK", 7)
    monkeypatch.setattr(growing_cache, "make_room", spy)
    return seen


def prompts(model: Any, lengths: tuple[int, ...] = LENGTHS) -> tuple[Tensor, Tensor]:
    """Embeddings and mask of random prompts, padded on the left."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(2, SIZES["vocab_size"], (len(lengths), max(lengths)), generator=generator)
    mask = torch.tensor([[0] * (max(lengths) - length) + [1] * length for length in lengths])
    return model.get_input_embeddings()(ids).detach(), mask


def by_transformers(model: Any, embeddings: Tensor, mask: Tensor) -> list[list[int]]:
    """Greedy tokens of each prompt by itself."""
    rows = []
    for row, real in zip(embeddings, mask.bool(), strict=True):
        ones = torch.ones(1, int(real.sum()), dtype=torch.long)
        embedded = row[real].unsqueeze(0)
        made = model.generate(
            inputs_embeds=embedded, attention_mask=ones, max_new_tokens=TOKENS, do_sample=False, pad_token_id=0
        )
        rows.append(made[0].tolist())
    return rows


def test_texts_are_those_of_transformers_and_other_layers_stay(
    family: tuple[Any, list[type]], caches: list[Any]
) -> None:
    model, layers = family
    embeddings, mask = prompts(model)
    wanted = by_transformers(model, embeddings, mask)
    assert len({tuple(row) for row in wanted}) == len(LENGTHS)
    assert decode_responses(model, embeddings, mask, (), DecodingOptions(TOKENS)) == wanted
    assert [type(layer) for layer in caches[-1].layers] == layers
    even, ones = prompts(model, (9, 9, 9))  # nothing padded: no mask is passed
    assert decode_responses(model, even, ones, (), DecodingOptions(TOKENS)) == by_transformers(model, even, ones)


def test_ended_rows_leave_every_kind_of_layer(family: tuple[Any, list[type]], caches: list[Any]) -> None:
    model, _ = family
    embeddings, mask = prompts(model)
    endless = by_transformers(model, embeddings, mask)
    ends = {endless[0][3], endless[2][2]}
    wanted = [row[: next((i for i, token in enumerate(row) if token in ends), TOKENS)] for row in endless]
    assert decode_responses(model, embeddings, mask, ends, DecodingOptions(TOKENS)) == wanted
    assert len(caches[-1].layers[0].keys) < len(LENGTHS)


def test_a_beginning_that_was_read_before_gives_the_same_texts(
    family: tuple[Any, list[type]], caches: list[Any]
) -> None:
    model, layers = family
    embeddings, mask = prompts(model)
    ends, _ = prompts(model, (5, 5))
    joined = torch.cat([embeddings.repeat_interleave(2, dim=0), ends.repeat(len(LENGTHS), 1, 1)], dim=1)
    whole = torch.cat([mask.repeat_interleave(2, dim=0), torch.ones(2 * len(LENGTHS), 5, dtype=torch.long)], dim=1)
    cache = read_prefix(model, embeddings, mask, 2)
    options = DecodingOptions(TOKENS)
    found = decode_responses(model, ends.repeat(len(LENGTHS), 1, 1), whole, (), options, cache)
    assert found == by_transformers(model, joined, whole)
    assert [type(layer) for layer in caches[-1].layers] == layers


def test_bfloat16_and_sampling_are_those_of_the_dynamic_cache(
    family: tuple[Any, list[type]], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = family
    embeddings, mask = prompts(model)
    for dtype in (torch.bfloat16, torch.float32):
        model.to(dtype)
        for options in (DecodingOptions(TOKENS), DecodingOptions(TOKENS, temperature=1.0, seed=3)):
            arguments = model, embeddings.to(dtype), mask, (), options
            growing = decode_responses(*arguments)
            with monkeypatch.context() as patch:
                patch.setattr(growing_cache, "make_room", lambda cache, tokens: None)
                assert decode_responses(*arguments) == growing


class _Grown:
    """A layer with room and transformers' own, given the same tokens."""

    def __init__(self, room: int) -> None:
        self.generator = torch.Generator().manual_seed(0)
        first = self.states(3, 4)
        self.plain = DynamicLayer()
        self.plain.update(*first)
        self.growing = GrowingLayer(*first, room)

    def states(self, clips: int, tokens: int) -> tuple[Tensor, Tensor]:
        """Random keys and values; the widths differ, as some models have it."""
        keys = torch.randn(clips, 2, tokens, 8, generator=self.generator)
        return keys, torch.randn(clips, 2, tokens, 6, generator=self.generator)


CHANGES = st.tuples(st.sampled_from(["update", "select", "repeat", "reorder", "crop"]), st.integers(1, 5))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 5), st.lists(CHANGES, max_size=12))
def test_any_sequence_of_changes_leaves_what_the_dynamic_layer_has(room: int, changes: list[tuple[str, int]]) -> None:
    both = _Grown(room)
    for kind, number in changes:
        clips = len(both.plain.keys)
        states = both.states(clips, number)
        for layer in (both.plain, both.growing):
            if kind == "update":
                layer.update(*states)
            elif kind == "select":
                layer.batch_select_indices(torch.arange(clips)[: max(1, clips - number)])
            elif kind == "repeat" and clips < 8:
                layer.batch_repeat_interleave(2)
            elif kind == "reorder":
                layer.reorder_cache(torch.arange(clips).flip(0))
            elif kind == "crop" and layer.get_seq_length() > 1:  # 0 tokens to take off once meant all of them
                layer.crop(-min(number, layer.get_seq_length() - 1))
        assert both.growing.get_seq_length() == both.plain.get_seq_length()
        asked = 2 if BY_LENGTH else torch.arange(2) + both.plain.get_seq_length()
        assert both.growing.get_mask_sizes(asked) == both.plain.get_mask_sizes(asked)
        assert torch.equal(both.growing.keys, both.plain.keys)
        assert torch.equal(both.growing.values, both.plain.values)


def test_a_token_is_written_where_there_is_room() -> None:
    both = _Grown(3)
    places = [both.growing.update(*both.states(3, 1))[0].data_ptr() for _ in range(4)]
    assert places[0] == places[1] == places[2] != places[3]
    assert both.plain.keys.data_ptr() != both.plain.update(*both.states(3, 1))[0].data_ptr()


def test_room_is_only_made_in_layers_that_are_known() -> None:
    class Other(DynamicLayer):
        pass

    cache = DynamicCache()
    cache.layers = [DynamicLayer(), Other(), DynamicLayer()]
    for layer in cache.layers[:2]:
        layer.update(*_Grown(0).states(1, 2))
    make_room(cache, 5)
    assert [type(layer) for layer in cache.layers] == [GrowingLayer, Other, DynamicLayer]  # the last has read nothing
    make_room(object(), 5)


def test_responses_end_with_the_context() -> None:
    config = AutoConfig.for_model("llama", **SIZES, max_position_embeddings=16)
    model = name_backbone(AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")).eval()

    def lengths(prompt: int) -> list[int]:
        mask = torch.tensor([[0] * (prompt - 5) + [1] * 5, [1] * prompt])
        embedded = model.get_input_embeddings()(torch.ones_like(mask))
        return [len(response) for response in decode_responses(model, embedded, mask, set(), DecodingOptions(10**9))]

    assert lengths(14) == [11, 2], "a short prompt has its own room beside a long one"
    assert lengths(9) == [11, 7]
    with pytest.raises(DataError, match=r"a prompt has 16 tokens, and the language model takes 16 in all"):
        lengths(16)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_row_at_the_end_of_the_context_changes_no_other_row(family: str) -> None:
    """GPT-2 has a table of positions, which ends with the context."""
    sizes = (
        {**SIZES} if family == "llama" else {"vocab_size": SIZES["vocab_size"], "n_embd": 8, "n_layer": 1, "n_head": 2}
    )
    place = "max_position_embeddings" if family == "llama" else "n_positions"
    config = AutoConfig.for_model(family, **{**sizes, place: 16})
    torch.manual_seed(0)
    model = name_backbone(AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")).eval()
    options = DecodingOptions(10**6)
    rows = [torch.randint(SIZES["vocab_size"], (length,)) for length in (13, 4, 15)]
    mask = torch.tensor([[0] * (15 - len(row)) + [1] * len(row) for row in rows])
    padded = torch.stack([torch.nn.functional.pad(row, (15 - len(row), 0)) for row in rows])
    embed = model.get_input_embeddings()
    together = decode_responses(model, embed(padded), mask, set(), options)
    alone = [decode_responses(model, embed(row[None]), torch.ones(1, len(row)), set(), options)[0] for row in rows]
    assert (together, [*map(len, together)]) == (alone, [3, 12, 1])
    whole = embed(torch.zeros(1, 16, dtype=torch.long))
    with pytest.raises(DataError, match="a prompt has 16 tokens"):
        read_prefix(model, whole, torch.ones(1, 16), times=2)
