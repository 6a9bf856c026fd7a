"""Keys and values in rooms of fixed length, so that a GPU replays each decoding step as one CUDA graph (not in the paper).

A step of a 7B model asks for some hundred small kernels, and Python asks more slowly than a GPU computes. A CUDA graph asks
for all of them at once, if every shape and every address stays the same. So a room has a fixed number of rows and of tokens
(a multiple of 128), a mask says which places are written, and the place of the next token is a number on the device. Rooms
and their graphs are kept, and serve the next batch of the same shape. A room that is full is exchanged for a longer one, and
rows that have ended are left behind in halves, so that few shapes occur.

The first step in a room runs without a graph. The graph then repeats this step, and is used only if it gives the same logits.
Only attention by torch's `scaled_dot_product_attention` that sees the whole past is done here; everything else, and the CPU,
keeps the growing cache. The file loads transformers, which `response_decoding.py` does only at the first response.
Legend: B rows, N places of a room, H heads of keys and values, D width of a head, V vocabulary.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers.cache_utils import DynamicCache, DynamicLayer

from affect_lightning_plugins.language_models.packed_attention import CLIPWISE_ATTENTION
from affect_lightning_plugins.transformers_versions import cache_argument, context_length

BUCKET = 128  # places; our choice: the shapes repeat, and on average half of it is read in vain
ROOMS_KEPT = 6  # of the shapes used last; our choice: a batch that shrinks from 32 rows to 1 needs six
_GRAPH_DEVICE = "cuda"
_ATTENTION = ("sdpa", CLIPWISE_ATTENTION)  # both take a mask [B, 1, 1, N]
# How far a graph's logits may be from those of the same step without it, relative to the largest. The kernels are the same.
_TOLERANCE = 1e-2

_LOG = logging.getLogger(__name__)


class FixedRoom:
    """The rooms of one model.

    Attributes:
        graphs: Whether steps are captured as CUDA graphs, on a GPU.
        captured: Graphs made so far.
        refusal: Why none is made any more; empty as long as they work.
    """

    def __init__(self, graphs: bool = True) -> None:
        """Hold nothing yet.

        Args:
            graphs: See the class.
        """
        self.graphs, self.captured, self.refusal = graphs, 0, ""
        self._rooms: dict[Any, _Room] = {}
        # Memory of all graphs, since one runs at a time and its logits are read before the next; and where they are recorded.
        self._pool: Any = None
        self._stream: Any = None

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy starts empty: graphs hold addresses."""
        return type(self), (self.graphs,)

    def drop(self) -> None:
        """Free all rooms."""
        self._rooms.clear()

    def begin(self, model: Any, cache: Any, mask: Tensor, positions: Tensor) -> FixedSteps | None:
        """A decoding that goes on from prompts that were read; None if this model or cache cannot be put into a room.

        Args:
            model: A transformers causal language model.
            cache: What it has read.
            mask: [B, N], 0 for padding.
            positions: Of the next token, [B, 1].
        """
        if not _sees_the_whole_past(model, cache):
            return None
        steps = FixedSteps(self, model)
        steps.move_in([(layer.keys, layer.values) for layer in cache.layers], mask.bool(), positions, mask.shape[1])
        return steps

    def room(self, model: Any, shapes: Sequence[tuple[Tensor, Tensor]], rows: int, places: int) -> _Room:
        """A room for so many rows and places, the one of last time where there is one."""
        tensors = [*model.parameters(), *model.buffers()]
        key = rows, places, _arithmetic(tensors[0].device), tuple(tensor.data_ptr() for tensor in tensors)
        room = self._rooms.pop(key, None)
        if room is None:
            while len(self._rooms) >= ROOMS_KEPT:
                del self._rooms[next(iter(self._rooms))]
            room = self._new_room(shapes, rows, places)
        self._rooms[key] = room  # the newest is the last
        return room

    def _new_room(self, shapes: Sequence[tuple[Tensor, Tensor]], rows: int, places: int) -> _Room:
        try:
            return _Room(shapes, rows, places)
        except torch.OutOfMemoryError:
            self.drop()
            return _Room(shapes, rows, places)

    def capture(self, step: Callable[[], Tensor], device: torch.device) -> tuple[Callable[[], None], Tensor]:
        """Record a step without running it.

        Args:
            step: Gives logits; it reads and writes at the same addresses every time.
            device: Of the model.

        Returns:
            What runs it, and the logits [B, V] that this fills.
        """
        with torch.cuda.device(device):
            if self._pool is None:
                self._pool, self._stream = torch.cuda.graph_pool_handle(), torch.cuda.Stream()
            graph, before = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
            try:
                # Other threads (one that pins memory, one that watches NCCL) may go on meanwhile.
                with torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode="thread_local"):
                    logits = step()
            finally:
                torch.cuda.set_stream(before)  # up to torch 2.14 a failed capture leaves its own stream behind
        return graph.replay, logits


