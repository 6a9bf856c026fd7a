"""Generated inputs of the parts that are networks, with the variations that must not change the result.

Each class has the inputs of one kind of part and can call it. `outputs` gives one tensor of real values a clip, so that
checks compare clips and never padding. `subject.py` chooses the class, `shared_checks.py` uses it.
Legend: B clips, T frames, S audio samples, N feature tokens, D feature width, L text tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from affect_lightning.contracts import FeatureSequence, LanguageModel
from affect_lightning.contracts.conformance import check_branch_tokens, check_embeddings, check_features, check_loss

_IGNORED_LABEL = -100
_QUESTION = "How does the person feel?"
_RESPONSES = ("The person feels happy.", "Angry and hurt.", "The person feels calm, I think.")


class PartInputs(Protocol):
    """Inputs of one kind of part. Every variation returns new inputs."""

    def outputs(self, part: Any, call: Callable[..., Any] | None = None) -> list[Tensor]:
        """Call the part (or `call`, a changed form of it) and give the real values, a tensor a clip."""
        ...

    def picked(self, clips: Sequence[int]) -> PartInputs:
        """The inputs of some clips, in that order."""
        ...

    def with_other_padding(self) -> PartInputs:
        """Other content where nothing is real."""
        ...

    def lengthened(self) -> PartInputs:
        """More padding."""
        ...

    def as_type(self, dtype: torch.dtype) -> PartInputs:
        """Floating point inputs in another type, where the core would pass on that type."""
        ...

    def requires_grad(self) -> dict[str, Tensor]:
        """The inputs into which gradient must flow, by a name for messages; none where nothing trains before the part."""
        ...


def _real(features: FeatureSequence) -> list[Tensor]:
    return [tokens[mask] for tokens, mask in zip(features.tokens, features.mask, strict=True)]


@dataclass
class StepInputs:
    """Pictures uint8 [B, T, 3, H, W] or a series float [B, T, C], with their mask [B, T]."""

    values: Tensor
    mask: Tensor

    @classmethod
    def pictures(cls, seed: int = 0) -> StepInputs:
        """Three clips of four smooth pictures, of which all, three and one are real."""
        generator = torch.Generator().manual_seed(seed)
        coarse = torch.rand(12, 3, 5, 4, generator=generator)
        fine = torch.nn.functional.interpolate(coarse, size=(52, 44), mode="bilinear", align_corners=True)
        mask = torch.arange(4) < torch.tensor([[4], [3], [1]])
        return cls((fine * 255).to(torch.uint8).view(3, 4, 3, 52, 44), mask)

    @classmethod
    def series(cls, width: int, seed: int = 0) -> StepInputs:
        """Three clips of up to twelve rows of `width` values, of which all, seven and one are real."""
        values = torch.randn(3, 12, width, generator=torch.Generator().manual_seed(seed))
        mask = torch.arange(12) < torch.tensor([[12], [7], [1]])
        return cls(values.masked_fill(~mask.unsqueeze(-1), 0.0), mask)

    def outputs(self, part: Any, call: Callable[..., Any] | None = None) -> list[Tensor]:
        """See `PartInputs`."""
        found = (part if call is None else call)(self.values, self.mask)
        return _real(check_features(found, clips=len(self.values), width=part.feature_width))

    def picked(self, clips: Sequence[int]) -> StepInputs:
        """See `PartInputs`."""
        return StepInputs(self.values[list(clips)], self.mask[list(clips)])

    def with_other_padding(self) -> StepInputs:
        """See `PartInputs`."""
        values = self.values.clone()
        values[~self.mask] = 255 - values[~self.mask]
        return StepInputs(values, self.mask)

    def lengthened(self) -> StepInputs:
        """See `PartInputs`."""
        more = torch.full_like(self.values[:, :2], 131)
        return StepInputs(
            torch.cat([self.values, more], 1), torch.cat([self.mask, self.mask.new_zeros(len(more), 2)], 1)
        )

    def as_type(self, dtype: torch.dtype) -> StepInputs:
        """They stay as the data side gives them."""
        return self

    def requires_grad(self) -> dict[str, Tensor]:
        """Nothing trains before an encoder."""
        return {}


@dataclass
class SoundInputs:
    """Waveform float [B, S] with lengths [B], for audio encoders."""

    waveform: Tensor
    lengths: Tensor

    @classmethod
    def random(cls, sample_rate: int, seed: int = 0) -> SoundInputs:
        """Three clips of a noisy tone, of 0.8, 0.6 and 0.25 seconds."""
        generator = torch.Generator().manual_seed(seed)
        lengths = (torch.tensor([0.8, 0.6, 0.25]) * sample_rate).long()
        time = torch.arange(int(lengths[0])) / sample_rate
        tone = 0.3 * torch.sin(2 * torch.pi * torch.tensor([[110.0], [180.0], [240.0]]) * time)
        noise = 0.1 * (torch.rand(tone.shape, generator=generator) * 2 - 1)
        waveform = (tone + noise).masked_fill(torch.arange(len(time)) >= lengths[:, None], 0.0)
        return cls(waveform, lengths)

    def outputs(self, part: Any, call: Callable[..., Any] | None = None) -> list[Tensor]:
        """See `PartInputs`."""
        found = (part if call is None else call)(self.waveform, self.lengths)
        return _real(check_features(found, clips=len(self.waveform), width=part.feature_width))

    def picked(self, clips: Sequence[int]) -> SoundInputs:
        """See `PartInputs`; the batch is cut to its longest clip, as the data side does."""
        lengths = self.lengths[list(clips)]
        return SoundInputs(self.waveform[list(clips), : int(lengths.max())], lengths)

    def with_other_padding(self) -> SoundInputs:
        """See `PartInputs`."""
        beyond = torch.arange(self.waveform.shape[1]) >= self.lengths[:, None]
        return SoundInputs(self.waveform.masked_fill(beyond, 0.9), self.lengths)

    def lengthened(self) -> SoundInputs:
        """See `PartInputs`."""
        more = self.waveform.new_zeros(len(self.waveform), 4321)
        return SoundInputs(torch.cat([self.waveform, more], dim=1), self.lengths)

    def as_type(self, dtype: torch.dtype) -> SoundInputs:
        """The waveform stays float32, as the data side gives it."""
        return self

    def requires_grad(self) -> dict[str, Tensor]:
        """Nothing trains before an encoder."""
        return {}


@dataclass
class StreamInputs:
    """Streams of features by name, for pre-fusions."""

    streams: dict[str, FeatureSequence]

    @classmethod
    def random(cls, widths: Mapping[str, int], seed: int = 0) -> StreamInputs:
        """Three clips; every stream has another number of tokens, of which some are padding in the later clips."""
        generator = torch.Generator().manual_seed(seed)
        streams = {}
        for index, (name, width) in enumerate(widths.items()):
            count = 5 + 2 * index
            mask = torch.arange(count) < torch.tensor([[count], [count - 2], [1 + index]])
            tokens = torch.randn(3, count, width, generator=generator)
            streams[name] = FeatureSequence(tokens.masked_fill(~mask.unsqueeze(-1), 0.0), mask)
        return cls(streams)

    def _each(self, change: Callable[[FeatureSequence], tuple[Tensor, Tensor]]) -> StreamInputs:
        return type(self)({name: FeatureSequence(*change(stream)) for name, stream in self.streams.items()})

    def outputs(self, part: Any, call: Callable[..., Any] | None = None) -> list[Tensor]:
        """See `PartInputs`."""
        clips = len(next(iter(self.streams.values())).mask)
        found = (part if call is None else call)(self.streams)
        return _real(check_features(found, clips=clips, width=part.output_width, tokens=part.output_tokens))

    def picked(self, clips: Sequence[int]) -> StreamInputs:
        """See `PartInputs`."""
        return self._each(lambda stream: (stream.tokens[list(clips)], stream.mask[list(clips)]))

    def with_other_padding(self) -> StreamInputs:
        """See `PartInputs`."""
        return self._each(lambda stream: (stream.tokens.masked_fill(~stream.mask.unsqueeze(-1), 7e3), stream.mask))

    def lengthened(self) -> StreamInputs:
        """See `PartInputs`; every stream grows by another number of tokens."""

        def longer(stream: FeatureSequence) -> tuple[Tensor, Tensor]:
            clips, count, width = stream.tokens.shape
            more = stream.tokens.new_full((clips, count, width), 3.0)
            return torch.cat([stream.tokens, more], dim=1), torch.cat(
                [stream.mask, torch.zeros_like(stream.mask)], dim=1
            )

        return self._each(longer)

    def as_type(self, dtype: torch.dtype) -> StreamInputs:
        """See `PartInputs`."""
        return self._each(lambda stream: (stream.tokens.to(dtype), stream.mask))

    def without_tokens(self, clip: int) -> StreamInputs:
        """The same with no real token in any stream of one clip."""

        def emptied(stream: FeatureSequence) -> tuple[Tensor, Tensor]:
            mask = stream.mask.clone()
            mask[clip] = False
            return stream.tokens, mask

        return self._each(emptied)

    def requires_grad(self) -> dict[str, Tensor]:
        """The tokens of every stream: with fusion of projected features (paper, Section 3.2) something trains there."""
        return {f"the stream {name}": stream.tokens.requires_grad_() for name, stream in self.streams.items()}


class BranchInputs(StreamInputs):
    """One stream of features, for branch compressions."""

    def outputs(self, part: Any, call: Callable[..., Any] | None = None) -> list[Tensor]:
        """See `PartInputs`."""
        (stream,) = self.streams.values()
        found = (part if call is None else call)(stream)
        return list(
            check_branch_tokens(found, clips=len(stream.mask), tokens=part.output_tokens, width=part.output_width)
        )


@dataclass
class PromptInputs:
    """Prompts with responses as token ids, for the loss of language models; right padded.

    Attributes:
        ids: [B, L].
        mask: [B, L], 1 for real tokens.
        labels: [B, L]; -100 where nothing is learnt.
        noise: Added to the embeddings of padding.
        embeddings: Taken instead of those of the ids, if given.
    """

    ids: Tensor
    mask: Tensor
    labels: Tensor
    noise: float = 0.0
    embeddings: Tensor | None = None

    @classmethod
    def of(cls, part: LanguageModel) -> PromptInputs:
        """Three prompts of different length with their responses, in the part's own words."""
        prompts = [part.text_ids(part.render_prompt(f"{'Well. ' * index}{_QUESTION}")) for index in range(3)]
        responses = [part.response_ids(response) for response in _RESPONSES]
        rows = [prompt + response for prompt, response in zip(prompts, responses, strict=True)]
        labels = [
            [_IGNORED_LABEL] * len(prompt) + response for prompt, response in zip(prompts, responses, strict=True)
        ]
        return cls(padded(rows, 0), padded([[1] * len(row) for row in rows], 0), padded(labels, _IGNORED_LABEL))

    def embedded(self, part: LanguageModel) -> Tensor:
        """Embeddings [B, L, E] of the ids, with the noise on padding."""
        if self.embeddings is not None:
            return self.embeddings
        found = check_embeddings(part.embed(self.ids), ids=self.ids, width=part.embedding_width)
        return found + self.noise * (1 - self.mask).unsqueeze(-1).to(found.dtype) if self.noise else found

    def outputs(self, part: Any, call: Callable[..., Any] | None = None) -> list[Tensor]:
        """The loss of the batch, as the only tensor."""
        return [check_loss((part.loss if call is None else call)(self.embedded(part), self.mask, self.labels))]

    def picked(self, clips: Sequence[int]) -> PromptInputs:
        """See `PartInputs`; the batch is cut to its longest clip."""
        mask = self.mask[list(clips)]
        length = int(mask.sum(dim=1).max())
        return PromptInputs(self.ids[list(clips), :length], mask[:, :length], self.labels[list(clips), :length])

    def with_other_padding(self) -> PromptInputs:
        """See `PartInputs`."""
        return replace(self, noise=3.0)

    def lengthened(self) -> PromptInputs:
        """See `PartInputs`."""

        def longer(values: Tensor, filler: int) -> Tensor:
            return torch.cat([values, values.new_full((len(values), 5), filler)], dim=1)

        return PromptInputs(longer(self.ids, 0), longer(self.mask, 0), longer(self.labels, _IGNORED_LABEL))

    def as_type(self, dtype: torch.dtype) -> PromptInputs:
        """The embeddings come from the part, in its own type."""
        return self

    def with_gradient(self, part: LanguageModel) -> PromptInputs:
        """The same on embeddings that take gradient, as projected features do."""
        return replace(self, embeddings=self.embedded(part).detach().requires_grad_())

    def requires_grad(self) -> dict[str, Tensor]:
        """The embeddings, if `with_gradient` made them: the projectors train through them."""
        return {} if self.embeddings is None else {"the embeddings": self.embeddings}


def padded(rows: Sequence[Sequence[int]], filler: int, *, left: bool = False) -> Tensor:
    """Rows of different length as one tensor [B, L]."""
    length = max(len(row) for row in rows)
    fill = [[filler] * (length - len(row)) for row in rows]
    return torch.tensor(
        [[*pad, *row] if left else [*row, *pad] for pad, row in zip(fill, rows, strict=True)], dtype=torch.long
    )
