"""`affect-lightning annotate length` and `agree`: which descriptions stay, on planted and on real faults."""

from __future__ import annotations

import csv
import random
import re
import statistics
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from affect_lightning.annotation.agreement import AgreementOptions, AgreeStage, emotions_agree
from affect_lightning.annotation.lengths import LengthOptions, LengthStage, fit_lengths, length_of
from affect_lightning.annotation.tables import ClipTable, read_clip_table
from affect_lightning.command_line.program import main
from affect_lightning.corpora import known_sets
from affect_lightning.corpora.truths import read_truths
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.metrics import Taxonomy, taxonomy_by_name
from affect_lightning_plugins.label_extractors.rules import RulesLabelExtractor
from test_annotation_crowd import annotate_json

DRAWS = 20
SWAPPED = 0.1  # of the descriptions
NOTHING_SHARED = AgreementOptions(rule="E")


# --- length ---


def written(path: Path, texts: list[str], column: str = "description") -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["name", column])
        rows.writerows([f"clip{number:04d}", text] for number, text in enumerate(texts))
    return path


def planted_lengths() -> tuple[list[int], set[int]]:
    """Lengths of 300 descriptions, 5% of them very short or very long; and which."""
    draw = random.Random(1)
    lengths = [round(draw.gauss(100, 15)) for _ in range(300)]
    planted = set(draw.sample(range(300), 15))
    for number in planted:
        lengths[number] = draw.choice([4, 400]) + draw.randint(0, 5)
    return lengths, planted


@pytest.mark.parametrize("cut", ["quantile", "gaussian"])
def test_planted_lengths_are_all_found(tmp_path: Path, capsys: pytest.CaptureFixture[str], cut: str) -> None:
    lengths, planted = planted_lengths()
    table = written(tmp_path / "texts.csv", [" ".join(["word"] * length) for length in lengths])
    out, figure = tmp_path / "out.parquet", tmp_path / "lengths.svg"
    words = ("--cut", cut, "--low", 0.05, "--high", 0.05, "--out", out, "--figure", figure)
    found = annotate_json(capsys, "length", table, *words)
    done = read_clip_table(out)
    assert done.column("length") == lengths
    dropped = {number for number, stays in enumerate(done.column("kept.length")) if not stays}
    assert planted <= dropped
    assert len(dropped) <= 0.1 * len(lengths) + 1
    assert found["kept"] == len(lengths) - len(dropped)
    assert found["too_short"] + found["too_long"] == len(dropped)
    assert "descriptions" in figure.read_text(encoding="utf-8")
    assert [record.stage for record in done.records] == ["clips", "length"]
    assert done.records[1].options["cut"] == cut


def test_figures_of_the_fit_against_scipy() -> None:
    draw = random.Random(2)
    lengths = [round(draw.lognormvariate(4.6, 0.3)) for _ in range(500)]
    fit = fit_lengths(lengths, LengthOptions(cut="gaussian", deviations=2.0))
    assert fit.skew == pytest.approx(stats.skew(lengths))
    assert fit.excess == pytest.approx(stats.kurtosis(lengths))
    assert fit.mean == pytest.approx(statistics.fmean(lengths))
    assert fit.deviation == pytest.approx(statistics.stdev(lengths))
    assert (fit.shortest, fit.longest) == (fit.mean - 2 * fit.deviation, fit.mean + 2 * fit.deviation)
    theirs = stats.kstest([n + draw.uniform(-0.5, 0.5) for n in lengths], "norm", args=(fit.mean, fit.deviation))
    assert fit.distance == pytest.approx(theirs.statistic, abs=0.02)
    assert fit.is_skewed


def test_a_gaussian_on_skewed_lengths_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw = random.Random(3)
    skewed = [" ".join(["a"] * (5 + round(draw.expovariate(0.05)))) for _ in range(200)]
    table = written(tmp_path / "texts.csv", skewed)
    assert annotate_json(capsys, "length", table)["warning"] == ""
    assert annotate_json(capsys, "length", table, "--cut", "gaussian")["warning"].startswith("Use --cut quantile")
    assert main(["annotate", "length", str(table), "--cut", "gaussian"]) == 0
    printed = capsys.readouterr().out
    assert "Use --cut quantile" in printed
    assert re.search(r"skew, excess kurtosis +\d", printed)


