"""Model: AffectGPT, the network as a plain nn.Module, and its LightningModule (paper, Section 3).

`configuration.py` says which parts and how; `affectgpt.py` composes them out of `feature_scaling.py`, `branches.py`,
`projectors.py` and `prompt_assembly.py`; `module.py` trains; `exported_folder.py` is what others read. The LightningModule
is imported when it is asked for: the network alone does without Lightning.
"""

from typing import TYPE_CHECKING, Any

from affect_lightning.model.affectgpt import AffectGPT
from affect_lightning.model.configuration import ModelConfiguration

if TYPE_CHECKING:
    from affect_lightning.model.module import AffectGPTModule

__all__ = ["AffectGPT", "AffectGPTModule", "ModelConfiguration"]


def __getattr__(name: str) -> Any:
    if name == "AffectGPTModule":
        from affect_lightning.model.module import AffectGPTModule

        return AffectGPTModule
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
