"""A part in a whole network: tiny other parts around it, trained for two steps, and an objective asked on it.

Paper: Section 5 (training), Eq. 2 (the objective). The other parts are the `tiny-*` plugins and the pre-fusion
`attention` that come with affect-lightning; AffectGPTModule trains under the Trainer. `suite.py` lists the checks,
`pipeline_part_checks.clip_batch` makes the clips. Legend: B clips.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from affect_lightning.contracts import ClipBatch, LossTerm, StreamInput
from affect_lightning.contracts.conformance import check_finite, check_terms
from affect_lightning.contracts.streams import ENCODER_GROUPS
from affect_lightning.model import AffectGPT, ModelConfiguration
from affect_lightning.plugin_loading import GROUPS, find_stream, list_plugins, resolve_choice
from affect_lightning.testing.inputs import StepInputs
from affect_lightning.testing.pipeline_part_checks import clip_batch, picked
from affect_lightning.testing.subject import (
    CheckNotPossibleError,
    Subject,
    perturb,
    require,
    require_equal_state,
    require_same,
    without_remarks,
)

TINY_PARTS: dict[str, Any] = {
    "video_encoder": "tiny-video",
    "audio_encoder": "tiny-audio",
    "pre_fusion": "attention",
    "language_model": {"name": "tiny-lm", "lora_dropout": 0.0},
}
_LEARNING_RATE = 1e-3  # our choice: large enough that two steps of AdamW move every weight in 32 bits


def fits_two_steps(subject: Subject) -> str:
    """Two training steps move what trains, leave what is frozen as it was, and the stored values rebuild the network."""
    from affect_lightning.training import AffectGPTModule

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
    if subject.group == "branch_compressions":
        return network.branches, "network.branches"  # one a stream, all of this class
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

    with without_remarks("lightning.pytorch"):
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


def _network() -> AffectGPT:
    """In eval mode, so that nothing is drawn."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = AffectGPT.from_configuration(ModelConfiguration.resolve(**TINY_PARTS))
    perturb(network)
    return network.eval()


def objective_terms(subject: Subject) -> str:
    """Named terms, each a finite mean with gradient over a number of items; what trains gets a gradient from their sum."""
    from affect_lightning.training.sampled_training import keep_start

    network = _network()
    keep_start(subject.part, network)
    terms = check_terms(subject.part.terms(network, clip_batch()))
    for name, term in terms.items():
        check_finite(term.mean, f"mean of {name!r}")
        require(term.mean.requires_grad, f"a mean of {name!r} that carries a gradient", "one cut off from the network")
        require(float(term.items) > 0, f"items of {name!r} in a batch of valid clips", f"{float(term.items):g}")
    torch.stack([term.mean * term.weight for term in terms.values()]).sum().backward()
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    reached = [parameter for parameter in trained if parameter.grad is not None and bool(parameter.grad.any())]
    require(reached, "a gradient in weights that train", "zeros")
    return ", ".join(f"{name}: a mean of {float(term.items):g} items" for name, term in terms.items())


@torch.no_grad()
def objective_items(subject: Subject) -> None:
    """Parts of a batch, weighted by their items, give what the whole gives; a clip that is not valid counts in nothing."""
    network, batch = _network(), clip_batch()

    def terms(part: ClipBatch) -> dict[str, LossTerm]:
        return check_terms(subject.part.terms(network, part))

    whole, halves = terms(batch), [terms(picked(batch, clips)) for clips in ([0], [1, 2])]
    two = terms(replace(batch, valid=torch.tensor([False, True, True])))
    for name, term in whole.items():
        parts = [half[name] for half in halves]
        total = sum(float(part.items) for part in parts)
        mean = sum(float(part.mean * part.items) for part in parts) / max(total, 1e-9)
        _require_near(total, float(term.items), f"items of {name!r} that add up over the parts of a batch")
        _require_near(mean, float(term.mean), f"the mean of {name!r} from the parts of a batch")
        _require_near(float(two[name].items), float(parts[1].items), f"items of {name!r} of the valid clips only")
        _require_near(float(two[name].mean), float(parts[1].mean), f"the mean of {name!r} over the valid clips only")
    none = terms(replace(batch, valid=torch.zeros(3, dtype=torch.bool)))
    for name, term in none.items():
        zero = float(term.items) == 0 and float(term.mean) == 0
        require(
            zero,
            f"no item and a mean of 0 of {name!r} without a valid clip",
            f"{float(term.items):g}, {float(term.mean):g}",
        )


def _require_near(found: float, wanted: float, what: str) -> None:
    require(abs(found - wanted) <= 1e-4 * max(1.0, abs(wanted)), f"{what}: {wanted:g}", f"{found:g}")
