"""Sentences below the tables: what a reader must know about the rows and columns that are there, and no others.

Paper: Section 4 and Table 2. Every form of a report shows the same sentences.
"""

from __future__ import annotations

from affect_lightning.unibench.report.content import CHOSEN_ON_TEST, Report
from affect_lightning.unibench.statistics.intervals import LEVEL

BOUND_NOTE = (
    "Rows in italics are no models but bounds, computed by the generator of the corpus: the best expected score of a "
    "response that names one emotion and relies on those modalities only."
)
MEAN_NOTE = "Scores in percent. The mean is that of the primary scores of the sets of MER-UniBench."
INTERVAL_NOTE = (
    f"Beside or below a score: its {LEVEL:.0%} bootstrap interval over the clips; that of the mean draws clips anew "
    f"within each set."
)
HIT_RATE_NOTE = (
    "The hit rate has no penalty for long lists of labels. So its M-score (M), which has one, and the labels a clip stand "
    "beside it; report.csv and the details by set have Precision_S and F_S too."
)
PUBLISHED_NOTE = (
    "Rows marked “published” are figures as others printed them, not measured here; their means are over all nine sets."
)
CHOSEN_ON_TEST_NOTE = (
    f"Rows marked “{CHOSEN_ON_TEST}” take, for each set, the checkpoint that is best on that very test set, as the "
    f"paper's own row does; such scores are too high and must not be compared with others."
)
TEST_NOTE = (
    "Difference: second less first, in percentage points, on the clips that both answered, with its 95% interval from "
    "the paired bootstrap. p-values are two-sided; Holm's correction is over the pairs of models within a column. "
    "Only first, only second: clips that one of the two hits and the other misses, compared by McNemar's exact test."
)

CONFUSION_NOTE = (
    "All sets of a kind together. Rows: percent of the clips with that truth, whose number is beside its name; a "
    "clip with several labels is divided among them. On the wheel, a sector is filled as far as it was found, and "
    "the chords lead from the truth to the commonest sectors that were said in its place."
)

NAMED_ROWS = 4  # published rows of one source that its note names; our choice


def notes_of(report: Report) -> list[str]:
    """The sentences that a reader of the table needs, and no others."""
    scores = [score for row in report.rows for score in row.scores.sets.values()]
    notes = [MEAN_NOTE]
    if any(score.interval for score in scores):
        notes.append(INTERVAL_NOTE)
    if any(score.metric == "hit_rate" for score in scores):
        notes.append(HIT_RATE_NOTE)
    if any(row.chosen_on_test for row in report.rows):
        notes.append(CHOSEN_ON_TEST_NOTE)
    if report.bounds:
        notes.append(BOUND_NOTE)
    if report.published:
        notes.append(" ".join([PUBLISHED_NOTE, *source_notes(report)]))
    return notes


def source_notes(report: Report) -> list[str]:
    """Where the published rows come from, and what must be known about them."""
    origins: dict[str, list[str]] = {}
    for row in report.published:
        origins.setdefault(row.origin, []).append(row.name)
    named = {
        origin: ", ".join(names) if len(names) <= NAMED_ROWS else f"{len(names)} rows from {names[0]} to {names[-1]}"
        for origin, names in origins.items()
    }
    notes = [f"Source of {names}: {origin}." for origin, names in named.items()]
    return notes + [f"{row.name}: {row.note}." for row in report.published if row.note]
