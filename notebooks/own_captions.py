# %% [markdown]
# # A MER-Caption of your own clips
#
# After this notebook you have turned raw clips into a table of descriptions, filtered as MER-Caption is (Section 2
# of the paper). No model is needed for a first try: `signal` measures voice and face,
# and `template` puts the texts together. Later you name models in their place.

# %%
import os
import shlex
from pathlib import Path

from affect_lightning.command_line.program import main

SMALL = "AFFECT_NOTEBOOK_SMALL" in os.environ  # tiny sizes, for the tests


def affect(command: str) -> None:
    """Run a command of `affect-lightning` in this process."""
    assert main(shlex.split(command)) == 0, command


# %% [markdown]
# ## Raw clips
#
# Take a folder of your own. Here are generated clips.

# %%
sizes = "--clips 1 --test-clips 1 --raw-clips 8" if SMALL else "--clips 1 --test-clips 1 --raw-clips 40"
affect(f"sandbox --out raw-data {sizes}")

# %% [markdown]
# ## The stages
#
# A file lists the clips, a folder for the results, and the stages. The same command goes on after an interruption,
# and makes no finished table again.

# %%
Path("annotate.yaml").write_text(
    """clips: raw-data/raw-clips/clips.csv
out: runs/my-caption
stages:
  - describe: {audio: signal, visual: signal, merger: template}
  - length: {cut: quantile, low: 0.15, high: 0.15}
""",
    encoding="utf-8",
)
affect("annotate --config annotate.yaml")

# %% [markdown]
# ## What came out
#
# Each stage adds columns to a table and never drops a row. `kept.STAGE` says which clips stay.

# %%
from affect_lightning.annotation.tables import read_clip_table

table = read_clip_table(sorted(Path("runs/my-caption").glob("*.parquet"))[-1])
kept = table.column("kept.length")
for name, text, stays in zip(table.column("name"), table.column("description"), kept, strict=True):
    print("stays" if stays else "goes ", name, "|", text)
assert any(kept)
assert not all(kept)

# %% [markdown]
# ## Next
#
# - Name models: `audio: {name: openai, model: NAME}` asks a server, `visual: {name: hf-chat, model: FOLDER}` a
#   local model. No clip leaves this machine unless the file says `clips_may_leave: true`.
# - Add the stage `speaker`, which drops clips that do not show who is heard, and `crowd` and `agree`, which drop
#   descriptions that disagree with voters.
# - End with `export`, which writes a data set that `fit` and other projects read, with a datasheet.
