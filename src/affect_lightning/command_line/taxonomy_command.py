"""`affect-lightning taxonomy`: fetch the official emotion wheels, look a word up, draw the wheels.

Paper: section 4 and Appendix K; its Figure 9 shows wheels of the kind that is drawn here. The picture shows what scoring
uses: every word once, in the sector that `affect_lightning.metrics.Wheel` gives it. The rest of the work is done by
`affect_lightning.metrics`; docs/taxonomy.md explains the tables.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affect_lightning.command_line.command_parser import CommandParser
from affect_lightning.command_line.printing import print_json
from affect_lightning.command_line.terminal import format_table
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.storage import write_whole

if TYPE_CHECKING:
    from affect_lightning.metrics import Taxonomy

_NAMES = "official-2025, official-2026, builtin, or a folder (default: official-2025 if it was fetched, else builtin)"
FORMATS = (".png", ".svg", ".pdf")
_DOTS_PER_INCH = 120  # of a .png


def run(arguments: Sequence[str]) -> int:
    """Fetch the authors' emotion wheels, show what becomes of a word, or draw the wheels."""
    parser = CommandParser(prog="affect-lightning taxonomy", description=run.__doc__)
    commands = parser.add_subparsers(dest="command", metavar="fetch|show|plot", required=True)
    fetch = commands.add_parser(
        "fetch", help="download an official release into the user's cache and check its SHA-256"
    )
    fetch.add_argument(
        "--release", choices=["official-2025", "official-2026"], default="official-2025", help="default: official-2025"
    )
    fetch.add_argument("--from", dest="folder", type=Path, help="copy the files from this folder instead of the web")
    fetch.add_argument("--mirror", action="append", default=[], help="web address of a folder to try first; repeatable")
    show = commands.add_parser("show", help="show form, synonyms and sector of a word on each wheel")
    show.add_argument("word", help="emotion word, such as joyful; quote a phrase")
    plot = commands.add_parser("plot", help="draw the wheels")
    plot.add_argument("--out", type=Path, default=Path("wheels.png"), help=".png, .svg or .pdf (default: wheels.png)")
    for command in (show, plot):
        command.add_argument("--taxonomy", help=_NAMES)
    for command in (fetch, show):
        command.add_argument("--json", action="store_true", help="print one JSON object to standard output")
    options = parser.parse_args(arguments)
    return {"fetch": _fetch, "show": _show, "plot": _plot}[options.command](options)


def _fetch(options: argparse.Namespace) -> int:
    from affect_lightning.metrics.taxonomy_choice import (
        RELEASES,
        copy_release,
        default_taxonomy,
        download_release,
        taxonomy_by_name,
    )

    release = RELEASES[options.release]
    if options.folder is not None:
        folder = copy_release(release, options.folder)
    else:
        print(f"Downloading {len(release.sha256)} files of {release.name} ...", file=sys.stderr)
        folder = download_release(release, options.mirror)
    taxonomy, default = taxonomy_by_name(release.name), default_taxonomy().name
    if options.json:
        record = {"taxonomy": taxonomy.name, "sha256": taxonomy.sha256, "folder": str(folder), "default": default}
        print_json(record)
    else:
        print(f"{taxonomy.name}: {len(taxonomy.forms):,} word forms, SHA-256 {taxonomy.sha256[:16]}, in {folder}")
        print(f"The default taxonomy is now {default}.")
    return 0


def _show(options: argparse.Namespace) -> int:
    from affect_lightning.metrics import taxonomy_by_name

    taxonomy = taxonomy_by_name(options.taxonomy)
    word = options.word.strip().lower()
    if word not in taxonomy.forms:
        near = taxonomy.nearest_forms(word)
        hint = f"Nearest: {', '.join(near)}." if near else "No known word is spelled like it."
        raise ConfigurationError(
            f"The taxonomy {taxonomy.name!r} does not know {options.word!r}, so a label with this word is dropped. {hint}"
        )
    record = _described(word, taxonomy)
    print_json(record) if options.json else print(_text(record))
    return 0