class FixedSteps:
    """A running decoding in one room after another."""

    def __init__(self, rooms: FixedRoom, model: Any) -> None:
        """Begin nowhere; `move_in` comes next.

        Args:
            rooms: Of the model.
            model: A transformers causal language model.
        """
        self._rooms, self._model = rooms, model
        self._room: Any = None
        self._written = 0

    def row_counts(self, rows: int) -> int:
        """How many rows run on where this many are open: a power of two, so that few shapes occur."""
        return 1 << (rows - 1).bit_length()

    def move_in(
        self, states: Sequence[tuple[Tensor, Tensor]], mask: Tensor, positions: Tensor, written: int, more: int = 1
    ) -> None:
        """Copy what was read into a room with a place for `more` tokens at least.

        Args:
            states: Keys and values [B, H, N, D] of every layer.
            mask: True where a place may be seen, [B, N].
            positions: Of the next token, [B, 1].
            written: Places to copy, from the first on.
            more: Tokens that must fit behind them.
        """
        places = -(-(written + more) // BUCKET) * BUCKET
        room = self._rooms.room(self._model, states, len(mask), places)
        room.fill(states, mask, positions, written)
        self._room, self._written = room, written

    def advance(self, chosen: Tensor) -> Tensor:
        """Logits [B, V] after the chosen tokens [B]; they are valid until the next step."""
        if self._written == self._room.places:
            self._move(slice(None))
        self._written += 1
        more = self._written < self._room.places  # else no step follows that a graph could repeat
        return self._room.step(self._model, chosen, self._rooms if more else None)

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with some rows only, given by their places in the batch."""
        self._move(torch.tensor(rows, device=self._room.mask.device))

    def _move(self, rows: Tensor | slice) -> None:
        old = self._room
        states = [(layer.keys[rows], layer.values[rows]) for layer in old.cache.layers]
        self.move_in(states, old.mask[rows, 0, 0], old.positions[rows].clone(), self._written)


class _Layer(DynamicLayer):
    """One layer's keys and values [B, H, N, D], written at a place that is a number on the device."""

    keys: Tensor
    values: Tensor

    def __init__(self, keys: Tensor, values: Tensor, place: Tensor) -> None:
        super().__init__()
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
        self.keys, self.values, self._place = keys, values, place

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **options: Any) -> tuple[Tensor, Tensor]:
        # Under autocast transformers 4.56 keeps what is in 16 bits here with what is in 32.
        self.keys.index_copy_(2, self._place, key_states.to(self.keys.dtype))
        self.values.index_copy_(2, self._place, value_states.to(self.values.dtype))
        return self.keys, self.values

    def get_seq_length(self, *args: Any) -> int:
        return 0  # positions and mask are handed over, so nothing follows from it


