"""Scoring of saved outputs: one model on one set, or a suite of models and sets, as rows of a report.

Paper: Tables 2 and 12; a score is over all clips of a set. `suites.py` finds the files,
`checkpoint_rules.py` chooses among checkpoints, `prediction_files.py` and `corpora/truths.py` read the two sides, which
are joined here: some clips have both, some lack a prediction, and some are unknown. `set_scoring.py` scores what comes
out; `affect-lightning score` calls this.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tqdm.auto import tqdm

from affect_lightning.contracts import LabelExtractor
from affect_lightning.corpora import known_sets
from affect_lightning.corpora.annotation_tables import shown
from affect_lightning.corpora.clip_names import listed_twice, same_clips
from affect_lightning.corpora.corpus_file import is_generated
from affect_lightning.corpora.known_sets import unknown_hint
from affect_lightning.corpora.truths import Truth, class_codes, codes_text, find_label_file, read_truths
from affect_lightning.errors import DataError
from affect_lightning.metrics import Taxonomy
from affect_lightning.unibench.report.content import ReportRow
from affect_lightning.unibench.report.examples import Example, choose_examples, make_examples
from affect_lightning.unibench.report.provenance import collect_provenance
from affect_lightning.unibench.scoring.checkpoint_rules import (
    CheckpointRule,
    best_checkpoint,
    check_rule,
    checkpoint_for_all_sets,
    rule_text,
)
from affect_lightning.unibench.scoring.prediction_files import Answer, read_answers
from affect_lightning.unibench.scoring.predictions import Prediction
from affect_lightning.unibench.scoring.scores import SuiteScores
from affect_lightning.unibench.scoring.set_scoring import extractor_text, score_predictions
from affect_lightning.unibench.scoring.suites import SavedModel
from affect_lightning.unibench.scoring.unions import UnitedOutput, told_of_union, united
from affect_lightning.unibench.scoring.unread_words import DEFAULT_LIMITS, ReadingLimits

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pairing:
    """The clips of one set.

    Attributes:
        predictions: One for each clip that has a truth, sorted by name; with `missing` set where the model has none.
        missing: Clips with a truth and no prediction.
        surplus: Clips with a prediction and no truth; they are not scored.
    """

    predictions: tuple[Prediction, ...]
    missing: tuple[str, ...]
    surplus: tuple[str, ...]


def pair(
    dataset: str, truths: Mapping[str, Truth] | None, answers: Mapping[str, Answer], *, allow_missing: bool = False
) -> Pairing:
    """Join the answers of a model with the truths of a set.

    Args:
        dataset: Key of the set.
        truths: By clip name; None to take those that our own prediction files carry.
        answers: By clip name.
        allow_missing: Count a clip without a prediction as wrong, instead of refusing to score.

    Raises:
        DataError: Clips have no prediction and that is not allowed; no name fits; a clip is listed twice in two ways; or
            there is no truth at all.
    """
    if truths is None:
        truths = {name: Truth(answer.truth_labels, answer.truth_sentiment) for name, answer in answers.items()}
        if not any(truth.labels or truth.sentiment is not None for truth in truths.values()):
            raise DataError(
                f"Give the labels of the set with `--labels`: the predictions for {dataset} have no truth "
                f"(only files of `affect-lightning test` have it).{unknown_hint(dataset, known_sets())}"
            )
    for first, second in listed_twice(truths, answers):
        if answers[first] != answers[second]:
            raise DataError(
                f"The predictions for {dataset} list one clip twice, as {first!r} and as {second!r}, with different answers. "
                f"Keep one."
            )
    other = same_clips(
        [name for name in truths if name not in answers], [name for name in answers if name not in truths]
    )
    if other:
        examples = shown([f"{given} for {wanted}" for given, wanted in other.items()])
        _log.warning("%s: %d clips are written in another way and were joined: %s", dataset, len(other), examples)
        answers = {other.get(name, name): answer for name, answer in answers.items()}
    missing = tuple(sorted(truths.keys() - answers.keys()))
    surplus = tuple(sorted(answers.keys() - truths.keys()))
    if len(missing) == len(truths):
        raise DataError(
            f"None of the {len(answers)} predicted clips ({shown(surplus)}) is among the {len(truths)} clips of "
            f"{dataset} ({shown(missing)}). Check that these are predictions of this set, and that both files write "
            "names in the same form."
        )
    if missing and not allow_missing:
        raise DataError(
            f"{len(missing)} of {len(truths)} clips of {dataset} have no prediction: {shown(missing)}. Add them, or count "
            f"them as wrong with `--allow-missing`: a score is over all clips."
        )
    predictions = [_prediction(name, dataset, truths[name], answers.get(name)) for name in sorted(truths)]
    return Pairing(tuple(predictions), missing, surplus)


def _prediction(name: str, dataset: str, truth: Truth, answer: Answer | None) -> Prediction:
    given = answer or Answer()
    return Prediction(
        name=name,
        corpus=dataset,
        question=given.question,
        response=given.response or "",
        truth_labels=truth.labels,
        truth_sentiment=truth.sentiment,
        given_labels=given.labels,
        given_sentiment=given.sentiment,
        missing=answer is None,
        has_response=given.response is not None,
        generated=given.generated,
    )


_EXAMPLES = 12  # clips shown in the report; our choice, as in `callback.py`


@dataclass(frozen=True)
class ScoringOptions:
    """How saved outputs are scored.

    Attributes:
        taxonomy: Maps labels onto the emotion wheels.
        extractor: Asked only for labels and sentiments that were not saved.
        label_roots: Where truths are looked for; empty to take those that our own prediction files carry.
        rule: Which of several checkpoints is scored.
        checkpoint: Its name, for the rule `fixed`.
        columns: Column names by kind; see `read_answers`.
        from_responses: Whether saved labels and sentiments are left alone and extracted again.
        allow_missing: Whether clips without a prediction count as wrong instead of being an error.
        limits: From which share of words that could not be read a warning comes, and the score stops.
    """

    taxonomy: Taxonomy
    extractor: LabelExtractor
    label_roots: tuple[Path, ...] = ()
    rule: CheckpointRule = "last"
    checkpoint: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    from_responses: bool = False
    allow_missing: bool = False
    limits: ReadingLimits = DEFAULT_LIMITS


@dataclass(frozen=True)
class ScoredModel:
    """The row of a model and what is behind it.

    Attributes:
        row: For the report.
        checkpoints: Chosen output by set.
        rule: The checkpoint rule; empty where no set had a choice.
        missing: Clips without a prediction by set.
        surplus: Predicted clips without a truth by set.
        union: What each output brought, by set; empty where one output was scored.
        class_codes: The word that each class code of the truths was read as, by set; empty where they are words.
    """

    row: ReportRow
    checkpoints: Mapping[str, str]
    rule: str
    missing: Mapping[str, Sequence[str]]
    surplus: Mapping[str, Sequence[str]]
    union: Mapping[str, Sequence[UnitedOutput]] = field(default_factory=dict)
    class_codes: Mapping[str, Mapping[int, str]] = field(default_factory=dict)


class SavedOutputScorer:
    """Scores models one by one; the label files are read once."""

    def __init__(self, options: ScoringOptions) -> None:
        """Check the checkpoint rule; nothing is read yet.

        Raises:
            ConfigurationError: The rule is unknown, or does not go with `checkpoint`.
        """
        check_rule(options.rule, options.checkpoint)
        self.options = options
        self.sets = known_sets(*options.label_roots)
        self._label_files: dict[str, Path] = {}
        self._truths: dict[str, dict[str, Truth]] = {}

    def score(self, model: SavedModel) -> ScoredModel:
        """Score one model on its sets.

        Raises:
            DataError: A file is missing, broken or refused, clips do not fit, or no checkpoint fits the rule.
        """
        several = any(len(checkpoints) > 1 for checkpoints in model.outputs.values())
        chosen = self._chosen(model)
        read = {key: self._read(model, key, name) for key, name in chosen.items()}
        pairings = {key: pairing for key, (pairing, _) in read.items()}
        union = {key: outputs for key, (_, outputs) in read.items() if outputs}
        predictions = [prediction for pairing in pairings.values() for prediction in pairing.predictions]
        scores = score_predictions(
            predictions, self.options.extractor, self.options.taxonomy, sets=self.sets, limits=self.options.limits
        )
        told = {key: told_of_union(scores.sets[key], outputs) for key, outputs in union.items()}
        scores = replace(scores, sets={**scores.sets, **told})
        if union:
            scores = replace(scores, extractor=extractor_text(scores.sets.values()))
        rule = self.options.rule if several else ""
        missing = {key: pairing.missing for key, pairing in pairings.items() if pairing.missing}
        surplus = {key: pairing.surplus for key, pairing in pairings.items() if pairing.surplus}
        provenance = collect_provenance(
            scores,
            generated=[key for key in scores.sets if self._is_generated(key, pairings[key])],
            checkpoint=_checkpoint_text(model, chosen),
            checkpoint_rule=rule_text(self.options.rule, self.options.checkpoint)
            if rule
            else "one output, nothing to choose",
        )
        titles = {key: score.title for key, score in scores.sets.items()}
        provenance["quarantined"] = None  # Saved outputs do not tell which clips could not be read.
        provenance["truths"] = {titles[key]: str(self._label_files.get(key, "in the predictions")) for key in titles}
        provenance["missing predictions"] = {titles[key]: list(names) for key, names in missing.items()}
        provenance["surplus predictions"] = {titles[key]: list(names) for key, names in surplus.items()}
        codes = {key: class_codes(self._truths.get(key, {}).values()) for key in titles}
        provenance["class codes"] = {titles[key]: codes_text(read) for key, read in codes.items() if read}
        if union:
            provenance["union"] = {titles[key]: [one.to_json() for one in outputs] for key, outputs in union.items()}
        row = ReportRow(
            name=model.name,
            scores=scores,
            provenance=provenance,
            examples=tuple(_examples(predictions, scores)),
        )
        return ScoredModel(
            row, chosen, rule, missing, surplus, union, {key: read for key, read in codes.items() if read}
        )

    def _chosen(self, model: SavedModel) -> dict[str, str]:
        """The checkpoint of each set."""
        names = {key: list(found) for key, found in model.outputs.items()}
        if self.options.rule != "paper_best_on_test":
            return checkpoint_for_all_sets(model.name, names, self.options.rule, self.options.checkpoint)
        steps = [(key, name) for key, found in names.items() if len(found) > 1 for name in found]
        scores: dict[str, dict[str, float | None]] = {}
        for key, name in tqdm(steps, desc=f"checkpoints of {model.name}", unit="file", disable=not steps, leave=False):
            predictions = self._read(model, key, name)[0].predictions
            options = self.options
            result = score_predictions(
                predictions, options.extractor, options.taxonomy, intervals=False, sets=self.sets, limits=options.limits
            )
            scores.setdefault(key, {})[name] = result.sets[key].score
        return {key: best_checkpoint(scores[key]) if key in scores else found[0] for key, found in names.items()}

    def _read(self, model: SavedModel, key: str, checkpoint: str) -> tuple[Pairing, tuple[UnitedOutput, ...]]:
        """The clips of a set, and what each output brought to them where several are united."""
        first = self._paired(model.outputs[key][checkpoint], key)
        others = model.union.get(key, {})
        if not others:
            return first, ()
        name = f"first {checkpoint}" if checkpoint in others else checkpoint
        pairings = {name: first, **{other: self._paired(paths, key) for other, paths in others.items()}}
        groups = {name: pairing.predictions for name, pairing in pairings.items()}
        predictions, outputs = united(key, groups, self.options.extractor)
        surplus = sorted({name for pairing in pairings.values() for name in pairing.surplus})
        missing = tuple(clip.name for clip in predictions if clip.missing)
        return Pairing(predictions, missing, tuple(surplus)), outputs

    def _paired(self, paths: Sequence[Path], key: str) -> Pairing:
        options = self.options
        truths = self._truths_of(key)
        answers = read_answers(
            paths, key, columns=options.columns, from_responses=options.from_responses, truths=truths
        )
        return pair(key, truths, answers, allow_missing=options.allow_missing)

    def _is_generated(self, key: str, pairing: Pairing) -> bool:
        labels = self._label_files.get(key)
        declared = labels is not None and is_generated(labels, key)
        return declared or any(prediction.generated for prediction in pairing.predictions)

    def _truths_of(self, key: str) -> dict[str, Truth] | None:
        if not self.options.label_roots:
            return None
        if key not in self._truths:
            self._label_files[key] = find_label_file(self.options.label_roots, key, self.sets)
            self._truths[key] = read_truths(self._label_files[key], key, self.sets.get(key), self.options.columns)
        return self._truths[key]


def _checkpoint_text(model: SavedModel, chosen: Mapping[str, str]) -> str:
    """The chosen outputs: one name where it is the same for all sets."""
    if len(chosen) == 1:
        ((key, name),) = chosen.items()
        outputs = (model.outputs[key][name], *model.union.get(key, {}).values())
        texts = [", ".join(path.name for path in paths) for paths in outputs]
        return f"saved output {' united with '.join(texts)}"
    if len(set(chosen.values())) == 1:
        return f"saved outputs {next(iter(chosen.values()))}"
    return "saved outputs " + ", ".join(f"{key}: {name}" for key, name in chosen.items())


def _examples(predictions: Sequence[Prediction], scores: SuiteScores) -> list[Example]:
    """A few clips with their responses; outputs of labels alone have nothing to show."""
    first: dict[str, list[Prediction]] = {}
    for prediction in predictions:  # sorted by name within a set
        if prediction.response and len(first.setdefault(prediction.corpus, [])) < _EXAMPLES:
            first[prediction.corpus].append(prediction)
    told = [prediction for few in first.values() for prediction in few]
    shown = {(prediction.corpus, prediction.name): ("", ()) for prediction in told}
    return choose_examples(make_examples(told, scores, shown), _EXAMPLES)
