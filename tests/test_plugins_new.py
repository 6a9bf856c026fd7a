"""`affect-lightning plugins new`: a package of every kind is written, built, installed, checked, trained and used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from affect_lightning.command_line.program import main
from affect_lightning.plugin_loading import GROUPS
from affect_lightning.plugin_templates import KINDS
from affect_lightning.testing import tiny_language_model

PROGRAM = (sys.executable, "-m", "affect_lightning")


def checked(*words: str | Path, environment: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    done = subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=cwd,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def test_there_is_a_template_for_every_kind_of_part() -> None:
    assert sorted(kind.group for kind in KINDS.values()) == sorted(GROUPS)


@pytest.mark.parametrize("kind", list(KINDS))
def test_what_is_written(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "new", kind, f"own-{kind}", "--out", str(tmp_path / "deep" / "er")]) == 0
    folder = tmp_path / "deep" / "er" / f"own-{kind}"
    module = f"own-{kind}".replace("-", "_")
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert written == {"pyproject.toml", "README.md", f"src/{module}.py", "tests/test_contract.py"}
    for path in folder.rglob("*.*"):
        if path.is_file():
            assert "$" not in path.read_text(encoding="utf-8"), f"{path.name} has something left to put in"
    compile((folder / "src" / f"{module}.py").read_text(encoding="utf-8"), module, "exec")
    said = capsys.readouterr().out
    assert str(folder) in said
    assert f"affect-lightning plugins check own-{kind}" in said


def test_the_packages_are_in_the_house_style(tmp_path: Path) -> None:
    """The style and type checkers of this repository find nothing in any of them."""
    pytest.importorskip("ruff")
    for kind in KINDS:
        assert main(["plugins", "new", kind, f"own-{kind}", "--out", str(tmp_path)]) == 0
    select = "E,F,I,B,UP,C4,SIM,RUF,D"
    checked(
        *(sys.executable, "-m", "ruff", "check", "--isolated", "--line-length", "120", "--select", select),
        *("--ignore", "D102,D105,D107,D203,D213,D401,D413,D100,D103", tmp_path),
    )
    checked(sys.executable, "-m", "ruff", "format", "--isolated", "--check", "--diff", "--line-length", "120", tmp_path)


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own-fusion").mkdir()
    assert main(["plugins", "new", "fusion", "own-fusion", "--out", str(tmp_path)]) == 2
    assert "own-fusion exists already. Choose another name" in capsys.readouterr().err
    assert list((tmp_path / "own-fusion").iterdir()) == []
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    assert main(["plugins", "new", "fusion", "own-fusion", "--out", str(tmp_path / "file")]) == 2
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("word", ["pre_fusions", "pre-fusion", "fusion", "fusions"])
def test_a_kind_may_be_called_by_its_plugin_group(word: str, tmp_path: Path) -> None:
    assert main(["plugins", "new", word, "own-fusion", "--out", str(tmp_path)]) == 0
    assert "affect_lightning.pre_fusions" in (tmp_path / "own-fusion" / "pyproject.toml").read_text(encoding="utf-8")


def test_a_group_may_be_called_by_its_part(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "--group", "branch-compression"]) == 0
    assert "qformer" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("fusion", "My_Fusion", "lower-case letters, digits and single hyphens"),
        ("fusion", "9lives", "lower-case letters"),
        ("fusion", "import", "must not be a keyword of Python"),
        ("fusion", "torch", "is taken. Choose another name: a distribution or a module 'torch' is already installed"),
        ("fusion", "qformer", "pre-fusion 'qformer' is offered by affect-lightning"),
        ("video-encoder", "timm", "video encoder 'timm' is offered by affect-lightning"),
        ("mouse", "own-fusion", "invalid choice: 'mouse'"),
    ],
)
def test_names_that_would_not_work(
    kind: str, name: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plugins", "new", kind, name, "--out", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_writing_loads_neither_torch_nor_a_plugin(tmp_path: Path) -> None:
    program = (
        "import sys; from affect_lightning.command_line.program import main; "
        f"code = main(['plugins', 'new', 'fusion', 'own-fusion', '--out', {str(tmp_path)!r}]); "
        "print([name for name in ('torch', 'numpy', 'lightning', 'affect_lightning_plugins') if name in sys.modules], code)"
    )
    assert checked(sys.executable, "-c", program).splitlines()[-1] == "[] 0"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A package of every kind as `plugins new` writes it, built as a wheel and installed; the environment that sees them."""
    folder = tmp_path_factory.mktemp("packages")
    for kind in KINDS:
        assert main(["plugins", "new", kind, f"own-{kind}", "--out", str(folder / "source")]) == 0
    sources = [folder / "source" / f"own-{kind}" for kind in KINDS]
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    checked(*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder / "wheels", *sources)
    wheels = sorted((folder / "wheels").glob("*.whl"))
    assert len(wheels) == len(KINDS)
    checked(*pip, "install", "--quiet", "--no-deps", "--no-index", "--target", folder / "site", *wheels)
    paths = [str(folder / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return folder, {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
def test_the_wheels_hold_the_part_and_its_entry_point(installed: tuple[Path, dict[str, str]]) -> None:
    folder, environment = installed
    for kind in KINDS.values():
        module = f"own-{kind.name}".replace("-", "_")
        (wheel,) = (folder / "wheels").glob(f"{module}-*.whl")
        names = zipfile.ZipFile(wheel).namelist()
        assert f"{module}.py" in names
        assert not [name for name in names if "test" in name]
    rows = json.loads(checked(*PROGRAM, "plugins", "--json", environment=environment))["plugins"]
    listed = {(row["group"], row["name"]) for row in rows if row["distribution"].startswith("own-")}
    offered = {(kind.group, f"own-{kind.name}") for kind in KINDS.values()}
    assert listed == {*offered, ("series_encoders", "own-stream")}
    assert all(row["summary"] for row in rows if row["distribution"].startswith("own-"))


@pytest.mark.slow
def test_their_own_tests_pass(installed: tuple[Path, dict[str, str]]) -> None:
    """All of them in one run of pytest, as their authors would run each: `python -m pytest`."""
    folder, environment = installed
    tests = [folder / "source" / f"own-{kind}" / "tests" for kind in KINDS]
    said = checked(
        *(sys.executable, "-m", "pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider", *tests),
        environment=environment,
        cwd=folder,
    )
    assert " passed" in said
    assert "failed" not in said
    assert "skipped" not in said


@pytest.mark.slow
def test_they_train_answer_and_score(
    installed: tuple[Path, dict[str, str]], repository: Path, corpus: Path, tmp_path: Path
) -> None:
    """One training with all five parts of a training, one test with the label extractor; then the cue describer."""
    environment = installed[1]
    model = tiny_language_model(tmp_path / "model")
    words = [
        *("--config", str(repository / "tests" / "tiny.yaml")),
        *("--model.video_encoder", "own-video-encoder", "--model.audio_encoder", "own-audio-encoder"),
        *("--model.pre_fusion", "own-fusion", "--model.pre_fusion.width", "24"),
        *("--model.language_model", "own-language-model", "--model.language_model.model", model),
        *("--data.face_detector", "own-face-detector", "--benchmark.label_extractor", "own-label-extractor"),
        *("--data.train_root", str(corpus), "--data.benchmark_root", str(corpus)),
        *("--trainer.logger.init_args.save_dir", str(tmp_path / "runs")),
    ]
    checked(*PROGRAM, "fit", *words, "--trainer.max_steps", "2", environment=environment, cwd=tmp_path)
    (checkpoint,) = (tmp_path / "runs").rglob("last.ckpt")
    checked(*PROGRAM, "test", *words, "--ckpt_path", checkpoint, environment=environment, cwd=tmp_path)
    (report,) = (tmp_path / "runs").rglob("report.json")
    assert "own-label-extractor longest=8" in report.read_text(encoding="utf-8")
    program = """
        import json
        from affect_lightning.plugin_loading import build_part
        from affect_lightning.testing.pipeline_part_checks import clip_batch
        part = build_part("cue_describers", {"name": "own-cue-describer", "loud_decibels": -60})
        print(json.dumps(part.describe(clip_batch())))
    """
    texts = checked(sys.executable, "-c", "\n".join(map(str.strip, program.splitlines())), environment=environment)
    assert json.loads(texts) == ["The voice is loud."] * 3