class _Room:
    """Buffers of one shape, and the graph of a step in them."""

    def __init__(self, shapes: Sequence[tuple[Tensor, Tensor]], rows: int, places: int) -> None:
        self.places = places
        device = shapes[0][0].device
        with torch.inference_mode(False):  # the next batch may come outside Lightning's inference mode
            self.mask = torch.zeros(rows, 1, 1, places, dtype=torch.bool, device=device)
            self.positions = torch.zeros(rows, 1, dtype=torch.long, device=device)
            self._place = torch.zeros(1, dtype=torch.long, device=device)
            self._tokens = torch.zeros(rows, 1, dtype=torch.long, device=device)
            self.cache: Any = DynamicCache()
            self.cache.layers = [
                _Layer(_empty(keys, rows, places), _empty(values, rows, places), self._place) for keys, values in shapes
            ]
        self._replay: Callable[[], None] | None = None
        self._logits: Any = None

    def fill(self, states: Sequence[tuple[Tensor, Tensor]], mask: Tensor, positions: Tensor, written: int) -> None:
        for layer, (keys, values) in zip(self.cache.layers, states, strict=True):
            layer.keys[:, :, :written].copy_(keys[:, :, :written])
            layer.values[:, :, :written].copy_(values[:, :, :written])
        self.mask.zero_()
        self.mask[:, 0, 0, :written].copy_(mask[:, :written])
        self.positions.copy_(positions)
        self._place.fill_(written)

    def step(self, model: Any, chosen: Tensor, rooms: FixedRoom | None) -> Tensor:
        """Logits [B, V] after the chosen tokens [B]; a graph may be made for what `rooms` are asked for next."""
        self._tokens.copy_(chosen.unsqueeze(1))
        if self._replay is not None:
            self._replay()
            return self._logits
        before = self._place.clone(), self.positions.clone()
        logits = self._forward(model)
        if rooms is not None and rooms.graphs and not rooms.refusal and logits.device.type == _GRAPH_DEVICE:
            self._make_graph(model, logits, rooms, before)
        return logits

    def _forward(self, model: Any) -> Tensor:
        self.mask.index_fill_(3, self._place, True)
        with _uncached_autocast(self.mask.device):
            output = model(
                input_ids=self._tokens,
                attention_mask=self.mask,
                position_ids=self.positions,
                **cache_argument(model, self.cache),
                use_cache=True,
                logits_to_keep=1,
            )
        self._place.add_(1)
        self.positions.add_(1)
        if (context := context_length(model)) is not None:  # a row that has ended with the context may stay for a while
            self.positions.clamp_(max=context - 1)
        return output.logits[:, -1]

    def _make_graph(self, model: Any, logits: Tensor, rooms: FixedRoom, before: tuple[Tensor, Tensor]) -> None:
        """Record the step that was just done, do it again that way, and compare."""
        after = self._place.clone(), self.positions.clone()
        try:
            replay, again = rooms.capture(lambda: self._forward(model), self.mask.device)
            self._place.copy_(before[0])
            self.positions.copy_(before[1])
            replay()
            difference = float((again.float() - logits.float()).abs().max() / logits.float().abs().max())
            if not difference <= _TOLERANCE:
                raise RuntimeError(f"its logits differ by {difference:.1e} of the largest")
            self._replay, self._logits = replay, again
            rooms.captured += 1
        except RuntimeError as error:
            rooms.refusal = " ".join(str(error).split())[:300].rstrip(".")
            _LOG.warning(
                "Decoding goes on without CUDA graphs, more slowly and with the same responses: %s. Set cuda_graphs to "
                "false in the options of the language model to be spared this message.",
                rooms.refusal,
            )
        self._place.copy_(after[0])
        self.positions.copy_(after[1])


def _empty(state: Tensor, rows: int, places: int) -> Tensor:
    """Zeros: what was never written is masked, but NaN times 0 is NaN."""
    return state.new_zeros(rows, state.shape[1], places, state.shape[3])


def _sees_the_whole_past(model: Any, cache: Any) -> bool:
    """Whether one mask of all places serves every layer, and the weights are whole."""
    config = model.config
    kinds = getattr(config, "layer_types", None)
    windowed = any(kind != "full_attention" for kind in kinds) if kinds else getattr(config, "sliding_window", None)
    return (
        type(cache) is DynamicCache
        and all(type(layer) is DynamicLayer and layer.keys is not None for layer in cache.layers)
        and config._attn_implementation in _ATTENTION
        and not windowed
        and not _is_sharded(model)
    )


def _is_sharded(model: nn.Module) -> bool:
    return any(isinstance(parameter, DTensor) for parameter in model.parameters())


def _arithmetic(device: torch.device) -> torch.dtype | None:
    """The number type of autocast; None while it is off."""
    return torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else None


@contextmanager
def _uncached_autocast(device: torch.device) -> Iterator[None]:
    """Autocast as it is, but without copies of weights that a graph would read after they are gone."""
    dtype = _arithmetic(device)
    with nullcontext() if dtype is None else torch.autocast(device.type, dtype=dtype, cache_enabled=False):
        yield
