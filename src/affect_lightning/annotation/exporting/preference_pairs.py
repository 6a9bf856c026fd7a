"""Preference pairs: for a clip, a better and a worse description, as direct preference optimisation (DPO) learns from them.

Paper: Table 7 compares descriptions in pairs; training on the verdicts is ours. The pairs come from the study's verdicts
(`preferences.py`, `review_store.py`) or from two columns of a table. Neighbour: `layouts.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affect_lightning.annotation.exporting.clips import Clips, ExportedClip
from affect_lightning.annotation.exporting.layouts import (
    SHARE_GPT_NOTES,
    Written,
    asked,
    attached,
    turn,
    without_marks,
    write_json,
    write_lines,
)
from affect_lightning.annotation.preferences import Judgement, Pair
from affect_lightning.annotation.tables import ClipTable
from affect_lightning.corpora.annotation_tables import shown
from affect_lightning.errors import DataError


@dataclass(frozen=True)
class PreferencePair:
    """Two descriptions of one clip.

    Attributes:
        name: Of the clip.
        chosen: The better description.
        rejected: The worse one.
        chosen_source: Whose the better one is.
        rejected_source: Whose the worse one is.
        votes: Raters who prefer the better one, and the other one; both 0 for pairs of a table.
    """

    name: str
    chosen: str
    rejected: str
    chosen_source: str = ""
    rejected_source: str = ""
    votes: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class PairSelection:
    """The pairs, and what became of the other verdicts.

    Attributes:
        pairs: In the order of the verdicts.
        undecided: Pairs that no side wins.
        of_other_clips: Pairs of clips that are not exported.
    """

    pairs: Sequence[PreferencePair]
    undecided: int = 0
    of_other_clips: int = 0


def pairs_of_verdicts(judgements: Sequence[Judgement], names: Sequence[str]) -> PairSelection:
    """The pairs that most of their raters decide; repeats with swapped sides do not count.

    Args:
        judgements: Of any number of raters.
        names: Clips that are exported.

    Raises:
        DataError: No pair is left.
    """
    votes: dict[Any, Counter[str | None]] = {}
    pairs: dict[Any, Pair] = {}
    for one in judgements:
        if not one.is_repeat:
            pairs.setdefault(one.pair.key, one.pair)
            votes.setdefault(one.pair.key, Counter())[one.winner] += 1
    wanted, found, undecided, elsewhere = set(names), [], 0, 0
    for key, pair in pairs.items():
        first, second = votes[key][pair.first], votes[key][pair.second]
        if pair.name not in wanted:
            elsewhere += 1
        elif first == second:
            undecided += 1
        elif first > second:
            better = PreferencePair(pair.name, pair.first_text, pair.second_text, pair.first, pair.second)
            found.append((better, (first, second)))
        else:
            better = PreferencePair(pair.name, pair.second_text, pair.first_text, pair.second, pair.first)
            found.append((better, (second, first)))
    if not found:
        raise DataError(
            f"No pair is left: {undecided} are undecided, and {elsewhere} are of clips that are not exported, such as "
            f"{shown([pair.name for pair in pairs.values()]) or 'none'}. Check that table and verdicts name clips alike."
        )
    return PairSelection(
        [PreferencePair(**{**vars(pair), "votes": counts}) for pair, counts in found], undecided, elsewhere
    )


def pairs_of_columns(tables: Iterable[ClipTable], chosen: str, rejected: str, names: Sequence[str]) -> PairSelection:
    """The pairs of two columns of a table; a clip that lacks a text, or has the same twice, gives none.

    Raises:
        DataError: A column is missing or has something else than texts, or no pair is left.
    """
    wanted, found, undecided = set(names), [], 0
    rows = (
        row for table in tables for row in zip(table.names, table.texts(chosen), table.texts(rejected), strict=True)
    )
    for name, better, worse in rows:
        if name not in wanted:
            continue
        if better.strip() and worse.strip() and better.split() != worse.split():
            found.append(PreferencePair(name, better, worse, chosen, rejected))
        else:
            undecided += 1
    if not found:
        raise DataError(
            f"No pair is left: the columns {chosen!r} and {rejected!r} have no two different texts of one clip."
        )
    return PairSelection(found, undecided)


def write_preferences(folder: Path, clips: Clips, selection: PairSelection, title: str) -> Written:
    """The pairs in the forms that LLaMA-Factory and ms-swift document."""
    by_name: Mapping[str, ExportedClip] = {clip.name: clip for clip in clips}  # as many as there are pairs
    pairs = [pair for pair in selection.pairs if pair.name in by_name]
    write_lines(folder / "preferences.jsonl", (_ranked(by_name[pair.name], pair) for pair in pairs))
    write_lines(folder / "preferences-messages.jsonl", (_messages(by_name[pair.name], pair) for pair in pairs))
    columns = {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"}
    entry = {
        "file_name": "preferences.jsonl",
        "formatting": "sharegpt",
        "ranking": True,
        "columns": {**columns, "videos": "videos", "audios": "audios"},
    }
    write_json(folder / "dataset_info.json", {title: entry})
    counts = {"pairs": len(pairs), "undecided pairs left out": selection.undecided}
    if selection.of_other_clips:
        counts["pairs of other clips left out"] = selection.of_other_clips
    return Written(
        counts, (*SHARE_GPT_NOTES, "ms-swift reads preferences-messages.jsonl, LLaMA-Factory the other file.")
    )


def _ranked(clip: ExportedClip, pair: PreferencePair) -> dict[str, Any]:
    return {
        "conversations": [turn("human", asked(clip, "describe"))],
        "chosen": turn("gpt", pair.chosen),
        "rejected": turn("gpt", pair.rejected),
        **attached(clip),
        "name": pair.name,
        "sources": [pair.chosen_source, pair.rejected_source],
        "votes": list(pair.votes),
    }


def _messages(clip: ExportedClip, pair: PreferencePair) -> dict[str, Any]:
    return {
        "messages": [
            {"role": "user", "content": asked(clip, "describe")},
            {"role": "assistant", "content": without_marks(pair.chosen)},
        ],
        "rejected_response": without_marks(pair.rejected),
        **attached(clip),
    }
