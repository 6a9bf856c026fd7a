"""Set names as people write them, in every option and table; what is near to a name that nobody has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from affect_lightning.command_line.program import main
from affect_lightning.corpora import MER_UNIBENCH, TRAINING_SETS, find_benchmark_set
from affect_lightning.corpora.known_sets import canonical_key, keys_of, near_hint
from affect_lightning.corpora.own_clips import read_own_table
from affect_lightning.data.clip_sources import ClipSources
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.unibench.scoring.suites import find_models

WRITTEN = {
    "mer2023": ["MER2023", "mer-2023", "MER-MULTI", "MER 2023", "mer2023-dataset-process"],
    "mer2024": ["MER2024", "MER-SEMI", "mer_semi"],
    "meld": ["MELD", "Meld"],
    "iemocap": ["IEMOCAP", "IEMOCAPFour"],
    "cmumosi": ["cmu-mosi", "CMU-MOSI", "CMUMOSI", "MOSI", "CMU_MOSI"],
    "cmumosei": ["cmu-mosei", "CMU-MOSEI", "MOSEI"],
    "sims": ["SIMS", "ch-sims", "CH-SIMS"],
    "simsv2": ["ch-sims-v2", "CH-SIMS v2", "SIMSv2", "sims_v2"],
    "ovmerdplus": ["OV-MERD+", "ovmerd+", "OVMERDPlus", "ov-merd-plus"],
}


@pytest.mark.parametrize(("key", "names"), WRITTEN.items())
def test_the_names_of_a_set(key: str, names: list[str]) -> None:
    for name in [key, *names]:
        assert find_benchmark_set(name) is MER_UNIBENCH.sets[key], name
        assert keys_of(name, {**TRAINING_SETS, **MER_UNIBENCH.sets}) == [key], name


def test_the_names_of_training_sets() -> None:
    for name in ("MER-Caption+", "MERCaptionPlus", "mer_caption_plus"):
        assert canonical_key(name, TRAINING_SETS) == "mer-caption-plus"
    assert canonical_key("OV-MERD", {**TRAINING_SETS, **MER_UNIBENCH.sets}) == "ovmerd"


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("MER", "'mer2023' or 'mer2024'"),
        ("CMU", "'cmumosi' or 'cmumosei'"),
        ("ch-sims-v3", "'sims' or 'simsv2'"),
        ("MELDD", "'meld'"),
        ("MER2023-SEMI", "'mer2023' or 'mer2024'"),
        ("?!", None),
        ("blub", None),
    ],
)
def test_near_names_are_named(name: str, near: str | None) -> None:
    assert near_hint(name, MER_UNIBENCH.sets) == ("" if near is None else f" Did you mean {near}?")
    with pytest.raises(DataError) as raised:
        find_benchmark_set(name)
    expected = f"There is no benchmark set {name!r}.{near_hint(name, MER_UNIBENCH.sets)} The sets are mer2023, "
    assert str(raised.value).startswith(expected)


def test_a_name_for_several_sets_is_refused(tmp_path: Path) -> None:
    for folder in ("me-ld", "wide.one"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "benchmark_set.yaml").write_text("metric: f_s", encoding="utf-8")
    assert find_benchmark_set("meld", tmp_path) is MER_UNIBENCH.sets["meld"], "an exact key is clear"
    assert find_benchmark_set("me-ld", tmp_path).key == "me-ld"
    assert find_benchmark_set("Wide One", tmp_path).key == "wide.one"
    with pytest.raises(DataError, match=r"The name 'MELD' can mean the sets meld and me-ld\. Give one of these keys"):
        find_benchmark_set("MELD", tmp_path)


def test_options_of_the_data(tmp_path: Path) -> None:
    sources = ClipSources(
        train_sets=("MER-Caption+", "CH-SIMS", "OV-MERD", "mine.csv"),
        test_sets=("CMU-MOSI", "OV-MERD+", "mine.csv"),
        expected_counts={"MER-SEMI": 3},
    )
    assert sources.train_sets == ("mer-caption-plus", "sims", "ovmerd", "mine.csv")
    assert sources.test_sets == ("cmumosi", "ovmerdplus", "mine.csv")
    assert sources.expected_counts == {"mer2024": 3}
    weights = sources.weights_by_corpus({"MERCaptionPlus": 2, "ch-sims": 3, "mine.csv": 4})
    assert weights == {"mer-caption-plus": 2.0, "sims": 3.0, "ovmerd": 1.0, "mine": 4.0}
    with pytest.raises(ConfigurationError, match=r"train_sets must name at least one set, each once"):
        ClipSources(train_sets=("sims", "CH-SIMS"))
    with pytest.raises(DataError, match=r"no benchmark set 'MER'\. Did you mean 'mer2023' or 'mer2024'\?"):
        ClipSources(test_sets=("MER",))
    (tmp_path / "CMU-MOSI.csv").write_text("name,text,sentiment\na,,1\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"CMU-MOSI.csv has the name of the official set cmumosi"):
        read_own_table(tmp_path / "CMU-MOSI.csv")


def score(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[dict[str, object], str]:
    capsys.readouterr()
    assert main(["score", *map(str, words), "--taxonomy", "builtin", "--json"]) == 0
    captured = capsys.readouterr()
    return json.loads(captured.out), captured.err


def test_score_and_its_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    labels = tmp_path / "suite" / "labels" / "mer2024-dataset-process" / "reference-semi.csv"
    labels.parent.mkdir(parents=True)
    labels.write_text("name,discrete\na,happy\nb,sad\n", encoding="utf-8")
    model = tmp_path / "suite" / "predictions" / "one"
    model.mkdir(parents=True)
    rows = 'corpus,name,labels\nMER-SEMI,a,happy\nmer2024,b,sad\nMELD,a,"angry, sad"\n'
    (model / "MER-SEMI.csv").write_text(rows, encoding="utf-8")
    alone, said = score(
        capsys, "--dataset", "MER-SEMI", "--labels", "suite/labels", "--predictions", model / "MER-SEMI.csv"
    )
    assert (alone["dataset"], alone["score"], alone["clips"], said.count("own")) == ("mer2024", 100.0, 2, 0)
    by_folder, _ = score(capsys, "--dataset", "mer2024", "--labels", "suite/labels", "--predictions", model)
    assert by_folder == alone
    suite, _ = score(capsys, "--suite", "suite", "--out", "out")
    assert list(suite["rows"][0]["sets"]) == ["mer2024"]  # type: ignore[index]
    assert "MER2024" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    (model / "mer2024.csv").write_text(rows, encoding="utf-8")
    with pytest.raises(DataError, match=r"has two files or folders for the set mer2024\. Keep one"):
        find_models(tmp_path / "suite")
    (tmp_path / "own.csv").write_text("name,openset\na,happy\n", encoding="utf-8")
    own, said = score(capsys, "--dataset", "MER", "--labels", "own.csv", "--predictions", "own.csv")
    assert own["dataset"] == "MER"
    assert (
        "MER is not a set of MER-UniBench; it is scored as a set of your own. Did you mean 'mer2023' or 'mer2024'?"
        in said
    )
