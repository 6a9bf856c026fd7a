"""Steps of `gpu_check.py`: speed and memory of training and of generation at the paper's sizes, with random weights.

One network of Qwen2.5-7B with its encoders serves all rows of our recipe: first with encoders, then without. A row's memory
is compared with what `affect-lightning summary` estimates for the same tokens.
"""

from __future__ import annotations

import copy
import gc
import inspect
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from gpu_steps import Machine, Outcome, SkippedStepError, Step
from random_networks import build_network, make_batch
from torch import nn
from train_step import Way, authors_loss, autocast, ours_loss, synchronise, time_steps

from affect_lightning.errors import ConfigurationError
from affect_lightning.model import AffectGPT
from affect_lightning.model.accounting import training_memory
from affect_lightning.training.device_execution import compile_blocks, recompute_activations
from affect_lightning.training.monitoring import measured_peak
from affect_lightning_plugins.language_models import training_memory as loss_pieces
from affect_lightning_plugins.language_models.model_files import apply_liger_kernels, check_liger

GOAL_RATE = 37.0  # samples/s: 8 times the authors' published 4.6 on an A100
GOAL_PEAK = 0.45  # share of the measured product, at batch 16 and above
GOAL_MEMORY = 0.1  # how far the estimate may be off
GOAL_GENERATION = 15.0  # times one clip at a time
GOAL_BANDWIDTH = 2.5  # times the time in which the weights are read once, a token at batch 32
LIVE = Way("live", ours_loss, False, torch.bfloat16)
CACHED = Way("cached", ours_loss, True, torch.bfloat16)
AUTHORS = Way("authors", authors_loss, False, torch.float16, scaled=True)
_TOKENS = 48  # of a response whose length is forced, as `max_new_tokens`


def authors(machine: Machine) -> Outcome:
    """The authors' recipe at their batch size, in fp16 with loss scaling."""
    machine.held.clear()
    network = build_network(machine.device, torch.float16, live=True, scale=machine.scale)
    row = _measured(machine, network, AUTHORS, 3)
    told = f"{row['samples_per_second']:.3g} samples/s, {100 * row['peak_share']:.3g}% of the peak"
    return Outcome(f"{told}, {row['peak_memory_gb']:.1f} GB" if machine.is_gpu else told, row)


def row_of(way: Way, size: int, knob: str = "") -> Callable[[Machine], Outcome]:
    """A step that measures our recipe."""

    def measure(machine: Machine) -> Outcome:
        network = _network(machine, live=not way.cached)
        with KNOBS[knob](machine, network):
            return _row(machine, network, way, size, knob)

    return measure


def _network(machine: Machine, live: bool) -> AffectGPT:
    """The network of our recipe, kept from row to row; its encoders go when rows no longer need them."""
    network = machine.held.get("ours")
    if network is None or (live and not network.encoders):
        machine.held.pop("ours", None)
        network = build_network(machine.device, torch.bfloat16, live=live, scale=machine.scale)
        machine.held["ours"] = network
    if not live:
        network.encoders = nn.ModuleDict()
    return network.train()


def _measured(machine: Machine, network: AffectGPT, way: Way, size: int, knob: str = "") -> dict[str, Any]:
    """Steps of a recipe; the row is kept."""
    steps = 1 if machine.tiny else 6 if size >= 32 else 10
    try:
        row = time_steps(network, way, machine.batch(size), steps, machine.device, machine.scale)
    except torch.OutOfMemoryError as error:
        machine.held.clear()
        raise SkippedStepError("it does not fit into the memory of this GPU") from error
    if not machine.peak:
        machine.peak = measured_peak(machine.device, torch.bfloat16)
    row |= {"knob": knob, "size": size, "peak_share": row["useful_operations_per_second"] / machine.peak}
    machine.rows.append(row)
    return row


def _row(machine: Machine, network: AffectGPT, way: Way, size: int, knob: str) -> Outcome:
    row = _measured(machine, network, way, size, knob)
    told = f"{row['samples_per_second']:.3g} samples/s, {100 * row['peak_share']:.3g}% of the peak"
    if machine.is_gpu:
        told += f", {row['peak_memory_gb']:.1f} GB"
    if not knob:  # the estimate is for the defaults
        row["estimated_gb"] = estimated_bytes(machine, row, way) / 1e9
        if machine.is_gpu:
            told += f", {100 * (row['peak_memory_gb'] / row['estimated_gb'] - 1):+.0f}% from the estimate"
    return Outcome(told, row)


