"""The paper's objective: cross-entropy of the responses (Eq. 2)."""

from __future__ import annotations

from affect_lightning.contracts import ClipBatch, LossTerm, Objective, TrainedNetwork
from affect_lightning.objectives.answer_modes import AnswerMode, asked_in, response_term


class ResponseObjective(Objective):
    """Cross-entropy of the wanted responses, a mean over all their tokens (paper, Eq. 2)."""

    def __init__(self, *, mode: AnswerMode = "asked") -> None:
        """Keep the option.

        Args:
            mode: What is asked: as the data module `asked` (the paper), `names`, `description`, or `reasoning` before the
                names: the cold start of a training on sampled responses.
        """
        self.mode = mode

    def terms(self, network: TrainedNetwork, batch: ClipBatch) -> dict[str, LossTerm]:
        """The one term `response`."""
        return {"response": response_term(network, asked_in(self.mode, batch), self.mode)}
