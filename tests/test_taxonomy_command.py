"""`affect-lightning taxonomy`: fetch, show and plot as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from affect_lightning.command_line.program import main
from affect_lightning.metrics import Taxonomy, Wheel
from affect_lightning.metrics.taxonomy_choice import _loaded
from affect_lightning.unibench.report.wheel_figure import rings


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, and no taxonomy in memory."""
    _loaded.cache_clear()
    monkeypatch.setenv("AFFECT_LIGHTNING_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_fetch_from_a_folder(reference: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["taxonomy", "fetch", "--from", str(reference / "emotion_wheel")]) == 0
    assert "The default taxonomy is now official-2025." in capsys.readouterr().out
    words = ["taxonomy", "fetch", "--release", "official-2026", "--from", str(reference / "emotion_wheel"), "--json"]
    assert main(words) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["taxonomy"], record["default"]) == ("official-2026", "official-2025")
    assert record["folder"] == str(cache / "taxonomies" / "official-2026")
    assert main(["taxonomy", "show", "zealously", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["taxonomy"] == "official-2025"


def test_fetch_without_a_connection(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    assert main(["taxonomy", "fetch"]) == 2
    message = capsys.readouterr().err
    assert "Network is unreachable" in message
    assert "affect-lightning taxonomy fetch --release official-2025 --from FOLDER" in message


def test_show_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["taxonomy", "show", "Joyfully"]) == 0
    text = capsys.readouterr().out
    assert "joyfully  (taxonomy builtin" in text
    assert "form of:   joyful" in text
    taxonomy = Taxonomy.builtin()
    for wheel in range(1, 6):
        (line,) = [line for line in text.splitlines() if line.startswith(f"{wheel} ")]
        cells = line.split()
        assert cells[2:] == [taxonomy.sector("joyfully", wheel, 1), taxonomy.sector("joyfully", wheel, 2)]


def test_show_as_json(reference: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(reference / "emotion_wheel")
    assert main(["taxonomy", "show", "joyful", "--taxonomy", folder, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    # By hand, out of the official files: format.csv has joyful as a form of joy and joyful, synonym.xlsx gives these
    # wheel words, and `cheerful` is the first that stands on wheel 3, in the middle sector cheerful of joyful.
    assert record["base_words"] == ["joy", "joyful"]
    assert record["synonyms"] == ["cheerful", "delightful", "happy", "joy", "joyful"]
    assert record["wheels"][2] == {"wheel": 3, "wheel_word": "cheerful", "level1": "joyful", "level2": "cheerful"}
    assert record["sha256"].startswith("553ed6f2cd40")


@pytest.mark.parametrize(
    ("word", "message"),
    [("joyfull", "Nearest: joyfully, joyful"), ("qqqqq", "No known word is spelled like it"), ("", "does not know ''")],
)
def test_an_unknown_word_gives_the_nearest(word: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["taxonomy", "show", word]) == 2
    assert message in capsys.readouterr().err


def test_a_word_that_stands_on_no_wheel(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    wheel = Wheel.from_rows([("good", "fine", "calm")])
    taxonomy = Taxonomy("two words", {"calm": ["calm"], "odd": ["odd"]}, {"calm": ["calm"]}, [wheel])
    monkeypatch.setattr("affect_lightning.metrics.taxonomy_by_name", lambda _: taxonomy)
    assert main(["taxonomy", "show", "odd"]) == 0
    assert "The word is on no wheel. A label with this word is dropped" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["show", "happy", "--taxonomy", "builtim"], "Did you mean 'builtin'?"),
        (["plot", "--out", "wheels.gif"], "must end in .png, .svg, .pdf"),
        (["paint"], "invalid choice: 'paint'"),
        ([], "required"),
    ],
)
def test_mistakes(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["taxonomy", *words]) == 2
    assert message in capsys.readouterr().err


def test_the_rings_hold_every_word_where_it_is_scored() -> None:
    for wheel in Taxonomy.builtin().wheels:
        tree = rings(wheel)
        drawn = [
            (inner, middle, word)
            for inner, middles in tree.items()
            for middle, outer in middles.items()
            for word in outer
        ]
        words = [word for *_, word in drawn]
        assert len(words) == len(set(words))
        middles = {middle for middles in tree.values() for middle in middles}
        assert {*words, *middles, *tree} == set(wheel.inner)
        for inner, middle, word in drawn:
            assert (wheel.sector_of(word, 1), wheel.sector_of(word, 2)) == (inner, middle)
    sad = rings(Taxonomy.builtin().wheels[1])["sad"]
    assert "disappointed" in [word for outer in sad.values() for word in outer]


def test_plot_writes_every_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import matplotlib as mpl

    picture = tmp_path / "new" / "wheels.svg"
    with mpl.rc_context({"svg.fonttype": "none"}):  # letters stay letters
        assert main(["taxonomy", "plot", "--taxonomy", "builtin", "--out", str(picture)]) == 0
    assert str(picture) in capsys.readouterr().out
    text = picture.read_text(encoding="utf-8").replace("&#x27;", "'")
    words = {word for wheel in Taxonomy.builtin().wheels for word in wheel.inner}
    assert not {word for word in words if f">{word}</text>" not in text}
    assert [path.name for path in picture.parent.iterdir()] == ["wheels.svg"]


def test_plot_into_a_file_that_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert main(["taxonomy", "plot", "--taxonomy", "builtin", "--out", str(tmp_path / "file" / "wheels.png")]) == 2
    assert "wheels.png could not be written" in capsys.readouterr().err
