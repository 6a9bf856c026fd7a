"""What the parts of the network must provide: encoders, pre-fusions, branch compressions and language models.

Paper: Section 3.1 and Appendix B (encoders of pictures and sound; those of series are ours), Section 3.2 with Eq. 3 to 7
(pre-fusions), Section 5 and Table 5 (branches), Eq. 1 and 2 (language models). `pipeline_parts.py` has the
parts outside the network.
Legend: B clips, T frames or rows, S audio samples, C values a row, N feature tokens, D feature width, K query or branch
tokens, Q questions a clip, P tokens of a shared beginning, L text tokens, E embedding width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, TypeAlias

import torch
from torch import Tensor, nn

from affect_lightning.contracts.prompt_tokens import RowLayout
from affect_lightning.contracts.streams import FeatureSequence
from affect_lightning.errors import ConfigurationError


class VideoEncoder(nn.Module, ABC):
    """Turns frames into feature tokens. Frozen by the model: it never trains and is never in a checkpoint.

    Attributes:
        plans_on_processor: Whether `mask` (`lengths` of sound) may be on the processor while the values are on another
            device. The network then hands over the copy that the loader made, so an encoder that needs numbers from it
            does not wait for a GPU. The encoder sends what its device needs (`affect_lightning.sending.sent`); the mask
            of its tokens is on the device of the values. False means that both are on one device.
        feature_width: D of the tokens it returns.
        image_size: Side in pixels to which it resizes frames by itself.

    A constructor that cannot load its weights raises `affect_lightning.errors.ConfigurationError` with the remedy.
    """

    plans_on_processor: ClassVar[bool] = False
    feature_width: int
    image_size: int

    @abstractmethod
    def forward(self, frames: Tensor, mask: Tensor) -> FeatureSequence:
        """Encode frames; resizing and normalisation happen here, so that the data side knows no encoder.

        Args:
            frames: uint8 [B, T, 3, H, W], RGB, any H and W.
            mask: True where a frame is real [B, T], bool. The content of other frames changes nothing.

        Returns:
            Tokens [B, N, D]; N is T times a constant.

        Raises:
            ContractError: `frames` or `mask` has another type or shape.
        """


class AudioEncoder(nn.Module, ABC):
    """Turns sound into feature tokens. Frozen by the model, as the video encoder is.

    Attributes:
        plans_on_processor: See `VideoEncoder`.
        feature_width: D of the tokens it returns.
        sample_rate: In Hz; the data side resamples to it.
    """

    plans_on_processor: ClassVar[bool] = False
    feature_width: int
    sample_rate: int

    @abstractmethod
    def forward(self, waveform: Tensor, lengths: Tensor) -> FeatureSequence:
        """Encode sound.

        Args:
            waveform: float [B, S] in [-1, 1] at `sample_rate`. Samples after a clip's length change nothing.
            lengths: Real samples a clip [B], int64; 0 is allowed and gives a clip without real tokens.

        Returns:
            Tokens [B, N, D].

        Raises:
            ContractError: `waveform` or `lengths` has another type or shape.
        """


class SeriesEncoder(nn.Module, ABC):
    """Turns a series, such as body pose or heart rate, into feature tokens. Frozen by the model, as the others are.

    Attributes:
        plans_on_processor: See `VideoEncoder`.
        feature_width: D of the tokens it returns.
        input_width: C of the series that it takes.
    """

    plans_on_processor: ClassVar[bool] = False
    feature_width: int
    input_width: int

    @abstractmethod
    def forward(self, values: Tensor, mask: Tensor) -> FeatureSequence:
        """Encode a series.

        Args:
            values: float [B, T, C]. The content of rows that are not real changes nothing.
            mask: True where a row is real [B, T], bool; a clip without real rows gives no real token.

        Returns:
            Tokens [B, N, D].

        Raises:
            ContractError: `values` or `mask` has another type or shape.
        """


Encoder: TypeAlias = VideoEncoder | AudioEncoder | SeriesEncoder


class PreFusion(nn.Module, ABC):
    """Fuses the streams before the language model. It trains.

    A subclass's constructor takes `stream_widths` first, `{stream name: feature width}` in the order in which the
    streams are concatenated, and options of its own after it.

    Attributes:
        output_width: Width of the fused tokens; 0 for a part that fuses nothing and gives no tokens.
        output_tokens: Fused tokens a clip, a constant; 0 for a part that fuses nothing.
    """

    output_width: int
    output_tokens: int

    @abstractmethod
    def forward(self, streams: Mapping[str, FeatureSequence]) -> FeatureSequence:
        """Fuse the streams.

        Args:
            streams: One FeatureSequence [B, N, D] for every name given at construction; N and D differ by stream.

        Returns:
            Fused tokens [B, output_tokens, output_width]. Masked tokens of a stream change nothing.

        Raises:
            ContractError: A stream is missing, unknown or has another width than announced.
        """

    def stream_weights(self, streams: Mapping[str, FeatureSequence]) -> dict[str, Tensor] | None:
        """How much each token of each stream counts in the fused tokens, for people to look at (optional).

        Args:
            streams: What `forward` takes.

        Returns:
            float [B, N] for every stream, 0 where a token is masked; their sum over N is the weight of the stream. A weight
            may be negative. None (this one) for a fusion that has no such numbers: nothing is shown then.
        """
        return None


class BranchCompression(nn.Module, ABC):
    """Compresses one encoded stream to K tokens. It trains.

    A subclass's constructor takes `stream_width` (D) and `tokens` (K) first, and options of its own after them.

    Attributes:
        most_tokens: Largest K that the class can give; None for any.
        output_width: Width of the tokens.
        output_tokens: K.
    """

    most_tokens: ClassVar[int | None] = None
    output_width: int
    output_tokens: int

    @abstractmethod
    def forward(self, stream: FeatureSequence) -> Tensor:
        """Compress a stream.

        Args:
            stream: Features [B, N, D]. Masked tokens change nothing.

        Returns:
            Tokens [B, K, output_width], finite also for a clip without any real token.
        """


class PromptText(Protocol):
    """What writes prompts and turns them into token ids: a language model, or its part without the network."""

    @property
    def tokenizer(self) -> Any:
        """A Hugging Face tokenizer."""
        ...

    def render_prompt(self, user_text: str) -> str:
        """See `LanguageModel.render_prompt`."""
        ...

    def text_ids(self, text: str) -> list[int]:
        """See `LanguageModel.text_ids`."""
        ...

    def response_ids(self, response: str) -> list[int]:
        """See `LanguageModel.response_ids`."""
        ...


class LanguageModel(nn.Module, ABC):
    """A causal language model that reads embeddings, with adapters that train and a base that is frozen.

    Attributes:
        receives_weights: Whether it can be built on the meta device, whole but for its weights, while
            `affect_lightning.weights.waits_for_weights()` is true. Under FSDP one process then reads the weights and
            sends them; without it every process reads them.
        tokenizer: A Hugging Face tokenizer with padding and end tokens.
        embedding_width: E.
    """

    receives_weights: ClassVar[bool] = False
    tokenizer: Any
    embedding_width: int

    @abstractmethod
    def render_prompt(self, user_text: str) -> str:
        """The text of one user turn with the chat template around it, up to where the response starts.

        `user_text` may hold placeholder characters (`affect_lightning.prompting`); the template must leave them where
        they are. The model splits the result at them, tokenises the pieces with `text_ids` and puts feature tokens
        where the placeholders were, so no word is added to the vocabulary.
        """

    @abstractmethod
    def text_ids(self, text: str) -> list[int]:
        """Token ids of a piece of text, special tokens recognised, none added."""

    @abstractmethod
    def response_ids(self, response: str) -> list[int]:
        """Token ids of a response with the end token after it."""

    def prompt_text(self) -> PromptText | None:
        """What the three methods above do, without the network: it must pickle, to be sent to processes that read clips.

        None (this one) means that prompts are tokenised in the training process, between two steps.
        """
        return None

    @abstractmethod
    def embed(self, ids: Tensor) -> Tensor:
        """Embeddings [..., E] of token ids [...]."""

    @abstractmethod
    def loss(self, inputs_embeds: Tensor, attention_mask: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy of each clip over its supervised positions (Eq. 2).

        Args:
            inputs_embeds: [B, L, E].
            attention_mask: [B, L], 1 for real tokens.
            labels: [B, L] token ids; -100 where nothing is learnt. Position l is predicted from positions before l.

        Returns:
            The mean over all supervised positions of the batch, a scalar: what the Hugging Face loss gives.
        """

    def loss_of_rows(self, inputs_embeds: Tensor, attention_mask: Tensor, labels: Tensor, layout: RowLayout) -> Tensor:
        """The same as `loss`, told where the tokens are.

        A model that leaves out padding, or computes logits of supervised positions only, needs not ask the device
        for them. This one calls `loss`.

        Args:
            inputs_embeds: [B, L, E].
            attention_mask: [B, L], 1 for real tokens.
            labels: [B, L]; at least one position is supervised. Some of those that the layout names may hold -100: clips
                that are not to be learnt from.
            layout: Of these rows, on the same device.
        """
        return self.loss(inputs_embeds, attention_mask, labels)

    def token_scores(
        self,
        inputs_embeds: Tensor,
        attention_mask: Tensor,
        labels: Tensor,
        layout: RowLayout,
        temperature: float = 1.0,
    ) -> tuple[Tensor, Tensor]:
        """Log-probability of each supervised token, and the entropy of what it was drawn from, in the layout's order.

        Objectives that reward sampled responses need it, and no others.

        Args:
            inputs_embeds: [B, L, E].
            attention_mask: [B, L], 1 for real tokens.
            labels: [B, L]; -100 where nothing is supervised.
            layout: Of these rows, on the same device.
            temperature: Divides the logits.

        Returns:
            Two tensors [R]: log-probabilities with gradient, entropies in nats without.

        Raises:
            ConfigurationError: The language model has no such method.
        """
        raise ConfigurationError(
            f"Choose the objective `response`, or a language model such as `causal-lm`: {type(self).__name__} gives no "
            f"log-probabilities of tokens (contract affect_lightning.contracts.LanguageModel, token_scores)."
        )

    @abstractmethod
    def generate(
        self,
        inputs_embeds: Tensor,
        attention_mask: Tensor,
        *,
        max_new_tokens: int,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | Sequence[int] | None = None,
    ) -> list[str]:
        """Responses to left-padded prompts.

        A model that tells `generation_watch.current_watch()` of its tokens can be streamed and stopped by `serve`.

        Args:
            inputs_embeds: [B, L, E], padding on the left.
            attention_mask: [B, L], 0 for padding.
            max_new_tokens: Longest response in tokens.
            temperature: 0 means greedy decoding.
            top_p: Nucleus share when sampling.
            seed: Of the sampling: one for all rows, or one for each.

        Returns:
            B texts without special tokens.
        """

    def generate_from_prefix(
        self,
        prefix_embeds: Tensor,
        prefix_mask: Tensor,
        inputs_embeds: Tensor,
        attention_mask: Tensor,
        **options: Any,
    ) -> list[str]:
        """Responses to several prompts that begin alike, such as several questions on one clip.

        A model that keeps keys and values may read each beginning once; this one joins the prompts and calls
        `generate`, which gives the same texts.

        Args:
            prefix_embeds: [B, P, E], the beginnings, padding on the left.
            prefix_mask: [B, P], 0 for padding.
            inputs_embeds: [B * Q, L, E], the Q ends of the first beginning, then those of the second; padding on the
                left.
            attention_mask: [B * Q, L], 0 for padding.
            **options: Of `generate`.

        Returns:
            B * Q texts without special tokens.
        """
        times = len(inputs_embeds) // len(prefix_embeds)
        embeddings = torch.cat([prefix_embeds.repeat_interleave(times, dim=0), inputs_embeds], dim=1)
        mask = torch.cat([prefix_mask.repeat_interleave(times, dim=0), attention_mask], dim=1)
        order = mask.long().argsort(dim=1, stable=True)  # padding to the left, the rest as it was
        joined = embeddings.gather(1, order.unsqueeze(-1).expand_as(embeddings))
        return self.generate(joined, mask.gather(1, order), **options)

    def computed_positions(self, lengths: Sequence[int]) -> int:
        """Positions that `loss` computes for clips of these lengths, padding included; for the throughput meter.

        Args:
            lengths: Real tokens of each clip, B of them.
        """
        return len(lengths) * max(lengths, default=0)

    @abstractmethod
    def shardable_blocks(self) -> Sequence[nn.Module]:
        """The transformer blocks, in order: the units that FSDP shards and checkpoints."""

    @abstractmethod
    def save_adapter(self, folder: str) -> None:
        """Write the adapter as a peft folder (`adapter_config.json`, safetensors); nothing when there is none."""

    @abstractmethod
    def load_adapter(self, folder: str) -> None:
        """Read what `save_adapter` wrote into the adapter in place. Missing or surplus keys are an error."""
