"""What an objective must provide: it turns the network's named outputs into terms that training minimises.

The paper has one, the cross-entropy of the responses (Eq. 2). An objective is asked for terms in each step. It may ask
the network several times, for outputs or for sampled responses.
Legend: B clips, N feature tokens, D feature width, K tokens of a stream in the prompt, L text tokens, E embedding
width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from torch import Tensor

from affect_lightning.contracts.clips import ClipBatch
from affect_lightning.contracts.prompt_tokens import PromptTokens
from affect_lightning.contracts.streams import FeatureSequence


class LossTerm(NamedTuple):
    """One number to be made small, and what it is the mean of.

    Attributes:
        mean: Mean over the items of this process's batch, a scalar with gradient.
        items: Their number, such as response tokens or clips, a scalar on the same device; 0 if there are none. Over
            several processes the mean of all items is what is made small, however unequally they are spread.
        weight: Of this term in the sum of all.
    """

    mean: Tensor
    items: Tensor
    weight: float = 1.0


@dataclass(frozen=True)
class NetworkOutputs:
    """What the network gives for a batch with responses.

    Attributes:
        features: Encoded streams [B, N, D] (Z_a, Z_v), by name.
        projected: Tokens [B, K, E] of every shown stream, the fused ones under `multi`.
        inputs_embeds: Prompts with responses [B, L, E], padding on the right.
        attention_mask: [B, L], 1 for real tokens.
        labels: [B, L] token ids; -100 everywhere but on responses.
        tokens: What the embeddings are made of. With other labels than its own it does not count.
    """

    features: Mapping[str, FeatureSequence]
    projected: Mapping[str, Tensor]
    inputs_embeds: Tensor
    attention_mask: Tensor
    labels: Tensor
    tokens: PromptTokens | None = None


class TrainedNetwork(Protocol):
    """What an objective may ask of the network."""

    def outputs(self, batch: ClipBatch, features: Mapping[str, FeatureSequence] | None = None) -> NetworkOutputs:
        """Named outputs for a batch with responses; `features` spares a second pass through the encoders."""
        ...

    def response_loss(self, outputs: NetworkOutputs, valid: Tensor) -> LossTerm:
        """Mean cross-entropy of the response tokens of valid clips (Eq. 2) and their number."""
        ...

    def generate(
        self,
        batch: ClipBatch,
        *,
        max_new_tokens: int = ...,
        temperature: float = ...,
        top_p: float = ...,
        seed: int | None = ...,
    ) -> list[str]:
        """Responses to the batch's questions, without gradient; the same clip gets the same response in any batch."""
        ...


class Objective(ABC):
    """Says what training makes small. It has options and no weights of its own."""

    @abstractmethod
    def terms(self, network: TrainedNetwork, batch: ClipBatch) -> Mapping[str, LossTerm]:
        """The terms of one step, by a short name for the log; training minimises their weighted sum.

        A clip that is not valid (`batch.valid`) counts in no term. A term is a mean over items of single clips, so that
        two halves of a batch, weighted by their items, give what the whole gives.

        Args:
            network: In training mode; its parts are sharded under FSDP, so use nothing but the protocol's methods.
            batch: Clips with responses.

        Raises:
            DataError: The batch has nothing to learn from.
        """
