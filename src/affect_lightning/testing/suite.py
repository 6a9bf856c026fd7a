"""The list of checks for each kind of part, how they are run, and the suite as a pytest class.

`contract_tests` and `affect-lightning plugins check` both go through `run_check`. pytest is only needed when a test of
`contract_tests` runs. `*_checks.py` define the checks, `subject.py` says what a check is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from affect_lightning.contracts.label_checks import ConformanceError
from affect_lightning.plugin_loading import PluginChoice
from affect_lightning.plugin_loading.listing import find_group
from affect_lightning.testing import (
    describer_checks,
    network_part_checks,
    pipeline_part_checks,
    reward_checks,
    shared_checks,
    speaker_checks,
    training_checks,
)
from affect_lightning.testing.subject import COMPILE_BACKEND, Check, CheckNotPossibleError, CheckResult, Subject


def _check(name: str, run: Callable[[Subject], str | None]) -> Check:
    """The promise is the first paragraph of the check's docstring."""
    promise = " ".join((run.__doc__ or "").split("\n\n")[0].split())
    return Check(name, promise.rstrip("."), run)


_FORM = (_check("contract-form", shared_checks.contract_form),)
_OPTIONS = (
    _check("options-round-trip", shared_checks.options_round_trip),
    _check("help-text", shared_checks.help_text),
)
_PADDING = _check("mask-invariance", shared_checks.mask_invariance)
_BATCH = _check("batch-invariance", shared_checks.batch_invariance)
_FROZEN = _check("frozen", shared_checks.stays_frozen)
_GRADIENTS = _check("gradient-flow", shared_checks.gradient_flow)
_NETWORK = (
    _check("number-types", shared_checks.number_types),
    _check("save-and-reload", shared_checks.save_and_reload),
    *_OPTIONS,
    _check("torch-compile", shared_checks.compiles),
    _check("two-step-fit", training_checks.fits_two_steps),
    _check("fsdp", shared_checks.shards),
)
_IDENTITY = _check("identity", pipeline_part_checks.identity)


def _encoder_checks(shapes: Callable[[Subject], str | None]) -> tuple[Check, ...]:
    return (*_FORM, _check("shapes", shapes), _PADDING, _BATCH, _FROZEN, *_NETWORK)


CHECKS: dict[str, tuple[Check, ...]] = {
    "video_encoders": _encoder_checks(network_part_checks.video_shapes),
    "audio_encoders": _encoder_checks(network_part_checks.audio_shapes),
    "series_encoders": _encoder_checks(network_part_checks.series_shapes),
    "streams": (
        *_FORM,
        _check("files", pipeline_part_checks.stream_files),
        _IDENTITY,
        *_OPTIONS,
    ),
    "pre_fusions": (
        *_FORM,
        _check("shapes", network_part_checks.fusion_shapes),
        _PADDING,
        _check("masked-gradient", network_part_checks.masked_gradient),
        _BATCH,
        _GRADIENTS,
        *_NETWORK,
    ),
    "branch_compressions": (
        *_FORM,
        _check("shapes", network_part_checks.branch_shapes),
        _PADDING,
        _check("masked-gradient", network_part_checks.masked_gradient),
        _BATCH,
        _GRADIENTS,
        *_NETWORK,
    ),
    "language_models": (
        *_FORM,
        _check("shapes", network_part_checks.language_shapes),
        _check("chat-template", network_part_checks.chat_template),
        _PADDING,
        _check("batch-invariance", network_part_checks.loss_over_clips),
        _check("causality", network_part_checks.causality),
        _check("generation", network_part_checks.generation),
        _GRADIENTS,
        _check("adapter-files", network_part_checks.adapter_files),
        *_NETWORK,
    ),
    "objectives": (
        *_FORM,
        _check("terms", training_checks.objective_terms),
        _check("items", training_checks.objective_items),
        *_OPTIONS,
        _check("two-step-fit", training_checks.fits_two_steps),
    ),
    "rewards": (
        *_FORM,
        _check("shapes", reward_checks.reward_numbers),
        _check("batch-invariance", reward_checks.reward_batches),
        _IDENTITY,
        *_OPTIONS,
    ),
    "face_detectors": (
        *_FORM,
        _check("shapes", pipeline_part_checks.face_shapes),
        _check("batch-invariance", pipeline_part_checks.face_batches),
        _check("pickling", pipeline_part_checks.pickles),
        _IDENTITY,
        *_OPTIONS,
    ),
    "label_extractors": (
        *_FORM,
        _check("shapes", pipeline_part_checks.label_shapes),
        _check("batch-invariance", pipeline_part_checks.label_batches),
        _IDENTITY,
        *_OPTIONS,
    ),
    "cue_describers": (
        *_FORM,
        _check("shapes", describer_checks.cue_shapes),
        _check("announced-streams", describer_checks.cue_streams),
        _check("mask-invariance", describer_checks.cue_padding),
        _check("batch-invariance", describer_checks.cue_batches),
        _IDENTITY,
        *_OPTIONS,
    ),
    "clue_mergers": (
        *_FORM,
        _check("shapes", describer_checks.merged_shapes),
        _check("batch-invariance", describer_checks.merged_batches),
        _IDENTITY,
        *_OPTIONS,
    ),
    "transcribers": (
        *_FORM,
        _check("shapes", describer_checks.transcript_shapes),
        _check("mask-invariance", describer_checks.transcript_padding),
        _check("batch-invariance", describer_checks.transcript_batches),
        _IDENTITY,
        *_OPTIONS,
    ),
    "speaker_detectors": (
        *_FORM,
        _check("shapes", speaker_checks.speaker_shapes),
        _check("batch-invariance", speaker_checks.speaker_batches),
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


def contract_tests(
    group: str,
    choice: PluginChoice | Callable[[], PluginChoice],
    *,
    stream_widths: Mapping[str, int] | None = None,
    compile_backend: str = COMPILE_BACKEND,
) -> type:
    """A class with one test method for each check of the plugin's kind; assign it to a name that starts with `Test`.

    Args:
        group: Short name of the plugin's group, such as `pre_fusions`.
        choice: Name, or mapping with name and options, as in YAML; or a function that gives one, called when the first
            test runs. Small options make the tests quick.
        stream_widths: For pre-fusions: the streams to build it for; an audio and a face stream by default.
        compile_backend: For torch.compile; `inductor` where there is a C++ compiler.

    Raises:
        PluginError: There is no such group.

    >>> TestAttention = contract_tests("pre_fusions", "attention")
    >>> hasattr(TestAttention, "test_mask_invariance")
    True
    """

    @cache
    def subject() -> Subject:
        chosen = choice() if callable(choice) else choice
        return Subject(group, chosen, stream_widths=stream_widths, compile_backend=compile_backend)

    methods = {f"test_{check.name.replace('-', '_')}": _test_method(check, subject) for check in checks_of(group)}
    return type("ContractTests", (), {"__doc__": f"The contract suite for {group}.", **methods})


def _test_method(check: Check, subject: Callable[[], Subject]) -> Callable[[Any], None]:
    def test(self: Any) -> None:
        import pytest

        result = run_check(check, subject())
        if result.outcome == "skipped":
            pytest.skip(result.received)
        if result.outcome == "failed":
            raise AssertionError(str(result)) from result.error

    test.__doc__ = check.promise
    return test
