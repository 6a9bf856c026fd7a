"""The paper's objective: cross-entropy of the responses (Eq. 2)."""

from __future__ import annotations

from affect_lightning.contracts import ClipBatch, LossTerm, Objective, TrainedNetwork


class ResponseObjective(Objective):
    """Cross-entropy of the wanted responses, a mean over all their tokens (paper, Eq. 2)."""

    def terms(self, network: TrainedNetwork, batch: ClipBatch) -> dict[str, LossTerm]:
        """The one term `response`."""
        return {"response": network.response_loss(network.outputs(batch), batch.valid)}
