"""Trains one member: a plain loop over small batches, with early stopping on a part that is not learnt from.

Paper: Section 2 refers to MERBench (arXiv 2401.03429), whose loss is cross-entropy of the emotion plus the squared error
of the sentiment, under Adam. A clip may have an emotion, a sentiment or both; each term counts the clips that have it.
Everything is drawn from the seed. `attention_fusion.py` is the network, `folds.py` splits.
Legend: N clips, D width of a modality, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from affect_lightning.annotation.trained_crowd.attention_fusion import AttentionFusion
from affect_lightning.errors import AffectLightningError, ConfigurationError


@dataclass(frozen=True)
class FittingOptions:
    """How members are trained.

    Attributes:
        hidden: Common width of the modalities; MERBench tries 64, 128 and 256.
        dropout: MERBench tries 0.2 to 0.5; the most, our choice, because labelled sets are small.
        learning_rate: MERBench tries 1e-3 and 1e-4.
        weight_decay: Of Adam; our choice.
        batch_size: Clips in one step; our choice.
        epochs: At most; our choice.
        patience: Epochs without a lower loss on the watched part before a training ends; our choice.
        folds: Of the cross-validation, and parts of which one is watched; 5, as in MERBench.
    """

    hidden: int = 128
    dropout: float = 0.5
    learning_rate: float = 1e-3
    weight_decay: float = 1e-5
    batch_size: int = 32
    epochs: int = 100
    patience: int = 10
    folds: int = 5

    def check(self) -> None:
        """Refuse values that no training can have.

        Raises:
            ConfigurationError: There is one; the message names it.
        """
        for name, least in (("hidden", 1), ("batch_size", 1), ("epochs", 1), ("patience", 1), ("folds", 2)):
            if getattr(self, name) < least:
                raise ConfigurationError(f"{name} must be at least {least}; got {getattr(self, name)}.")
        if not 0.0 <= self.dropout < 1.0:
            raise ConfigurationError(f"dropout must be at least 0 and below 1; got {self.dropout}.")
        if self.learning_rate <= 0 or self.weight_decay < 0:
            raise ConfigurationError(
                f"learning_rate must be above 0 and weight_decay at least 0; got {self.learning_rate} and "
                f"{self.weight_decay}."
            )


@dataclass(frozen=True)
class Targets:
    """What is to be learnt of N clips.

    Attributes:
        emotions: Number of the class, -1 where there is none [N].
        sentiments: In [-1, 1], NaN where there is none [N].
        classes: Number of classes C; 0 for no emotions.
    """

    emotions: Tensor
    sentiments: Tensor
    classes: int

    def of(self, places: Tensor) -> Targets:
        """Those of some clips."""
        return Targets(self.emotions[places], self.sentiments[places], self.classes)


def fit(
    features: Mapping[str, Tensor],
    targets: Targets,
    learnt: Sequence[int],
    watched: Sequence[int],
    options: FittingOptions,
    seed: int,
) -> AttentionFusion:
    """Train one network; that of the epoch with the lowest loss on the watched clips counts.

    Args:
        features: One vector a clip [N, D] by modality.
        targets: Of the N clips.
        learnt: Positions of the clips that are learnt from.
        watched: Positions of those that decide when to stop.
        options: How.
        seed: Of the first weights, the order of the clips and the dropout.

    Returns:
        The network, in eval mode.

    Raises:
        AffectLightningError: The loss is not a finite number.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        widths = {name: values.shape[1] for name, values in features.items()}
        network = AttentionFusion(widths, targets.classes, options.hidden, options.dropout)
        places, watching = torch.tensor(learnt), torch.tensor(watched)
        network.standardise_by(_of(features, places))
        seen, seen_targets = _of(features, watching), targets.of(watching)
        optimiser = torch.optim.Adam(network.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay)
        best, best_state, waited = math.inf, _copy(network), 0
        for _ in range(options.epochs):
            network.train()
            for batch in places[torch.randperm(len(places))].split(options.batch_size):
                loss = loss_of(network, _of(features, batch), targets.of(batch))
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
            watched_loss = _watched_loss(network, seen, seen_targets)
            if watched_loss < best:
                best, best_state, waited = watched_loss, _copy(network), 0
            else:
                waited += 1
                if waited >= options.patience:
                    break
    network.load_state_dict(best_state)
    return network.eval()


def loss_of(network: AttentionFusion, features: Mapping[str, Tensor], targets: Targets) -> Tensor:
    """Cross-entropy of the emotions plus squared error of the sentiments, each a mean over the clips that have it."""
    scores, sentiments = network(features)
    terms = [sentiments.sum() * 0.0]  # a batch may have clips without either
    with_emotion, with_sentiment = targets.emotions >= 0, ~targets.sentiments.isnan()
    if with_emotion.any():
        terms.append(functional.cross_entropy(scores[with_emotion], targets.emotions[with_emotion]))
    if with_sentiment.any():
        terms.append(functional.mse_loss(sentiments[with_sentiment], targets.sentiments[with_sentiment]))
    return torch.stack(terms).sum()


@torch.no_grad()
def _watched_loss(network: AttentionFusion, features: Mapping[str, Tensor], targets: Targets) -> float:
    network.eval()
    loss = float(loss_of(network, features, targets))
    if not math.isfinite(loss):
        raise AffectLightningError(
            f"Lower the learning rate: the loss of a member of the crowd is {loss}, which is no finite number."
        )
    return loss


def _of(features: Mapping[str, Tensor], places: Tensor) -> dict[str, Tensor]:
    return {name: values[places] for name, values in features.items()}


def _copy(network: AttentionFusion) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


@torch.no_grad()
def predict(network: AttentionFusion, features: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The likeliest class [N] (-1 for a network without classes) and the sentiment [N] of clips [N, D] by modality."""
    scores, sentiments = network(features)
    chosen = scores.argmax(1) if scores.shape[1] else torch.full((len(scores),), -1)
    return chosen, sentiments
