"""Model: AffectGPT, the network, a plain nn.Module (paper, Section 3). It knows no Lightning; `training` trains it.

`configuration.py` says which parts and how. `affectgpt.py` composes them from `feature_conditioning.py`, `branches.py`
and `prompt_assembly.py`. `exported_folder.py` has the format that others read.
"""

from affect_lightning.model.affectgpt import AffectGPT
from affect_lightning.model.configuration import ModelConfiguration

__all__ = ["AffectGPT", "ModelConfiguration"]


def __dir__() -> list[str]:
    return sorted(__all__)