@pytest.mark.parametrize(
    ("text", "unit", "language", "length"),
    [
        ("She isn't well-known.", "words", "auto", 3),
        ("她很高兴。", "words", "auto", 4),
        ("她很高兴。", "words", "spaced", 1),
        ("她很 happy!", "words", "unspaced", 8),
        ("她很 happy!", "words", "auto", 3),
        ("한국어 문장 하나", "words", "auto", 3),
        (" two  tokens! ", "tokens", "auto", 2),
        (" a b ", "characters", "auto", 2),
        ("", "words", "auto", 0),
    ],
)
def test_units_and_languages(text: str, unit: Any, language: Any, length: int) -> None:
    assert length_of(text, unit, language) == length


def test_real_filtered_texts_are_skewed(reference: Path) -> None:
    """The texts of one source of the pairs: 108.3 words with a skew of 0.80, so a Gaussian is warned of."""
    with (reference / "emoprefer" / "preferences.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    texts = [row["a1"] if row["model1"] == "mercaptionplus" else row["a2"] for row in rows]
    fit = fit_lengths([length_of(text, "tokens") for text in texts], LengthOptions())
    assert (fit.mean, fit.deviation) == (pytest.approx(108.3, abs=0.1), pytest.approx(17.4, abs=0.1))
    assert fit.skew == pytest.approx(0.80, abs=0.01)
    assert fit.is_skewed


def test_clips_that_an_earlier_filter_dropped_do_not_shape_the_cuts() -> None:
    texts = ["a " * 10, "a " * 11, "a " * 12, "a " * 900]
    columns = {"name": ["a", "b", "c", "d"], "description": texts, "kept.speaker": [True, True, None, False]}
    stage = LengthStage(LengthOptions(low=0, high=0))
    done = stage.run(ClipTable.of_columns(columns))
    assert stage.fit is not None
    assert (stage.fit.clips, stage.fit.longest) == (3, 12.0)
    assert done.column("kept.length") == [True, True, True, False]
    assert done.kept() == [True, True, True, False]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unit": "pages"}, "Choose unit from words, characters, tokens; got 'pages'"),
        ({"low": 0.6, "high": 0.5}, "Give parts from 0 to 1"),
        ({"deviations": 0.0}, "positive number of standard deviations"),
    ],
)
def test_wrong_length_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        LengthOptions(**options)


def test_tables_that_cannot_be_measured_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = written(tmp_path / "texts.csv", ["one text"])
    assert main(["annotate", "length", str(table)]) == 2
    assert "two descriptions or more" in capsys.readouterr().err
    assert main(["annotate", "length", str(table), "--column", "reason"]) == 2
    assert "with --column: there is none called 'reason'. The table has name, description." in capsys.readouterr().err
    (tmp_path / "broken.parquet").write_text("no table", encoding="utf-8")
    assert main(["annotate", "length", str(tmp_path / "broken.parquet")]) == 2
    assert "is not a valid parquet file" in capsys.readouterr().err
    (tmp_path / "nameless.csv").write_text("clip,description\na,b\n", encoding="utf-8")
    assert main(["annotate", "length", str(tmp_path / "nameless.csv")]) == 2
    assert "needs a column `name`" in capsys.readouterr().err


# --- agree ---


def test_words_agree_on_shared_sectors_or_as_the_same_word() -> None:
    taxonomy = taxonomy_by_name("builtin")
    described = [["joyful"], ["joyful"], ["neutral"], ["joyful"], [], ["xyzzy"]]
    crowd = [["cheerful"], ["furious"], ["neutral"], ["neutral"], ["sad"], ["sad"]]
    assert emotions_agree(described, crowd, taxonomy, NOTHING_SHARED) == [True, False, True, None, False, False]
    every = AgreementOptions(rule="E", needed=len(taxonomy.wheels))
    assert emotions_agree([["cheerful"]], [["cheerful"]], taxonomy, every) == [True]


def test_more_wheels_ask_for_more(repository: Path) -> None:
    """A pair that shares a sector on some wheels only agrees as long as no more of them are asked for."""
    taxonomy = taxonomy_by_name("builtin")
    first, second = ["anxious"], ["scared"]
    shared = [
        number
        for number in range(1, len(taxonomy.wheels) + 1)
        if taxonomy.sectors(first, number) & taxonomy.sectors(second, number)
    ]
    assert len(shared) > 0
    for needed in range(1, len(taxonomy.wheels) + 1):
        (agrees,) = emotions_agree([first], [second], taxonomy, AgreementOptions(rule="E", needed=needed))
        assert agrees is (len(shared) >= needed)
    only = AgreementOptions(rule="E", wheels=(shared[0],))
    assert emotions_agree([first], [second], taxonomy, only) == [True]


