"""Which of several checkpoints of one model is scored.

Paper: the row of AffectGPT in Tables 2 and 12 takes, for each set, the best of seven checkpoints on the test set itself
(scoring the authors' saved outputs shows it). The rule `paper_best_on_test` does this, and every output names it.
`last` and `fixed` choose without looking at a score. `suites.py` finds the checkpoints, `suite_scoring.py` applies the
rule.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from affect_lightning.errors import ConfigurationError, DataError

CheckpointRule = Literal["last", "fixed", "paper_best_on_test"]
CHECKPOINT_RULES: tuple[CheckpointRule, ...] = get_args(CheckpointRule)

_NUMBER = re.compile(r"\d+")
_CALLED_LAST = re.compile(r"last(?:-v\d+)?", re.IGNORECASE)  # as Lightning calls it


def in_order(checkpoints: Sequence[str]) -> list[str]:
    """Checkpoints by the numbers in their names, then by name.

    >>> in_order(["step_10", "step_9"])
    ['step_9', 'step_10']
    """
    return sorted(checkpoints, key=lambda name: ([int(number) for number in _NUMBER.findall(name)], name))


def rule_text(rule: CheckpointRule, fixed: str | None = None) -> str:
    """The rule in words, for reports."""
    return {
        "last": "last: the model's last checkpoint, the same for every set",
        "fixed": f"fixed: the checkpoint {fixed}, chosen in advance, the same for every set",
        "paper_best_on_test": "paper_best_on_test: for each set the checkpoint with the best score on that same test "
        "set, as in the paper's own row; it overstates the score on new clips",
    }[rule]


def check_rule(rule: str, fixed: str | None) -> None:
    """Refuse an unknown rule, `fixed` without a checkpoint, and a checkpoint without `fixed`.

    Raises:
        ConfigurationError: One of these.
    """
    if rule not in CHECKPOINT_RULES:
        raise ConfigurationError(f"There is no checkpoint rule {rule!r}. Choose one of {', '.join(CHECKPOINT_RULES)}.")
    if (rule == "fixed") != (fixed is not None):
        raise ConfigurationError(
            "The rule fixed needs the name or number of a checkpoint: add `--checkpoint 60`."
            if fixed is None
            else f"A checkpoint ({fixed}) needs `--checkpoint-rule fixed`; the rule is {rule}."
        )


def checkpoint_for_all_sets(
    model: str, checkpoints: Mapping[str, Sequence[str]], rule: CheckpointRule, fixed: str | None = None
) -> dict[str, str]:
    """The checkpoint of each set by the rule `last` or `fixed`; a set with one output has nothing to choose.

    Args:
        model: For messages.
        checkpoints: Names by set.
        rule: `last` or `fixed`.
        fixed: Name of a checkpoint, its beginning up to a separator, or its number.

    Raises:
        DataError: The sets end with different checkpoints, or a set has no such checkpoint or several.
    """
    several = {key: in_order(names) for key, names in checkpoints.items() if len(names) > 1}
    chosen = {key: names[0] for key, names in checkpoints.items() if len(names) == 1}
    if rule == "last":
        lasts = {key: _last(names) for key, names in several.items()}
        if len(set(lasts.values())) > 1:
            found = ", ".join(f"{key} {name}" for key, name in lasts.items())
            raise DataError(
                f"The last checkpoints of {model} differ between the sets ({found}), so they are not one model. Name one "
                f"that all sets have: `--checkpoint-rule fixed --checkpoint NAME`."
            )
        return {**chosen, **lasts}
    for key, names in several.items():
        fitting = [name for name in names if _is_meant(str(fixed), name)]
        if len(fitting) != 1:
            raise DataError(
                f"{model} has {len(fitting) or 'no'} checkpoints {fixed!r} for {key}; it has {', '.join(names)}. Name "
                f"one of them with `--checkpoint`."
            )
        chosen[key] = fitting[0]
    return chosen


def _last(names: Sequence[str]) -> str:
    """The last of ordered checkpoints: the one that is called so, whatever numbers the others have.

    >>> _last(["last", "step100"]), _last(["step_9", "step_10"])
    ('last', 'step_10')
    """
    return next((name for name in reversed(names) if _CALLED_LAST.fullmatch(name)), names[-1])


def _is_meant(wanted: str, name: str) -> bool:
    if name == wanted:
        return True
    first = _NUMBER.search(name)
    if wanted.isdecimal() and first is not None:
        return int(first.group()) == int(wanted)
    return name.startswith(wanted) and not name[len(wanted)].isalnum()


def best_checkpoint(scores: Mapping[str, float | None]) -> str:
    """The checkpoint with the highest score; of equals the earliest."""
    ordered = in_order(list(scores))
    return max(ordered, key=lambda name: -1.0 if (score := scores[name]) is None else score)
