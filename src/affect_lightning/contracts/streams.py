"""The stream table, and the two forms of a stream: its steps as read, and its features as encoded.

A stream is one view of a clip (paper, Sections 3.1 and 5). Everything that works with streams asks this table: `data`
reads them, `model` encodes, fuses and shows them. Encoders turn a StreamInput into a FeatureSequence (Z_a and Z_v).
`clips.py` has the contract of a third party's reader, `plugin_loading` adds the installed streams to the table.
Legend: B clips, T steps of a stream (frames, samples or rows), H height and W width in pixels, C values a step, N
feature tokens, D feature width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from affect_lightning.errors import ContractError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

StreamKind = Literal["pictures", "sound", "series", "fused", "text"]

# Shape and number type of each kind's values; kinds that are not here have none.
VALUE_FORMS: dict[str, str] = {
    "pictures": "uint8 [B, T, 3, H, W]",
    "sound": "float [B, T]",
    "series": "float [B, T, C]",
}
# The encoders that can encode a kind.
ENCODER_GROUPS: dict[str, str] = {
    "pictures": "video_encoders",
    "sound": "audio_encoders",
    "series": "series_encoders",
}


@dataclass(frozen=True)
class Stream:
    """One row of the table.

    Attributes:
        name: As users write it in `inputs` and `fused_streams`.
        kind: Form of its values; see `VALUE_FORMS`. `fused` is made by the pre-fusion, `text` is the subtitle.
        reads: What of a clip it is read from.
    """

    name: str
    kind: StreamKind
    reads: str

    @property
    def encoder_group(self) -> str:
        """Plugin group of its encoder; empty for a stream that is not encoded."""
        return ENCODER_GROUPS.get(self.kind, "")


STREAMS: dict[str, Stream] = {
    stream.name: stream
    for stream in (
        Stream("multi", "fused", "the pre-fusion of encoded streams"),
        Stream("audio", "sound", "the sound file, or the video's own track"),
        Stream("face", "pictures", "the released face crops, or crops of the video's frames"),
        Stream("frame", "pictures", "the video's frames"),
        Stream("text", "text", "the subtitle"),
    )
}
"""The streams of the paper, in the prompt's order. Those of plugins come before `text`."""

# What `model.inputs: null` and `model.fused_streams: null` mean (paper, Section 5 and Eq. 3).
DEFAULT_INPUTS = ("multi", "audio", "face", "text")
DEFAULT_FUSED_STREAMS = ("audio", "face")


@dataclass(frozen=True)
class StreamInput:
    """One stream of a batch, as it was read.

    Attributes:
        values: Pictures uint8 [B, T, 3, H, W] in RGB, sound float [B, T] in [-1, 1], or a series float [B, T, C].
        mask: True where a step is real, False where it is padding [B, T], bool. Padding never changes a result.
        sample_rate: Of sound, in Hz; None for other kinds.

    Raises:
        ContractError: Shapes or types do not fit each other.
    """

    values: Tensor
    mask: Tensor
    sample_rate: int | None = None

    def __post_init__(self) -> None:
        self._know(self.mask if self.mask.device.type == "cpu" else None)
        kind_of_values(self.values)
        if not _is_bool(self.mask) or self.mask.shape != self.values.shape[:2]:
            raise ContractError(
                f"StreamInput.mask must be bool {list(self.values.shape[:2])} to fit its values; got {self.mask.dtype} "
                f"{list(self.mask.shape)}."
            )

    @classmethod
    def of_sound(cls, waveform: Tensor, lengths: Tensor, sample_rate: int) -> StreamInput:
        """Sound [B, T] of which each clip has a real length in samples [B]."""
        import torch

        steps = torch.arange(waveform.shape[1], device=waveform.device)
        return cls(waveform, steps < lengths.unsqueeze(1), sample_rate)

    @property
    def lengths(self) -> Tensor:
        """Real steps of each clip [B], int64."""
        return self.mask.sum(dim=1)

    @property
    def known_mask(self) -> Tensor:
        """The mask on the processor; nobody waits for it if the stream came to its device by `to`."""
        known: Tensor | None = self._known  # type: ignore[attr-defined]
        return self.mask.cpu() if known is None else known

    def to(self, device: torch.device | str, **options: Any) -> StreamInput:
        """The same on a device; the mask on the processor stays known."""
        moved = self.with_each(lambda value: value.to(device, **options))
        moved._know(self._known)  # type: ignore[attr-defined]
        return moved

    def with_each(self, change: Callable[[Tensor], Tensor]) -> StreamInput:
        """The same with both tensors changed, such as pinned."""
        return StreamInput(change(self.values), change(self.mask), self.sample_rate)

    def _know(self, mask: Tensor | None) -> None:
        # No field: who makes a stream with another mask must not keep this one.
        object.__setattr__(self, "_known", mask)


def kind_of_values(values: Tensor) -> str:
    """The kind that values [B, T, ...] have the form of.

    Raises:
        ContractError: There is no such kind.
    """
    import torch

    if values.dtype == torch.uint8 and values.ndim == 5 and values.shape[2] == 3:
        return "pictures"
    if values.is_floating_point() and values.ndim in (2, 3):
        return "sound" if values.ndim == 2 else "series"
    forms = "; ".join(f"{kind} {form}" for kind, form in VALUE_FORMS.items())
    raise ContractError(f"StreamInput.values must be one of: {forms}; got {values.dtype} {list(values.shape)}.")


def _is_bool(mask: Tensor) -> bool:
    import torch

    return mask.dtype == torch.bool


@dataclass(frozen=True)
class FeatureSequence:
    """Feature tokens of a batch of clips with the mask of those that are real.

    Attributes:
        tokens: Features [B, N, D], floating point.
        mask: True where a token is real, False where it is padding [B, N], bool. Padding never changes a result.

    Raises:
        ContractError: Shapes or types do not fit each other.
    """

    tokens: Tensor
    mask: Tensor

    def __post_init__(self) -> None:
        if self.tokens.ndim != 3 or not self.tokens.is_floating_point():
            raise ContractError(
                f"FeatureSequence.tokens must be floating point [B, N, D]; got {self.tokens.dtype} "
                f"{list(self.tokens.shape)}."
            )
        if not _is_bool(self.mask) or self.mask.shape != self.tokens.shape[:2]:
            raise ContractError(
                f"FeatureSequence.mask must be bool {list(self.tokens.shape[:2])} to fit its tokens; got "
                f"{self.mask.dtype} {list(self.mask.shape)}."
            )

    @property
    def width(self) -> int:
        """Feature width D."""
        return self.tokens.shape[-1]

    def with_each(self, change: Callable[[Tensor], Tensor]) -> FeatureSequence:
        """The same with both tensors changed, such as moved to a device."""
        return FeatureSequence(change(self.tokens), change(self.mask))

    def masked_mean(self) -> Tensor:
        """Average over the real tokens (Eq. 5, Pooling).

        Returns:
            [B, D]; zeros for a clip without any real token.
        """
        weights = self.mask.unsqueeze(-1).to(self.tokens.dtype)
        kept = self.tokens.masked_fill(~self.mask.unsqueeze(-1), 0.0)
        return kept.sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)
