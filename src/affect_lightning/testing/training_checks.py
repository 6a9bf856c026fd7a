"""A part in the whole: two steps of AffectGPTModule under the Trainer with tiny other parts (paper, Section 5).

Neighbours: `suite.py` lists it for every network, `worker_checks.clip_batch` makes the clips. The other parts are the
`tiny-*` plugins and the pre-fusion `attention` that come with affect-lightning.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from affect_lightning.contracts import ClipBatch, StreamInput
from affect_lightning.contracts.streams import ENCODER_GROUPS
from affect_lightning.plugin_loading import GROUPS, find_stream, list_plugins, resolve_choice
from affect_lightning.testing.comparing import require, require_equal_state, require_same
from affect_lightning.testing.inputs import StepInputs
from affect_lightning.testing.outcomes import CheckNotPossibleError
from affect_lightning.testing.subject import Subject
from affect_lightning.testing.worker_checks import clip_batch

TINY_PARTS: dict[str, Any] = {
    "video_encoder": "tiny-video",
    "audio_encoder": "tiny-audio",
    "pre_fusion": "attention",
    "language_model": {"name": "tiny-lm", "lora_dropout": 0.0},
}
_LEARNING_RATE = 1e-3  # our choice: large enough that two steps of AdamW move every weight in 32 bits


def fits_two_steps(subject: Subject) -> str:
    """Two training steps move what trains, leave what is frozen as it was, and the stored values rebuild the network."""
    from affect_lightning.model import AffectGPTModule

    module = AffectGPTModule(**_choices(subject), learning_rate=_LEARNING_RATE, warmup_steps=0)
    module.configure_model()
    part, prefix = _built_part(module, subject)
    batch = _batch(module)
    before = _copied(module)
    losses = _fit(module, batch)
    require(all(torch.isfinite(torch.tensor(losses))) and len(losses) == 2, "two finite losses", f"{losses}")
    after = _copied(module)
    trained = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    buffers = {name for name, _ in module.named_buffers()}
    still = {name for name in before if name not in trained and name not in buffers}
    require_equal_state({n: before[n] for n in still}, {n: after[n] for n in still}, "what is frozen after two steps")
    own = {f"{prefix}.{name}" for name, _ in part.named_parameters()} if part else set()
    kept = [name for name in sorted(own & trained) if torch.equal(before[name], after[name])]
    require(
        not kept, "every weight that trains to have moved after two steps", f"{len(kept)} unmoved, such as {kept[:2]}"
    )
    _require_rebuilt(module, batch)
    return f"losses {losses[0]:.3f} and {losses[1]:.3f}; {len(own & trained)} of its weights train"


def _choices(subject: Subject) -> dict[str, Any]:
    choice = resolve_choice(subject.group, subject.choice)
    if subject.group != "series_encoders":
        return {**TINY_PARTS, GROUPS[subject.group].option: choice}
    stream = _series_stream()
    return {**TINY_PARTS, "inputs": ["multi", "audio", stream, "text"], "stream_encoders": {stream: choice}}


def _series_stream() -> str:
    """An installed stream of the kind that a series encoder encodes.

    Raises:
        CheckNotPossibleError: There is none.
    """
    for listing in list_plugins("streams"):
        if find_stream(listing.name).kind == "series":
            return listing.name
    raise CheckNotPossibleError("no installed stream is a series; install the stream that this encoder is for")


def _built_part(module: Any, subject: Subject) -> tuple[torch.nn.Module | None, str]:
    """The part in the network, and its name there."""
    network = module.built_network
    if subject.group in ENCODER_GROUPS.values():
        own = next(iter(module.configuration.stream_encoders), None)
        key = GROUPS[subject.group].option if own is None else module.configuration.encoders.key_of(own)
        return network.encoders[key], f"network.encoders.{key}"
    option = GROUPS[subject.group].option
    return getattr(network, option, None), f"network.{option}"


def _batch(module: Any) -> ClipBatch:
    """Clips with all streams of the network."""
    encoders = module.built_network.encoders
    batch = clip_batch(sample_rate=encoders["audio_encoder"].sample_rate)
    for stream in module.configuration.stream_encoders:
        rows = StepInputs.series(encoders[module.configuration.encoders.key_of(stream)].input_width)
        batch.streams[stream] = StreamInput(rows.values, rows.mask)
    return batch


def _copied(module: torch.nn.Module) -> dict[str, Tensor]:
    """All parameters and buffers, also those that a checkpoint leaves out."""
    named = [*module.named_parameters(), *module.named_buffers()]
    return {name: value.detach().clone() for name, value in named}


def _fit(module: Any, batch: ClipBatch) -> list[float]:
    """Two optimiser steps on the same batch; the losses before each."""
    from lightning.pytorch import Callback, Trainer
    from torch.utils.data import DataLoader

    losses: list[float] = []

    class Note(Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            losses.append(float(outputs["loss"]))

    with _quiet():
        trainer = Trainer(
            accelerator="cpu",
            devices=1,
            max_steps=2,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[Note()],
        )
        trainer.fit(module, DataLoader([batch, batch], batch_size=None))  # type: ignore[arg-type]
    return losses


def _require_rebuilt(module: Any, batch: ClipBatch) -> None:
    """The checkpoint's content, plain values and trained weights, must give the same network."""
    other = type(module).from_checkpoint_values(
        {"hyper_parameters": dict(module.hparams), "state_dict": module.state_dict()}, "the trained module"
    )
    with torch.no_grad():
        losses = [[one.built_network.eval()(batch)] for one in (module, other)]
    require_same(losses[0], losses[1], "the loss of the network rebuilt from stored values and trained weights")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's remarks about devices and workers, which are no news about the part."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
