"""Checks of objectives on a network of tiny parts (contract: Objective; paper, Eq. 2).

Neighbours: `suite.py` lists them, `training_checks.py` trains with the objective. Legend: B clips.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from affect_lightning.contracts import ClipBatch, LossTerm
from affect_lightning.contracts.conformance import check_finite, check_terms
from affect_lightning.model import AffectGPT, ModelConfiguration
from affect_lightning.testing.comparing import require
from affect_lightning.testing.subject import Subject, perturb
from affect_lightning.testing.training_checks import TINY_PARTS
from affect_lightning.testing.worker_checks import clip_batch, picked

_INPUTS = ("multi", "audio", "face", "text")


def _network() -> AffectGPT:
    """In eval mode, so that nothing is drawn."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = AffectGPT.from_configuration(ModelConfiguration.resolve(**TINY_PARTS, inputs=_INPUTS))
    perturb(network)
    return network.eval()


def objective_terms(subject: Subject) -> str:
    """Named terms, each a finite mean with gradient over a number of items; what trains gets a gradient from their sum."""
    network = _network()
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