def test_the_command_joins_the_crowd_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = tmp_path / "texts.csv"
    texts.write_text(
        "name,description\na,She is happy and smiles.\nb,He is angry and shouts.\nc,She is sad.\nd,He is happy.\n",
        "utf-8",
    )
    crowd = tmp_path / "crowd.csv"
    crowd.write_text(
        "name,crowd_emotion,crowd_sentiment\nd,joyful,negative\nb,happy,positive\na,\"['joyful', 'calm']\",positive\n",
        "utf-8",
    )
    expected = {"E": [True, False, True, True], "S": [True, False, True, False], "E+S": [True, False, True, False]}
    for rule, kept in expected.items():
        out = tmp_path / f"{rule}.parquet"
        words = ("agree", texts, "--crowd", crowd, "--rule", rule, "--taxonomy", "builtin", "--out", out)
        found = annotate_json(capsys, *words)
        table = read_clip_table(out)
        assert table.column("kept.agree") == kept
        assert found["kept"] == sum(kept)
        assert found["label extractor"].startswith("rules")
        assert "happy" in table.column("labels")[0]
    assert found["emotion"] == {"agree": 2, "disagree": 1, "undecided": 1}
    emotions, moods = tmp_path / "emotions.csv", tmp_path / "moods.csv"
    emotions.write_text("name,crowd_emotion\nd,joyful\nb,happy\na,joyful\n", "utf-8")
    moods.write_text("name,crowd_sentiment\nd,negative\nb,positive\na,positive\n", "utf-8")
    parted = annotate_json(
        capsys, "agree", texts, "--crowd", emotions, "--crowd", moods, "--rule", "E+S", "--taxonomy", "builtin"
    )
    assert {key: parted[key] for key in ("kept", "emotion", "sentiment")} == {
        key: found[key] for key in ("kept", "emotion", "sentiment")
    }
    strict = annotate_json(capsys, *words[:-2], "--drop-undecided")
    assert strict["kept"] == 1, "of c the crowd says nothing"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rule", "X"], "Choose the rule from E, S, E+S"),
        (["--needed", "0"], "Ask for agreement on 1 wheel or more"),
        (["--wheels", "1", "--needed", "2"], "got 2, and 1 wheels are asked"),
        (["--wheels", "9", "--rule", "E"], "got wheels 9, 1 of which must agree"),
        (["--emotion", "votes"], "there is none called 'votes'"),
        (["--crowd", "other.csv"], "no clip in common"),
    ],
)
def test_wrong_agreement_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text(
        "name,description,crowd_emotion,crowd_sentiment\na,She is happy.,happy,positive\n", "utf-8"
    )
    Path("other.csv").write_text("name,more\nz,1\n", "utf-8")
    assert main(["annotate", "agree", "t.csv", "--taxonomy", "builtin", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_column_that_is_nowhere_is_named_with_its_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("name,description\nx,She is sad.\n", "utf-8")
    Path("c.csv").write_text("name,mood\nx,sad\n", "utf-8")
    cases = {
        (
            "length",
            "t.csv",
            "--column",
            "nope",
        ): "Name the column with --column: there is none called 'nope'. The table has name, description.",
        (
            "agree",
            "t.csv",
            "--column",
            "nope",
        ): "Name the column with --column: there is none called 'nope'. The table has",
        ("agree", "t.csv", "--crowd", "c.csv", "--rule", "E"): "Name the column with --emotion: there is none called "
        "'crowd_emotion'. The table has name, description; --crowd c.csv has name, mood. `annotate crowd --over sentiment` "
        "makes crowd_sentiment, over wheels or classes it makes crowd_emotion",
        ("agree", "t.csv", "--rule", "S"): "Name the column with --sentiment: there is none called 'crowd_sentiment'.",
    }
    for words, message in cases.items():
        assert main(["annotate", *words]) == 2
        assert message in capsys.readouterr().err, words
    found = annotate_json(capsys, "agree", "t.csv", "--crowd", "c.csv", "--rule", "E", "--emotion", "mood")
    assert found["kept"] == 1


def test_a_crowd_of_numbers_is_refused() -> None:
    table = ClipTable.of_columns({"name": ["a"], "description": ["happy"], "crowd_emotion": [3]})
    with pytest.raises(DataError, match="must be a word or a list of words; the clip a has 3"):
        AgreeStage(NOTHING_SHARED, RulesLabelExtractor(), taxonomy_by_name("builtin")).run(table)


# --- agree, on real descriptions ---


class Described:
    """The real descriptions with what people said of the same clips, and swaps of them."""

    def __init__(self, reference: Path) -> None:
        with (reference / "emer" / "descriptions.csv").open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        truths = read_truths(reference / "ovmerd" / "check-openset.csv", "ovmerd", known_sets().get("ovmerd"), {})
        extractor = RulesLabelExtractor()
        self.taxonomy: Taxonomy = taxonomy_by_name(str(reference / "emotion_wheel"))
        self.names = [row["name"] for row in rows]
        self.texts = [row["english"] for row in rows]
        self.emotions = [list(truths[name].labels) for name in self.names]
        self.sentiments = extractor.sentiment(self.emotions)
        self.extractor = extractor

    def flagged(self, options: AgreementOptions, sources: list[int]) -> list[bool]:
        """Which clips the stage drops where clip n has the description of clip `sources[n]`."""
        columns = {
            "name": self.names,
            "description": [self.texts[source] for source in sources],
            "crowd_emotion": self.emotions,
            "crowd_sentiment": self.sentiments,
        }
        done = AgreeStage(options, self.extractor, self.taxonomy).run(ClipTable.of_columns(columns))
        return [not kept for kept in done.column("kept.agree")]

    def swaps(self, seed: int, *, contradicting: bool) -> list[int]:
        """A tenth of the clips with the description of another clip, if asked one whose truth shares no sector with theirs."""
        draw = random.Random(seed)
        sources = list(range(len(self.names)))
        for clip in draw.sample(sources, round(SWAPPED * len(sources))):
            others = [other for other in range(len(self.names)) if other != clip]
            if contradicting:
                others = [other for other in others if self.contradicts(clip, other)]
            sources[clip] = draw.choice(others)
        return sources

    def contradicts(self, clip: int, other: int) -> bool:
        """Whether the truths of two clips share a sector on no wheel."""
        (agrees,) = emotions_agree([self.emotions[other]], [self.emotions[clip]], self.taxonomy, NOTHING_SHARED)
        return agrees is False

    def quality(self, options: AgreementOptions, *, contradicting: bool) -> tuple[float, float]:
        """Precision and recall of the dropped clips over all draws: those whose swapped description contradicts the truth."""
        right = dropped = planted = 0
        for seed in range(DRAWS):
            sources = self.swaps(seed, contradicting=contradicting)
            wrong = [source != clip and self.contradicts(clip, source) for clip, source in enumerate(sources)]
            flags = self.flagged(options, sources)
            right += sum(flag and is_wrong for flag, is_wrong in zip(flags, wrong, strict=True))
            dropped += sum(flags)
            planted += sum(wrong)
        return right / dropped, right / planted


@lru_cache(maxsize=1)
def read_described(reference: Path) -> Described:
    return Described(reference)


@pytest.fixture
def described(reference: Path) -> Described:
    return read_described(reference)


def test_swapped_descriptions_that_contradict_the_truth_are_found(described: Described) -> None:
    precision, recall = described.quality(NOTHING_SHARED, contradicting=True)
    assert precision >= 0.67
    assert recall >= 0.69


def table_of_the_page(repository: Path) -> dict[str, list[float]]:
    """Numbers of the rows that begin with a rule."""
    page = (repository / "docs" / "annotation.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (E|S|E\+S) \| ([\d.| ]+) \|$", page, re.MULTILINE)
    return {rule: [float(cell) for cell in cells.split("|")] for rule, cells in rows}


@pytest.mark.parametrize("rule", ["E", "S", "E+S"])
def test_the_documented_table_of_rules_is_computed(described: Described, repository: Path, rule: Any) -> None:
    """Untouched descriptions that are dropped, then precision and recall for contradicting and for any swaps."""
    options = AgreementOptions(rule=rule)
    lost = described.flagged(options, list(range(len(described.names))))
    found = [100 * sum(lost) / len(lost)]
    for contradicting in (True, False):
        found += [100 * value for value in described.quality(options, contradicting=contradicting)]
    assert table_of_the_page(repository)[rule] == pytest.approx(found, abs=0.05), found


@pytest.mark.parametrize(("needed", "documented"), [(2, (78.5, 80.6)), (3, (72.9, 87.9))])
def test_more_wheels_drop_more(described: Described, needed: int, documented: tuple[float, float]) -> None:
    found = described.quality(AgreementOptions(rule="E", needed=needed), contradicting=True)
    assert tuple(100 * value for value in found) == pytest.approx(documented, abs=0.05)
