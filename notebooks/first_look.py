# %% [markdown]
# # First look
#
# After this notebook you have made talking clips, trained a small AffectGPT on them, and seen what it saw. It takes
# about five minutes on two cores, and needs no GPU and no data.
# Everything is written into the current folder.

# %%
import os
import shlex

from affect_lightning.command_line.program import main

SMALL = "AFFECT_NOTEBOOK_SMALL" in os.environ  # tiny sizes, for the tests


def affect(command: str) -> None:
    """Run a command of `affect-lightning` in this process."""
    assert main(shlex.split(command)) == 0, command


# %% [markdown]
# ## Clips
#
# Faces are drawn and voices are synthesised. Face, voice and words show the emotion, and sometimes they disagree.

# %%
sizes = "--clips 6 --test-clips 2" if SMALL else "--clips 90 --test-clips 4"
affect(f"sandbox --out sandbox-data {sizes}")

# %% [markdown]
# ## Train
#
# `sandbox` is an experiment: a file that names every part and option. What stands behind it on the command line
# changes it.

# %%
tiny = "--model.video_encoder tiny-video --model.audio_encoder tiny-audio --model.language_model tiny-lm"
changes = f"--trainer.max_steps 2 --data.face_detector none {tiny}" if SMALL else "--trainer.max_steps 60"
affect(f"fit --config sandbox {changes} --trainer.logger.init_args.version look")

# %% [markdown]
# ## Ask
#
# An export is all that somebody needs to ask the model. `describe` gives the answer, and what the network saw and
# heard.

# %%
affect("export runs/sandbox/look/checkpoints/last.ckpt my-first-model")

# %%
from pathlib import Path

from affect_lightning import AffectGPT

network = AffectGPT.from_pretrained("my-first-model")
path = sorted(Path("sandbox-data/mer2023-dataset-process/video").glob("*.mp4"))[0]
clip = network.describe(path, subtitle="I did not expect you here!")
print(clip.text, clip.labels, clip.sentiment)

# %%
import matplotlib.pyplot as plt
import numpy as np

figure, axes = plt.subplots(1, len(clip.crops) + 1, figsize=(12, 2))
for axis, crop in zip(axes, clip.crops, strict=False):
    axis.imshow(crop)
    axis.axis("off")
seconds = np.arange(len(clip.waveform)) / clip.sample_rate
axes[-1].plot(seconds, clip.waveform, linewidth=0.5)
axes[-1].set_xlabel("seconds")
assert clip.crops.shape[-1] == 3
assert clip.waveform.ndim == 1

# %% [markdown]
# 60 steps are few, so do not expect much of the answer. `make demo` trains for 320 steps and scores the model on
# nine sets. The next notebooks change one part at a time.
