"""The list of checks for each kind of part, and how they are run.

`contract_tests` (pytest) and `affect-lightning plugins check` both go through `run_check`. Neighbours: `*_checks.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from affect_lightning.contracts.conformance import ConformanceError
from affect_lightning.plugin_loading.listing import find_group
from affect_lightning.testing import (
    encoder_checks,
    fusion_checks,
    language_model_checks,
    module_checks,
    objective_checks,
    option_checks,
    sharding_checks,
    training_checks,
    worker_checks,
)
from affect_lightning.testing.outcomes import Check, CheckNotPossibleError, CheckResult
from affect_lightning.testing.subject import Subject


def _check(name: str, run: Callable[[Subject], str | None]) -> Check:
    """The promise is the first paragraph of the check's docstring."""
    promise = " ".join((run.__doc__ or "").split("\n\n")[0].split())
    return Check(name, promise.rstrip("."), run)


_FORM = (_check("contract-form", option_checks.contract_form),)
_OPTIONS = (
    _check("options-round-trip", option_checks.options_round_trip),
    _check("help-text", option_checks.help_text),
)
_PADDING = _check("mask-invariance", module_checks.mask_invariance)
_BATCH = _check("batch-invariance", module_checks.batch_invariance)
_FROZEN = _check("frozen", module_checks.stays_frozen)
_GRADIENTS = _check("gradient-flow", module_checks.gradient_flow)
_NETWORK = (
    _check("number-types", module_checks.number_types),
    _check("save-and-reload", module_checks.save_and_reload),
    *_OPTIONS,
    _check("torch-compile", module_checks.compiles),
    _check("two-step-fit", training_checks.fits_two_steps),
    _check("fsdp", sharding_checks.shards),
)
_IDENTITY = _check("identity", worker_checks.identity)

CHECKS: dict[str, tuple[Check, ...]] = {
    "video_encoders": (
        *_FORM,
        _check("shapes", encoder_checks.video_shapes),
        _PADDING,
        _BATCH,
        _FROZEN,
        *_NETWORK,
    ),
    "audio_encoders": (
        *_FORM,
        _check("shapes", encoder_checks.audio_shapes),
        _PADDING,
        _BATCH,
        _FROZEN,
        *_NETWORK,
    ),
    "series_encoders": (
        *_FORM,
        _check("shapes", encoder_checks.series_shapes),
        _PADDING,
        _BATCH,
        _FROZEN,
        *_NETWORK,
    ),
    "streams": (
        *_FORM,
        _check("files", worker_checks.stream_files),
        _IDENTITY,
        *_OPTIONS,
    ),
    "pre_fusions": (
        *_FORM,
        _check("shapes", fusion_checks.fusion_shapes),
        _PADDING,
        _check("masked-gradient", fusion_checks.masked_gradient),
        _BATCH,
        _GRADIENTS,
        *_NETWORK,
    ),
    "language_models": (
        *_FORM,
        _check("shapes", language_model_checks.language_shapes),
        _check("chat-template", language_model_checks.chat_template),
        _PADDING,
        _check("batch-invariance", language_model_checks.loss_over_clips),
        _check("causality", language_model_checks.causality),
        _check("generation", language_model_checks.generation),
        _GRADIENTS,
        _check("adapter-files", language_model_checks.adapter_files),
        *_NETWORK,
    ),
    "objectives": (
        *_FORM,
        _check("terms", objective_checks.objective_terms),
        _check("items", objective_checks.objective_items),
        *_OPTIONS,
        _check("two-step-fit", training_checks.fits_two_steps),
    ),
    "face_detectors": (
        *_FORM,
        _check("shapes", worker_checks.face_shapes),
        _check("batch-invariance", worker_checks.face_batches),
        _check("pickling", worker_checks.pickles),
        _IDENTITY,
        *_OPTIONS,
    ),
    "label_extractors": (
        *_FORM,
        _check("shapes", worker_checks.label_shapes),
        _check("batch-invariance", worker_checks.label_batches),
        _IDENTITY,
        *_OPTIONS,
    ),
    "cue_describers": (
        *_FORM,
        _check("shapes", worker_checks.cue_shapes),
        _check("mask-invariance", worker_checks.cue_padding),
        _check("batch-invariance", worker_checks.cue_batches),
        _IDENTITY,
        *_OPTIONS,
    ),
}


def checks_of(group: str) -> tuple[Check, ...]:
    """The checks for parts of a group, in order.

    Raises:
        PluginError: There is no such group.
    """
    return CHECKS[find_group(group).name]


def run_check(check: Check, subject: Subject) -> CheckResult:
    """Run one check; whatever a part raises is a result, not an error of the suite."""
    started = time.perf_counter()

    def result(outcome: str, expected: str, received: str, error: Exception | None = None) -> CheckResult:
        seconds = time.perf_counter() - started
        return CheckResult(check.name, outcome, expected, received, seconds, error)  # type: ignore[arg-type]

    try:
        remark = check.run(subject)
    except CheckNotPossibleError as reason:
        return result("skipped", check.promise, str(reason))
    except ConformanceError as error:
        return result("failed", error.expected, error.received, error)
    except Exception as error:  # code of others may raise anything
        return result("failed", check.promise, f"{type(error).__name__}: {' '.join(str(error).split())[:400]}", error)
    return result("passed", check.promise, remark or "")


def check_plugin(subject: Subject) -> Iterator[CheckResult]:
    """Run all checks for the plugin's kind, one after the other.

    When a part cannot even be built, the other checks say nothing and are skipped.
    """
    broken = False
    for check in checks_of(subject.group):
        if broken:
            yield CheckResult(check.name, "skipped", check.promise, "the part cannot be built")
            continue
        result = run_check(check, subject)
        broken = check.name == _FORM[0].name and result.outcome == "failed"
        yield result
