"""The card of a model on a hub: what it is, its scores with taxonomy and extractor, what it may and may not be used for.

Paper: its impact statement. A score without taxonomy and extractor says nothing (docs/reports.md), so the card has both.
`exchange.py` sends it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import yaml

from affect_lightning.unibench.report.columns import score_table
from affect_lightning.unibench.report.content import Report
from affect_lightning.unibench.report.provenance import banner_of, notes_of, provenance_lines
from affect_lightning.unibench.report.renderers import markdown_text, render_markdown

_INTENDED = (
    "Research on how people express emotion in short clips: benchmarks, ablations, annotation that people check."
)
_MISUSE = (
    "Do not use it to judge a person: not in hiring, at work, in schools, in policing, at borders, in insurance, and not as a "
    "diagnosis. Expression is not feeling, it differs between cultures and people, and the model was not tested for fairness. "
    "The European Union's AI Act forbids inferring emotions of people at work and in education (Article 5)."
)


@dataclass(frozen=True)
class CardFacts:
    """What a card says that no file knows.

    Attributes:
        licence: Identifier of the hub, such as `cc-by-nc-4.0`.
        data: Training data and their licences, in words.
        intended: What the model is for; a usual text by default.
        misuse: What it must not be used for; a usual text by default.
    """

    licence: str
    data: str
    intended: str = _INTENDED
    misuse: str = _MISUSE


def model_card(
    repository: str,
    configuration: Mapping[str, Any],
    options: Mapping[str, Mapping[str, Any]],
    facts: CardFacts,
    report: Report | None,
) -> str:
    """The card as Markdown with the hub's YAML on top.

    Args:
        repository: `user/name` on the hub.
        configuration: Of the exported folder.
        options: Of the exported folder: how clips are read, asked and scored.
        facts: From the user.
        report: Of a test of this model; None if there is none.
    """
    head = {
        "license": facts.licence,
        "library_name": "affect-lightning",
        "pipeline_tag": "video-text-to-text",
        "tags": ["emotion-recognition", "multimodal", "affectgpt"],
        "base_model": base_models(configuration),
    }
    head = {key: value for key, value in head.items() if value}
    parts = [
        f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---",
        f"# {markdown_text(repository)}",
        "A model of AffectGPT's architecture (Lian et al., ICML 2025, arXiv 2501.16566), made with affect-lightning. It hears "
        "and sees a person in a short clip and says in free words what they feel.",
        "## Use",
        f"```python\nfrom affect_lightning import AffectGPT\n\nmodel = AffectGPT.from_pretrained({repository!r})\n```",
        f"or `affect-lightning pull {repository} MODEL`, then `affect-lightning predict --ckpt_path MODEL`. The folder holds "
        "trained weights only. The parts below come from their own sources.",
        "## Scores",
        _scores(report),
        "## Parts and reading",
        _table([*_parts(configuration), *_options(options)]),
        "## Training data",
        markdown_text(facts.data),
        "## Intended use",
        markdown_text(facts.intended),
        "## Misuse",
        markdown_text(facts.misuse),
        "",
    ]
    return "\n\n".join(parts)


def base_models(configuration: Mapping[str, Any]) -> list[str]:
    """Hub names of the parts that name one as `model`; paths are left out."""
    names = [choice.get("model") for choice in configuration.values() if isinstance(choice, Mapping)]
    return [str(name) for name in names if isinstance(name, str) and not is_local(name) and name.count("/") == 1]


def is_local(value: str) -> bool:
    r"""Whether a text is a path of this machine, which nobody else can use and nobody else should read.

    >>> is_local("/home/me/qwen"), is_local("Qwen/Qwen2.5-7B-Instruct"), is_local("..\\\\models\\\\a"), is_local("~/qwen")
    (True, False, True, True)
    """
    windows = len(value) > 2 and value[1] == ":" and value[2] in "\\/"
    return PurePath(value).is_absolute() or windows or value.startswith(("./", "../", ".\\", "..\\", "~", "file:"))


def _scores(report: Report | None) -> str:
    if report is None:
        return "Not told."
    lines = [line for line in (banner_of(report),) if line]
    notes = [markdown_text(note) for note in notes_of(report)]
    known = [line for row in report.rows for line in provenance_lines(row.provenance)]
    wanted = ("taxonomy", "label extractor", "checkpoint rule", "device and number type", "clips", "packages")
    return "\n\n".join(
        [*lines, render_markdown(score_table(report)), *notes, _table([line for line in known if line[0] in wanted])]
    )


def _parts(configuration: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name, _shown(value)) for name, value in configuration.items() if value not in (None, "", [], {})]


def _options(options: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    return [
        (f"{section}.{name}", _shown(value))
        for section, values in options.items()
        for name, value in values.items()
        if value not in (None, "", [], {})
    ]


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_shown(one)}" for name, one in value.items())
    return str(value)


def _table(rows: list[tuple[str, str]]) -> str:
    lines = [f"| {markdown_text(name)} | {markdown_text(value)} |" for name, value in rows]
    return "\n".join(["| what | value |", "| --- | --- |", *lines])
