# %% [markdown]
# # Write a fusion
#
# After this notebook you have written a pre-fusion, checked that padding cannot change it, and tried it beside the
# paper's attention on a task that needs both streams. It takes seconds.

# %%
import os
from collections.abc import Mapping

import torch
from torch import nn

from affect_lightning.contracts import FeatureSequence, PreFusion
from affect_lightning.plugin_loading import build_part

SMALL = "AFFECT_NOTEBOOK_SMALL" in os.environ  # tiny sizes, for the tests

# %% [markdown]
# ## The class
#
# A fusion gets the encoded streams by name, each with tokens `[B, N, D]` and a mask `[B, N]`, which is True where a
# token is real. It returns a stream of its own. The widths are known when it is
# built. This one multiplies the averages of the streams, so that one feature can mean "smiles, but the voice is flat".


# %%
class ProductFusion(PreFusion):
    """Products of the projected averages of all streams; one fused token."""

    def __init__(self, stream_widths: Mapping[str, int], *, width: int = 32) -> None:
        super().__init__()
        self.output_width = width
        self.output_tokens = 1
        self.projections = nn.ModuleDict({name: nn.Linear(size, width) for name, size in stream_widths.items()})

    def forward(self, streams: Mapping[str, FeatureSequence]) -> FeatureSequence:
        """Fuse streams [B, N, D] into one token a clip [B, 1, W]."""
        averages = [projection(streams[name].masked_mean()) for name, projection in self.projections.items()]  # [B, W]
        fused = torch.stack(averages).prod(dim=0)
        return FeatureSequence(fused.unsqueeze(1), torch.ones(len(fused), 1, dtype=torch.bool, device=fused.device))


# %% [markdown]
# ## Padding must not matter
#
# Clips of a batch have different lengths, so the shorter ones are padded. Whatever stands there, the result must be
# the same.

# %%
torch.manual_seed(0)
widths = {"audio": 8, "face": 8}
fusion = ProductFusion(widths)
real = torch.ones(2, 5, dtype=torch.bool)
streams = {name: FeatureSequence(torch.randn(2, 5, size), real) for name, size in widths.items()}
padded = {
    name: FeatureSequence(
        torch.cat([stream.tokens, torch.full((2, 3, 8), 1e3)], dim=1),
        torch.cat([stream.mask, torch.zeros(2, 3, dtype=torch.bool)], dim=1),
    )
    for name, stream in streams.items()
}
torch.testing.assert_close(fusion(padded).tokens, fusion(streams).tokens)

# %% [markdown]
# ## A task that needs both streams
#
# The first feature of each stream has a sign. The class is whether the signs agree. One stream alone says nothing
# about it.


# %%
def clips(number: int) -> tuple[dict[str, FeatureSequence], torch.Tensor]:
    """Streams of `number` clips, and their classes."""
    signs = torch.randint(0, 2, (number, 2)) * 2 - 1
    everything = torch.ones(number, 5, dtype=torch.bool)
    made = {}
    for column, (name, size) in enumerate(widths.items()):
        tokens = 0.3 * torch.randn(number, 5, size)
        tokens[:, :, 0] += signs[:, column : column + 1]
        made[name] = FeatureSequence(tokens, everything)
    return made, (signs[:, 0] == signs[:, 1]).long()


def accuracy(fusion: PreFusion, steps: int) -> float:
    """Train the fusion with a linear head; the share of new clips whose class is right."""
    head = nn.Linear(fusion.output_width, 2)
    optimiser = torch.optim.AdamW([*fusion.parameters(), *head.parameters()], lr=1e-2)
    for _ in range(steps):
        made, classes = clips(64)
        loss = nn.functional.cross_entropy(head(fusion(made).tokens[:, 0]), classes)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    made, classes = clips(1000)
    return (head(fusion(made).tokens[:, 0]).argmax(1) == classes).float().mean().item()


steps = 150 if SMALL else 400
ours = accuracy(ProductFusion(widths), steps)
print("product  ", ours)
print("attention", accuracy(build_part("pre_fusions", "attention", stream_widths=widths), steps))
assert ours > 0.9

# %% [markdown]
# The paper's attention multiplies the streams with weights that come from all streams, so it can learn such
# products, too. Which fusion is better on people is another question: train both, over several seeds.
#
# ## Make it a plugin
#
# `affect-lightning plugins new fusion product` writes a package with four files. Put the class into its module and
# install it; then every command takes `--model.pre_fusion product`.
# `affect-lightning plugins check product` tests it as ours are tested: padding, gradients, number types, a training
# of two steps.
