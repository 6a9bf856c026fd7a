"""Keys and values in rooms of fixed length: the texts of transformers in any room; CUDA graphs by a stand-in that has no GPU."""

from __future__ import annotations

import copy
import logging
import pickle
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from affect_lightning_plugins.language_models import fixed_room, response_decoding
from affect_lightning_plugins.language_models.fixed_room import FixedRoom
from affect_lightning_plugins.language_models.growing_cache import GrowingLayer
from affect_lightning_plugins.language_models.response_decoding import DecodingOptions, decode_responses, read_prefix
from test_growing_cache import FAMILIES, LENGTHS, SIZES, TOKENS, by_transformers, family, prompts

__all__ = ["family"]  # a fixture
WHOLE_PAST = [GrowingLayer, GrowingLayer]  # the families whose layers see everything


@pytest.fixture(autouse=True)
def short_rooms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rooms so short that a response needs several."""
    monkeypatch.setattr(fixed_room, "BUCKET", 8)


@pytest.fixture(scope="module")
def plain() -> Any:
    """One model that sees the whole past."""
    torch.manual_seed(0)
    config = AutoConfig.for_model("llama", **SIZES)
    return AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()


def decode(
    model: Any, rooms: FixedRoom | None, ends: Any = (), lengths: tuple[int, ...] = LENGTHS, **options: Any
) -> Any:
    embeddings, mask = prompts(model, lengths)
    return decode_responses(model, embeddings, mask, ends, DecodingOptions(TOKENS, **options), fixed_room=rooms)


def places(rooms: FixedRoom) -> list[tuple[int, int]]:
    """Rows and places of the rooms that are kept."""
    return [key[:2] for key in rooms._rooms]


def test_texts_are_those_of_transformers_and_other_layers_get_no_room(family: tuple[Any, list[type]]) -> None:
    model, layers = family
    rooms = FixedRoom()
    for lengths in (LENGTHS, (9, 9, 9)):
        embeddings, mask = prompts(model, lengths)
        wanted = by_transformers(model, embeddings, mask)
        assert decode_responses(model, embeddings, mask, (), DecodingOptions(TOKENS), fixed_room=rooms) == wanted
    needed = [(4, 16), (4, 24), (4, 40), (4, 32), (3, 16), (3, 24), (3, 32)]  # 14 + 20 tokens, then 9 + 20
    assert sorted(places(rooms)) == sorted(needed[-6:] if layers == WHOLE_PAST else [])


@pytest.mark.parametrize("sampling", [{}, {"temperature": 1.0, "top_p": 0.9, "seed": 3}])
def test_ended_rows_leave_by_halves_and_looking_seldom_changes_no_text(
    family: tuple[Any, list[type]], sampling: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, layers = family
    lengths = (9, 14, 4, 11, 6, 7, 12)
    endless = decode(model, None, lengths=lengths, **sampling)
    ends = {endless[0][3], endless[2][2], endless[4][5], endless[6][9]}
    wanted = [row[: next((i for i, token in enumerate(row) if token in ends), TOKENS)] for row in endless]
    assert sum(len(row) < TOKENS for row in wanted) >= 3
    assert decode(model, None, ends, lengths, **sampling) == wanted
    for look_every in (1, 3, 8, 100):
        monkeypatch.setattr(response_decoding, "END_TEST_EVERY", {"cpu": look_every})
        rooms = FixedRoom()
        assert decode(model, rooms, ends, lengths, **sampling) == wanted
        assert {rows for rows, _ in places(rooms)} <= {7, 4, 2, 1}
        assert decode(model, None, ends, lengths, **sampling) == wanted
        if look_every == 1 and layers == WHOLE_PAST and sum(len(row) < TOKENS for row in wanted) > 3:
            assert min(rows for rows, _ in places(rooms)) < 7


def test_a_beginning_that_was_read_before_gives_the_same_texts(plain: Any) -> None:
    embeddings, mask = prompts(plain)
    ends, _ = prompts(plain, (5, 5))
    whole = torch.cat([mask.repeat_interleave(2, dim=0), torch.ones(2 * len(LENGTHS), 5, dtype=torch.long)], dim=1)
    found = [
        decode_responses(
            plain,
            ends.repeat(len(LENGTHS), 1, 1),
            whole,
            (),
            DecodingOptions(TOKENS),
            read_prefix(plain, embeddings, mask, 2),
            fixed_room=rooms,
        )
        for rooms in (None, FixedRoom())
    ]
    assert found[0] == found[1]


def test_rooms_serve_the_next_batch_and_only_a_few_are_kept(plain: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rooms = FixedRoom()
    with torch.inference_mode():  # as Lightning tests; the next batch comes outside
        first = decode(plain, rooms)
    kept = dict(rooms._rooms)
    assert decode(plain, rooms) == first
    assert all(rooms._rooms[key] is room for key, room in kept.items())
    monkeypatch.setattr(fixed_room, "ROOMS_KEPT", 2)
    decode(plain, rooms, lengths=(9, 9))
    assert places(rooms) == [(2, 24), (2, 32)]
    weight = plain.lm_head.weight
    old = weight.data
    weight.data = old.clone()  # elsewhere: a graph would read the old place
    decode(plain, rooms, lengths=(9, 9))
    assert not {id(room) for room in rooms._rooms.values()} & {id(room) for room in kept.values()}
    weight.data = old
    for again in (copy.deepcopy(rooms), pickle.loads(pickle.dumps(rooms))):
        assert not places(again)
    rooms.drop()
    assert not places(rooms)


def test_a_device_without_memory_frees_the_other_rooms(plain: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rooms, real, failures = FixedRoom(), fixed_room._Room, iter([False, True])

    def scarce(*arguments: Any) -> Any:
        if next(failures, False):
            raise torch.OutOfMemoryError
        return real(*arguments)

    monkeypatch.setattr(fixed_room, "_Room", scarce)
    assert decode(plain, rooms) == decode(plain, None)
    assert places(rooms) == [(4, 24), (4, 32), (4, 40)]  # without the first one, of 16


def test_other_attention_gets_no_room(plain: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain.config, "_attn_implementation", "eager")
    rooms = FixedRoom()
    assert len(decode(plain, rooms)) == len(LENGTHS)
    assert not places(rooms)


class StandIn(FixedRoom):
    """Captures by remembering the step; a replay runs it, and writes its logits to one place, as a graph does."""

    def __init__(self, error: float = 0.0, raises: str = "") -> None:
        super().__init__()
        self.error, self.raises, self.replays = error, raises, 0

    def capture(self, step: Callable[[], Tensor], device: torch.device) -> tuple[Callable[[], None], Tensor]:
        if self.raises:
            raise RuntimeError(self.raises)
        room = next(reversed(self._rooms.values()))
        buffers = [
            room.mask,
            room.positions,
            room._place,
            *(t for layer in room.cache.layers for t in (layer.keys, layer.values)),
        ]
        before = [buffer.clone() for buffer in buffers]
        logits = torch.empty_like(step())
        for buffer, value in zip(buffers, before, strict=True):
            buffer.copy_(value)  # recording runs nothing

        def replay() -> None:
            self.replays += 1
            logits.copy_(step() + self.error)

        return replay, logits


@pytest.fixture
def on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fixed_room, "_GRAPH_DEVICE", "cpu")


@pytest.mark.usefixtures("on_a_gpu")
def test_steps_are_replayed_with_the_same_texts(plain: Any) -> None:
    wanted, rooms = decode(plain, None), StandIn()
    assert decode(plain, rooms) == wanted
    assert (rooms.captured, rooms.refusal) == (4, "")  # rooms of 16, 24, 32 and 40 places
    # 19 steps: the first in each room runs as it is, and each graph runs once to be compared.
    assert rooms.replays == 19 - 4 + 4
    assert decode(plain, rooms) == wanted
    assert (rooms.captured, rooms.replays) == (4, 19 + 19)
    ends = {wanted[0][3], wanted[2][2]}
    assert decode(plain, rooms, ends) == decode(plain, None, ends)


@pytest.mark.usefixtures("on_a_gpu")
@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"error": 3.0}, r"its logits differ by .* of the largest"),
        ({"error": float("nan")}, r"its logits differ by nan"),
        ({"raises": "operation not permitted when stream is capturing."}, "not permitted when stream is capturing"),
    ],
)
def test_a_graph_that_fails_or_differs_is_not_used(
    plain: Any, wrong: dict[str, Any], text: str, caplog: pytest.LogCaptureFixture
) -> None:
    rooms = StandIn(**wrong)
    with caplog.at_level(logging.WARNING):
        assert decode(plain, rooms) == decode(plain, None)
        assert decode(plain, rooms) == decode(plain, None)
    assert len(caplog.records) == 1
    assert "Set cuda_graphs to false in the options of the language model" in caplog.text
    assert rooms.captured == 0
    assert re.search(text, rooms.refusal)


def test_no_graph_is_made_on_a_cpu_or_where_none_is_wanted(plain: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rooms = StandIn()
    decode(plain, rooms)
    monkeypatch.setattr(fixed_room, "_GRAPH_DEVICE", "cpu")
    unwanted = StandIn()
    unwanted.graphs = False
    decode(plain, unwanted)
    assert rooms.captured == unwanted.captured == 0


def test_autocast_keeps_no_copies_of_weights_that_a_graph_would_read(plain: Any) -> None:
    seen = []
    hook = plain.model.layers[0].register_forward_pre_hook(lambda *_: seen.append(torch.is_autocast_cache_enabled()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        decode(plain, FixedRoom())
        assert torch.is_autocast_cache_enabled()
    hook.remove()
    assert seen == [True] + [False] * (TOKENS - 1)  # the prompts are read outside


def test_every_family_is_tried() -> None:
    assert sum(layers == WHOLE_PAST for _, layers in FAMILIES.values()) == 2