def _described(word: str, taxonomy: Taxonomy) -> dict[str, Any]:
    """What the taxonomy makes of a known word."""
    numbers = range(1, len(taxonomy.wheels) + 1)
    return {
        "word": word,
        "taxonomy": taxonomy.name,
        "sha256": taxonomy.sha256,
        "base_words": list(taxonomy.forms[word]),
        "synonyms": list(taxonomy.wheel_words(word)),
        "wheels": [
            {
                "wheel": number,
                "wheel_word": taxonomy.deciding_word(word, number),
                "level1": taxonomy.sector(word, number, level=1),
                "level2": taxonomy.sector(word, number, level=2),
            }
            for number in numbers
        ],
    }


def _text(record: dict[str, Any]) -> str:
    rows = [
        [str(place["wheel"]), *(place[key] or "-" for key in ("wheel_word", "level1", "level2"))]
        for place in record["wheels"]
    ]
    lines = [
        f"{record['word']}  (taxonomy {record['taxonomy']}, SHA-256 {record['sha256'][:16]})",
        f"form of:   {', '.join(record['base_words'])}",
        f"synonyms:  {', '.join(record['synonyms']) or 'none on a wheel'}",
        "",
        format_table(("wheel", "by the word", "level 1 (inner)", "level 2 (middle)"), rows),
    ]
    if all(place["level1"] is None for place in record["wheels"]):
        lines.append(
            "\nThe word is on no wheel. A label with this word is dropped, and a clip with no other label is not scored."
        )
    return "\n".join(lines)


def _plot(options: argparse.Namespace) -> int:
    from affect_lightning.metrics import taxonomy_by_name

    draw_wheels(taxonomy_by_name(options.taxonomy), options.out)
    print(f"Wheels: {options.out}")
    return 0


def draw_wheels(taxonomy: Taxonomy, path: Path) -> None:
    """Draw all wheels of a taxonomy into one file.

    Args:
        taxonomy: Whose wheels.
        path: `.png`, `.svg` or `.pdf`; written whole or not at all.

    Raises:
        ConfigurationError: Another ending.
        DataError: The file cannot be written.
    """
    if path.suffix.lower() not in FORMATS:
        raise ConfigurationError(f"The picture {str(path)!r} must end in {', '.join(FORMATS)}.")
    from matplotlib.figure import Figure

    from affect_lightning.unibench.report.wheel_figure import draw_wheel

    columns = min(3, len(taxonomy.wheels))
    rows = math.ceil((len(taxonomy.wheels) + 1) / columns)
    figure = Figure(figsize=(9.2 * columns, 9.6 * rows), facecolor="white")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for number, (axes, wheel) in enumerate(zip(grid, taxonomy.wheels, strict=False), start=1):
        draw_wheel(axes, wheel, f"Wheel {number}")
    for axes in grid[len(taxonomy.wheels) :]:
        axes.set_axis_off()
    _write_legend(grid[-1], taxonomy)
    figure.subplots_adjust(left=0.005, right=0.995, bottom=0.005, top=0.97, wspace=0.01, hspace=0.05)
    _save(figure, path)


def _write_legend(axes: Any, taxonomy: Taxonomy) -> None:
    from affect_lightning.unibench.report.wheel_figure import INK

    words = {word for wheel in taxonomy.wheels for word in wheel.inner}
    lines = [
        (0.74, f"{len(taxonomy.wheels)} emotion wheels", 32, "bold"),
        (0.67, f"Taxonomy {taxonomy.name}: {len(words):,} words on the wheels,", 16, "normal"),
        (0.62, f"{len(taxonomy.forms):,} word forms that lead to them", 16, "normal"),
        (0.52, "Inner ring: sectors of level 1 (the paper's scores)", 16, "normal"),
        (0.47, "Middle ring: sectors of level 2", 16, "normal"),
        (0.42, "Outer ring: further words, each in one sector", 16, "normal"),
        (0.32, f"SHA-256 {taxonomy.sha256[:32]}", 12, "normal"),
    ]
    for height, text, size, weight in lines:
        axes.text(0.08, height, text, transform=axes.transAxes, fontsize=size, fontweight=weight, color=INK)


def _save(figure: Any, path: Path) -> None:
    try:
        write_whole(path, lambda file: figure.savefig(file, format=path.suffix[1:].lower(), dpi=_DOTS_PER_INCH))
    except OSError as error:
        raise DataError(f"The picture {path} could not be written: {error.strerror or error}.") from error
