"""Every option under `model.`: its name, type, default and help, in groups (paper, Section 5, and the authors' recipe).

A default is here and nowhere else. AffectGPTModule takes ModuleOptions as keywords, so the command line, YAML files and
checkpoints have flat names (`--model.branch_tokens`). The command line's parser follows `ModuleOptions(**options)` to
these classes and takes its help from their docstrings. `configuration.py` resolves NetworkOptions, `affectgpt.py`
generates by GenerationOptions, `affect_lightning.training` uses the others, and `checkpoints` compares
OptimisationOptions.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, Literal

from affect_lightning.errors import ConfigurationError

FeatureNorm = Literal["none", "layer", "standard"]
FusedFeatures = Literal["encoded", "projected"]
PromptForm = Literal["chat", "plain"]
Schedule = Literal["cosine", "constant"]
OnNonFinite = Literal["stop", "skip"]


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """Which parts the network has and how they are joined.

    Attributes:
        language_model: Plugin of the language model, by name, or name and options.
        video_encoder: Plugin for the face and frame streams; None only if neither is shown or fused.
        audio_encoder: Plugin for the audio stream; None only if it is neither shown nor fused.
        stream_encoders: Plugins of single streams by name, such as {pose: pose-rows}: a stream of a plugin needs one
            here, and face or frame may have one of its own. None means the two above.
        pre_fusion: Plugin that makes the `multi` tokens; attention is the paper's best (Table 5).
        inputs: Streams that the prompt shows, out of multi, audio, face, frame, text and those of installed plugins.
            None means multi, audio, face and text (paper, Section 5). With pre-fusion `none`, `multi` gives no tokens.
        fused_streams: Streams that the pre-fusion takes. None means audio and face (paper, Eq. 3).
        fused_features: What it takes of them: encoded features Z, or projected ones H, the same after their projectors,
            which did worse in the paper (Section 3.2).
        branch_compression: Plugin that compresses each stream to its tokens, by name, or name and options; attention is
            the paper's best (Table 5).
        branch_tokens: Tokens a branch; 1 in the authors' best setting, 32 in their Q-Former settings (released code).
        feature_norm: Scaling of encoder outputs: none (as in the paper), layer (each token by itself) or standard
            (each feature by its statistics in training); the last two are ours, for short runs.
        projector_init_scale: Size of projected tokens at the start relative to word embeddings, for features of
            unit size; None keeps torch's initialisation. Ours, for short runs.
        stream_dropout: Share of training samples in which an encoded stream is hidden from the model, for each
            stream (0 as in the paper). Ours, for short runs: a stream that only decides when others disagree is
            learnt sooner.
        shared_pictures: Face and frame share one branch and one projector, as in the authors' released code; else each
            has its own (our choice).
        prompt_form: The language model's `chat` template (our choice), or `plain` text with two speakers and a tag
            around each stream, the form of the authors' released code.
        response_end: Text that a response is taught to end with, before the end token, and at which a generated one is
            cut off; none is our choice, `###` the authors' released code.
    """

    language_model: str | dict[str, Any]
    video_encoder: str | dict[str, Any] | None = None
    audio_encoder: str | dict[str, Any] | None = None
    stream_encoders: dict[str, Any] | None = None
    pre_fusion: str | dict[str, Any] = "attention"
    inputs: list[str] | None = None
    fused_streams: list[str] | None = None
    fused_features: FusedFeatures = "encoded"
    branch_compression: str | dict[str, Any] = "attention"
    branch_tokens: int = 1
    feature_norm: FeatureNorm = "none"
    projector_init_scale: float | None = None
    stream_dropout: float = 0.0
    shared_pictures: bool = False
    prompt_form: PromptForm = "chat"
    response_end: str = ""


@dataclass(frozen=True, kw_only=True)
class OptimisationOptions:
    """What training minimises and how fast. An optimiser's state depends on all of these.

    Attributes:
        objective: Plugin that says what training makes small: `response`, the cross-entropy of the responses (Eq. 2).
        learning_rate: 1e-5 (paper, Appendix B).
        projector_learning_rate: For all that trains but the adapter; None means the same (authors' recipe).
        weight_decay: 0.05 (authors' recipe); biases, norms and other vectors have none, as in their released code.
        learning_rate_schedule: What follows the warm-up: a `cosine` to 0 (our choice), or the `constant` full rate. The
            authors' configuration names warm-up and cosine, but their code trains at a constant 1e-5: that is `constant`
            with warmup_steps 0.
        warmup_steps: 5000 (our choice: the number in the authors' configuration, which has no effect there).
        warmup_start: Learning rate at step 0: 1e-6 (our choice, in the same way); other groups in proportion.
        total_steps: Optimiser steps until the cosine ends; None takes the trainer's length.
    """

    objective: str | dict[str, Any] = "response"
    learning_rate: float = 1e-5
    projector_learning_rate: float | None = None
    weight_decay: float = 0.05
    learning_rate_schedule: Schedule = "cosine"
    warmup_steps: int = 5000
    warmup_start: float = 1e-6
    total_steps: int | None = None

    def __post_init__(self) -> None:
        rate, projector_rate = self.learning_rate, self.projector_learning_rate
        is_wrong = rate <= 0 or (projector_rate is not None and projector_rate <= 0)
        if is_wrong or self.warmup_steps < 0 or self.warmup_start < 0:
            raise ConfigurationError(
                f"Training needs learning_rate > 0, projector_learning_rate > 0 or null, warmup_steps >= 0 and "
                f"warmup_start >= 0; got {rate}, {projector_rate}, {self.warmup_steps} and {self.warmup_start}."
            )


@dataclass(frozen=True, kw_only=True)
class GenerationOptions:
    """How responses are generated in test and predict.

    Attributes:
        max_new_tokens: Longest response in test and predict, in tokens (our choice: a sentence).
        temperature: 0 is greedy decoding (our choice; the authors sample at 1).
        top_p: Nucleus share when sampling (1: ours; the authors use 0.9).
        predict_questions: Questions that predict asks of every clip, out of describe, name and sentiment, or texts of your
            own; the clip is read once for all of them. None asks the data module's one. --question for short.
    """

    max_new_tokens: int = 48
    temperature: float = 0.0
    top_p: float = 1.0
    predict_questions: list[str] | None = None


@dataclass(frozen=True, kw_only=True)
class ExecutionOptions:
    """How the steps of a training run; none of these is in the paper.

    Attributes:
        activation_checkpointing: Blocks of the language model keep their inputs only and are computed again in the
            backward pass: less memory for a third more arithmetic (off, our choice).
        compile_backend: torch.compile backend for these blocks, such as inductor (None, our choice: compiling
            takes minutes).
        seed: Of the sampling, of the initial weights of what trains, and of what is drawn in a step (dropout). By
            default that of `seed_everything`, and 0 in Python.
        on_nonfinite: What a loss or gradient that is NaN or infinite does: `stop` the run, or `skip` the step.
        max_skipped_steps: Steps that `skip` may leave out before it stops the run too (10, our choice: one broken clip
            met in each of ten epochs, not a run that diverges).
    """

    activation_checkpointing: bool = False
    compile_backend: str | None = None
    seed: int | None = None
    on_nonfinite: OnNonFinite = "stop"
    max_skipped_steps: int = 10


@dataclass(frozen=True, kw_only=True)
class ModuleOptions(ExecutionOptions, GenerationOptions, OptimisationOptions, NetworkOptions):
    """All options of AffectGPTModule."""


def _attribute_texts(options: type) -> str:
    return inspect.cleandoc(options.__doc__ or "").partition("Attributes:\n")[2]


# Where the lowest jsonargparse looks for the help: it reads no docstring of a base.
_GROUPS = (NetworkOptions, OptimisationOptions, GenerationOptions, ExecutionOptions)
ModuleOptions.__doc__ = f"{ModuleOptions.__doc__}\n\nAttributes:\n" + "\n".join(map(_attribute_texts, _GROUPS))
