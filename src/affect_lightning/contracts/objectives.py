"""What an objective must provide: it turns the network's named outputs into terms that training minimises.

The paper has one, the cross-entropy of the responses (Eq. 2). An objective is asked for terms in each step. It may ask
the network several times, for outputs or for sampled responses.
Legend: B clips, N feature tokens, D feature width, K tokens of a stream in the prompt, L text tokens, E embedding
width, G sampled responses a clip, R response tokens of a batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from affect_lightning.contracts.clips import ClipBatch
from affect_lightning.contracts.prompt_tokens import PromptTokens
from affect_lightning.contracts.rewards import SampledResponse
from affect_lightning.contracts.streams import FeatureSequence

if TYPE_CHECKING:
    from torch import Tensor


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


class TokenScores(NamedTuple):
    """What the network thinks of sampled responses, token by token; the end token counts as one.

    Attributes:
        log_probabilities: Of each response token [R], natural logarithm, with gradient.
        entropies: Of the distribution that each was drawn from [R], in nats, without gradient.
        responses: Which response each token belongs to [R]: clip * G + number of the sample, in rising order.
    """

    log_probabilities: Tensor
    entropies: Tensor
    responses: Tensor


class TrainedNetwork(Protocol):
    """What an objective may ask of the network."""

    def encode(self, batch: ClipBatch) -> Mapping[str, FeatureSequence]:
        """Encoded streams of a batch, for the argument `features` of the other methods."""
        ...

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
        features: Mapping[str, FeatureSequence] | None = ...,
    ) -> list[str]:
        """Responses to the batch's questions, without gradient; the same clip gets the same response in any batch."""
        ...

    def sample(
        self,
        batch: ClipBatch,
        seeds: Sequence[Sequence[int]],
        *,
        max_new_tokens: int,
        temperature: float,
        top_p: float,
        features: Mapping[str, FeatureSequence] | None = None,
    ) -> list[list[str]]:
        """G responses to each clip's question, one for each of its seeds, without gradient and without dropout.

        Args:
            batch: B clips with questions.
            seeds: B lists of G seeds.
            max_new_tokens: Longest response in tokens.
            temperature: Above 0.
            top_p: Nucleus share.
            features: Encoded streams, if they are known already.
        """
        ...

    def token_scores(
        self,
        batch: ClipBatch,
        responses: Sequence[Sequence[str]],
        *,
        longest: int,
        temperature: float = 1.0,
        features: Mapping[str, FeatureSequence] | None = None,
        at_start: bool = False,
    ) -> TokenScores:
        """Log-probabilities of the tokens of sampled responses, without dropout.

        Args:
            batch: B clips with questions; their own responses do not count.
            responses: B lists of G texts; one may be empty, and is then its end token.
            longest: Tokens at which sampling stopped: a response that is as long has no end token.
            temperature: Of the sampling; the logits are divided by it.
            features: Encoded streams, if they are known already.
            at_start: With the weights that training began with, and without gradient; for an objective that has
                `compares_with_start`.
        """
        ...


class Objective(ABC):
    """Says what training makes small. It has options and no weights of its own.

    Attributes:
        updates: Optimiser steps on each batch. `terms` is asked once for each of them.
        compares_with_start: Whether the network must keep the weights that training began with, for `token_scores`.
        rewards_samples: Whether it rewards sampled responses, so that `samples` gives some.
    """

    updates: int = 1
    compares_with_start: bool = False
    rewards_samples: bool = False

    def begin_step(self, seed: int) -> None:  # noqa: B027  # most objectives draw nothing
        """Told before each training step, on every process alike: whatever is drawn in the step depends on `seed`.

        Args:
            seed: Follows from the run's seed, the epoch and the step.
        """

    def measures(self) -> Mapping[str, LossTerm]:
        """What the last call of `terms` saw beside its terms, for the log: means over items, by a short name."""
        return {}

    def samples(self) -> Sequence[SampledResponse]:
        """The responses that the last call of `terms` rewarded; none for an objective that samples nothing."""
        return ()

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
