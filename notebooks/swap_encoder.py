# %% [markdown]
# # Swap an encoder
#
# After this notebook you can replace the video or the audio encoder by its name, see what that costs, and train
# with it. The cells train for a few steps only.

# %%
import os
import shlex

from affect_lightning.command_line.program import main

SMALL = "AFFECT_NOTEBOOK_SMALL" in os.environ  # tiny sizes, for the tests


def affect(command: str) -> None:
    """Run a command of `affect-lightning` in this process."""
    assert main(shlex.split(command)) == 0, command


# %% [markdown]
# ## Which ones there are
#
# Every installed encoder is listed, yours too. `plugins NAME` shows the options of one.

# %%
affect("plugins --group video_encoders")
affect("plugins prosody")

# %% [markdown]
# ## What it costs
#
# The summary reads no weights. The encoders are frozen, so they cost memory and time, but nothing in them trains.
# Fusion and projectors train, and their size follows the width of the features.

# %%
affect("summary --config affectgpt")
affect("summary --config affectgpt --config figure4_video_dinov2")

# %% [markdown]
# ## Train with another one
#
# `tiny-audio` has random weights and cannot help. It stands here for an encoder of yours: `hf-audio` takes any
# folder with weights.

# %%
sizes = "--clips 6 --test-clips 2" if SMALL else "--clips 90 --test-clips 4"  # the corpus of the first notebook
affect(f"sandbox --out sandbox-data {sizes}")

# %%
tiny = "--model.video_encoder tiny-video --model.language_model tiny-lm --data.face_detector none" if SMALL else ""
steps = 2 if SMALL else 10
affect(
    f"fit --config sandbox {tiny} --model.audio_encoder tiny-audio "
    f"--trainer.max_steps {steps} --trainer.logger.init_args.version swapped"
)

# %%
from pathlib import Path

import yaml

kept = yaml.safe_load(Path("runs/sandbox/swapped/config.yaml").read_text(encoding="utf-8"))
print(kept["model"]["audio_encoder"])
assert "tiny-audio" in str(kept["model"]["audio_encoder"])

# %% [markdown]
# The run's `config.yaml` has every part with its options, so a run says what it was. A network with another encoder
# refuses its checkpoint. Compare encoders over several seeds, with
# `affect-lightning table`.