def estimated_bytes(machine: Machine, row: dict[str, Any], way: Way) -> int:
    """What `affect-lightning summary` says of the same batch."""
    name = "counted, cached" if way.cached else "counted, live"
    if name not in machine.held:
        meta = torch.device("meta")
        with meta:
            machine.held[name] = build_network(meta, way.dtype, live=not way.cached, scale=machine.scale)
    network = copy.deepcopy(machine.held[name])  # the estimate changes its number type
    response = round(row["supervised_a_sample"])
    prompt = round(row["tokens_a_sample"]) - response
    tokens = {"prompt_tokens": prompt, "response_tokens": response}
    return training_memory(network, clips=row["batch"], **tokens, dtype=way.dtype, cached=way.cached).total


@contextmanager
def _plain(machine: Machine, network: AffectGPT) -> Iterator[None]:
    yield


@contextmanager
def _checkpointing(machine: Machine, network: AffectGPT) -> Iterator[None]:
    blocks = network.language_model.shardable_blocks()
    recompute_activations(blocks)
    try:
        yield
    finally:
        for block in blocks:
            del block.forward  # the class's own is behind it


@contextmanager
def _compiled(machine: Machine, network: AffectGPT) -> Iterator[None]:
    if machine.is_gpu and not any(map(shutil.which, ("gcc", "cc", "clang"))):
        raise SkippedStepError("no C compiler is installed, which Triton's kernels need")
    blocks = network.language_model.shardable_blocks()
    compile_blocks(blocks, "eager" if machine.tiny else "inductor")
    try:
        yield
    finally:
        for block in blocks:
            block._compiled_call_impl = None
        torch.compiler.reset()


@contextmanager
def _smaller_pieces(machine: Machine, network: AffectGPT) -> Iterator[None]:
    """Logits of the loss in pieces of 2^25 on a GPU as on a processor; of few words at tiny size."""
    before: Any = loss_pieces.LOGITS_AT_ONCE
    fewer = 2**12 if machine.tiny else 2**25
    loss_pieces.LOGITS_AT_ONCE = (
        {**before, machine.device.type: fewer} if isinstance(before, dict) else fewer  # type: ignore[assignment]
    )
    try:
        yield
    finally:
        loss_pieces.LOGITS_AT_ONCE = before


@contextmanager
def _liger(machine: Machine, network: AffectGPT) -> Iterator[None]:
    try:
        check_liger()
    except ConfigurationError as error:
        raise SkippedStepError(str(error)) from error
    apply_liger_kernels(network.language_model.causal_model)
    yield
    machine.held.clear()  # they stay in the network


KNOBS: dict[str, Callable[[Machine, AffectGPT], Any]] = {
    "": _plain,
    "checkpointing": _checkpointing,
    "compiled": _compiled,
    "pieces of 2^25 logits": _smaller_pieces,
    "liger": _liger,
}


def goals(machine: Machine) -> Outcome:
    """What the rows must reach on an H100 or H200."""
    rows = [row for row in machine.rows if row["way"] == "cached" and not row["knob"] and row["size"] >= 16]
    if not rows:
        raise SkippedStepError("no row with cached features at batch 16 or above was measured")
    best = max(rows, key=lambda row: row["samples_per_second"])
    ours = {"rate": best["samples_per_second"], "share": best["peak_share"], "batch": best["size"]}
    told = f"{ours['rate']:.3g} samples/s (wanted {GOAL_RATE:.0f}) and {100 * ours['share']:.3g}% of the peak"
    told += f" (wanted {100 * GOAL_PEAK:.0f}%) at batch {ours['batch']}"
    base = [row["samples_per_second"] for row in machine.rows if row["way"] == "authors"]
    if base:
        ours["authors"] = base[0]
        told += f"; {ours['rate'] / base[0]:.3g} times the authors' recipe"
    if not machine.is_gpu:
        return Outcome(f"{told}; tiny sizes on a processor: nothing is required", ours)
    off = max(abs(row["peak_memory_gb"] / row["estimated_gb"] - 1) for row in rows)
    told += f"; the estimate of memory is {100 * off:.0f}% off (allowed {100 * GOAL_MEMORY:.0f}%)"
    passed = ours["rate"] >= GOAL_RATE and ours["share"] >= GOAL_PEAK and off <= GOAL_MEMORY
    return Outcome(told, {**ours, "memory_off": off}, passed)


