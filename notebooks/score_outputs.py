# %% [markdown]
# # Score somebody's outputs
#
# After this notebook you can score what any model said, with the metrics of MER-UniBench, and read the result. You
# need two tables: the responses, and the truth. No model runs.

# %%
import csv
import json
import shlex
from pathlib import Path

from affect_lightning.command_line.program import main


def affect(command: str) -> None:
    """Run a command of `affect-lightning` in this process."""
    assert main(shlex.split(command)) == 0, command


# %% [markdown]
# ## Two tables
#
# A table of responses needs the columns `name` and `response`. One of labels needs `name` and `labels`. The order
# of the rows does not matter.

# %%
Path("truth.csv").write_text(
    """name,labels
clip_1,"happy, relieved"
clip_2,sad
clip_3,sad
clip_4,"surprised, afraid"
""",
    encoding="utf-8",
)
Path("responses.csv").write_text(
    """name,response
clip_1,"She laughs; she is clearly joyful."
clip_2,"He is not angry, he is disappointed."
clip_3,"The person feels sad and hopeless."
clip_4,"I cannot tell from the video."
""",
    encoding="utf-8",
)

# %% [markdown]
# ## Score them
#
# `mine` is a name of your own. Such a set is scored by F_S. With the name of an official set (`meld`, `cmumosi`),
# its own metric and its number of clips count.

# %%
affect("score --dataset mine --labels truth.csv --predictions responses.csv --taxonomy builtin --out scored")

# %% [markdown]
# `scored/report.html` has the report. Look at three things before you believe a figure:
#
# - **What was read out of each response.** "not angry" must not count as angry, and the last response is a refusal.
# - **The interval.** Four clips say nothing, and the report says so.
# - **The taxonomy**, and the words that it does not know. The paper's figures need `official-2025`.

# %%
for line in Path("scored/outcomes.jsonl").read_text(encoding="utf-8").splitlines():
    print(json.loads(line))

# %% [markdown]
# ## The same in Python

# %%
from affect_lightning.metrics import taxonomy_by_name
from affect_lightning.plugin_loading import build_part
from affect_lightning.unibench.scoring.predictions import Prediction
from affect_lightning.unibench.scoring.set_scoring import score_predictions

with open("truth.csv", encoding="utf-8", newline="") as file:
    truths = {row["name"]: row["labels"].split(", ") for row in csv.DictReader(file)}
with open("responses.csv", encoding="utf-8", newline="") as file:
    predictions = [
        Prediction(row["name"], "mine", "", row["response"], truth_labels=tuple(truths[row["name"]]))
        for row in csv.DictReader(file)
    ]
scores = score_predictions(predictions, build_part("label_extractors", "rules"), taxonomy_by_name("builtin"))
print(scores.sets["mine"].score, scores.sets["mine"].interval)
assert 0 < scores.sets["mine"].score < 100

# %% [markdown]
# `affect-lightning score --suite FOLDER` scores many models on many sets at once.