def generation(machine: Machine) -> Outcome:
    """Responses of a forced length: one clip at a time, and 32 together."""
    network = _network(machine, live=False).eval()
    size, tokens = (4, 6) if machine.tiny else (32, _TOKENS)
    weights = sum(value.numel() * value.element_size() for value in network.language_model.parameters())
    bound = weights / _bytes_a_second(machine)
    with _endless(network):
        alone = _seconds(machine, network, 1, tokens)
        together = _seconds(machine, network, size, tokens)
        first = _seconds(machine, network, size, 1)
    token = max(together - first, 1e-9) / (tokens - 1)
    ratio = alone * size / together
    figures = {"responses_per_second": size / together, "ratio": ratio, "token_seconds": token, "bound_seconds": bound}
    told = f"{size} clips together are {ratio:.3g} times as fast as one at a time ({figures['responses_per_second']:.3g}/s)"
    told += f"; a token takes {1e3 * token:.3g} ms, {token / bound:.3g} times the time to read the weights"
    rooms = getattr(network.language_model, "rooms", None)
    if rooms is not None:
        figures |= {"graphs": rooms.captured, "refusal": rooms.refusal}
        told += f"; {rooms.captured} CUDA graphs{f' ({rooms.refusal})' if rooms.refusal else ''}"
    passed = not machine.is_gpu or (ratio >= GOAL_GENERATION and token <= GOAL_BANDWIDTH * bound)
    return Outcome(told, figures, passed)


def generation_knobs(machine: Machine) -> Outcome:
    """The same without CUDA graphs, and without the merged adapter, where the version has these options."""
    network = _network(machine, live=False).eval()
    language_model: Any = network.language_model
    known = inspect.signature(type(language_model).__init__).parameters
    if not {"merge_adapter", "cuda_graphs"} <= set(known):
        raise SkippedStepError("this version has neither cuda_graphs nor merge_adapter")
    size, tokens = (4, 6) if machine.tiny else (32, _TOKENS)
    seconds = {}
    with _endless(network):
        seconds["as it is"] = _seconds(machine, network, size, tokens)
        language_model._cuda_graphs, language_model.rooms = False, None
        seconds["no CUDA graphs"] = _seconds(machine, network, size, tokens)
        language_model.merged = type(language_model.merged)(False)
        seconds["nor merged"] = _seconds(machine, network, size, tokens)
    machine.held.clear()
    told = ", ".join(f"{name} {size / taken:.3g} responses/s" for name, taken in seconds.items())
    return Outcome(told, seconds)


@contextmanager
def _endless(network: AffectGPT) -> Iterator[None]:
    """No token ends a response, so every one has the length that is asked for."""
    language_model: Any = network.language_model
    before, language_model.end_ids = language_model.end_ids, frozenset()
    try:
        yield
    finally:
        language_model.end_ids = before


def _seconds(machine: Machine, network: AffectGPT, size: int, tokens: int) -> float:
    """Of responses to a batch, after one that warms up."""
    batch = make_batch(size, 0, True, machine.device, machine.scale)
    taken = 0.0
    for _ in range(2):
        synchronise(machine.device)
        started = time.perf_counter()
        with autocast(machine.device, torch.bfloat16):
            network.generate(batch, max_new_tokens=tokens)
        synchronise(machine.device)
        taken = time.perf_counter() - started
    return taken


def _bytes_a_second(machine: Machine) -> float:
    """What the memory gives: the best of some copies, read and written."""
    source = torch.zeros((2**22 if machine.tiny else 2**32), dtype=torch.uint8, device=machine.device)
    target = torch.empty_like(source)
    best = float("inf")
    for _ in range(4):
        synchronise(machine.device)
        started = time.perf_counter()
        target.copy_(source)
        synchronise(machine.device)
        best = min(best, time.perf_counter() - started)
    size = 2 * source.numel()
    del source, target
    gc.collect()
    return size / best


STEPS = [
    Step("speed: authors, batch 3", 60, authors),
    *(
        Step(f"speed: live, batch {size}", seconds, row_of(LIVE, size))
        for size, seconds in ((3, 50), (16, 25), (32, 30))
    ),
    *(
        Step(f"speed: cached, batch {size}", seconds, row_of(CACHED, size))
        for size, seconds in ((3, 15), (16, 20), (32, 25))
    ),
    Step("goals", 1, goals),
    Step("generation", 45, generation),
    Step("speed: cached, batch 16, checkpointing", 25, row_of(CACHED, 16, "checkpointing")),
    Step("speed: cached, batch 16, pieces of 2^25 logits", 20, row_of(CACHED, 16, "pieces of 2^25 logits")),
    Step("generation without its options", 45, generation_knobs),
    Step("speed: cached, batch 16, compiled", 100, row_of(CACHED, 16, "compiled")),
    Step("speed: cached, batch 16, liger", 30, row_of(CACHED, 16, "liger")),
]
