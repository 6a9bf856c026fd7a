"""The wheel and a distribution from outside: both must work where the repository is not."""

from __future__ import annotations

import email
import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from source_imports import ROOT, packaging


def checked(*words: str | Path, **options: object) -> str:
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=False, **options, encoding="utf-8"
    )  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return str(done.stdout)


def plugin_names(listing: str, distribution: str) -> set[tuple[str, str]]:
    rows = json.loads(listing)["plugins"]
    return {(row["group"], row["name"]) for row in rows if row["distribution"] == distribution}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of what git has or would take."""
    repository, folder = ROOT, tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    names = checked("git", "-C", repository, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    for name in filter(None, names):
        if (repository / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((repository / name).read_bytes())
    checked(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder / "dist", source)
    (built,) = (folder / "dist").glob("*.whl")
    return built


@pytest.mark.slow
def test_wheel_lists_the_same_plugins_and_runs_the_demo(repository: Path, tmp_path: Path, wheel: Path) -> None:
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    home = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
    checked(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", home, wheel)
    # The dependencies are those of the running environment; the package itself comes from the wheel alone.
    (home / "dependencies.pth").write_text(
        "\n".join(path for path in sys.path if path.endswith("site-packages")), encoding="utf-8"
    )

    place = checked(python, "-c", "import affect_lightning; print(affect_lightning.__file__)", cwd=tmp_path)
    assert place.startswith(str(environment))
    here = plugin_names(checked(sys.executable, "-m", "affect_lightning", "plugins", "--json"), "affect-lightning")
    there = plugin_names(
        checked(python, "-m", "affect_lightning", "plugins", "--json", cwd=tmp_path), "affect-lightning"
    )
    assert there == here
    assert len(there) > 10

    experiments = json.loads(checked(python, "-m", "affect_lightning", "experiments", "--json", cwd=tmp_path))[
        "experiments"
    ]
    assert {row["name"] for row in experiments} == {path.stem for path in (repository / "experiments").glob("*.yaml")}
    assert all(row["path"].startswith(str(environment)) for row in experiments)
    words = ("fit", "--config", "affectgpt", "--config", "table5_qformer", "--print_config")
    assert "num_queries: 32" in checked(python, "-m", "affect_lightning", *words, cwd=tmp_path)

    # The demo's whole way in a folder that holds nothing, with tiny parts.
    (tmp_path / "empty").mkdir()
    told = checked(
        *(python, "-m", "affect_lightning", "demo", "--config", repository / "tests" / "tiny.yaml"),
        *("--clips", "6", "--test-clips", "1", "--steps", "2", "--json"),
        cwd=tmp_path / "empty",
    )
    result = json.loads(told.splitlines()[-1])
    assert [row["name"] for row in result["rows"]] == ["sandbox/untrained-seed0", "sandbox/trained-seed0"]
    assert Path(result["report"]).is_file()
    assert list((tmp_path / "empty" / "demo").rglob("last.ckpt"))


@pytest.mark.slow
def test_the_metadata_are_those_of_setup_cfg_and_the_readme(repository: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        found = email.message_from_bytes(archive.read(name))
    assert found["Description-Content-Type"] == "text/markdown"
    assert str(found.get_payload()).strip() == (repository / "README.md").read_text(encoding="utf-8").strip()
    declared = packaging()["options"]["install_requires"].split()
    required = [line.split(";")[0].strip() for line in found.get_all("Requires-Dist") or () if "extra ==" not in line]
    assert sorted(required) == sorted(declared)


@pytest.mark.slow
def test_third_party_fusion_trains_by_name(repository: Path, tmp_path: Path, corpus: Path) -> None:
    source = tmp_path / "source"
    for path in (repository / "tests" / "third_party_fusion").rglob("*"):
        if path.is_file() and path.suffix in (".py", ".toml"):
            target = source / path.relative_to(repository / "tests" / "third_party_fusion")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    installed = tmp_path / "installed"
    checked(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"),
        *("--target", installed, source),
    )
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    listing = checked(sys.executable, "-m", "affect_lightning", "plugins", "--json", env=environment)
    assert plugin_names(listing, "third-party-fusion") == {("pre_fusions", "gated-sum")}
    explained = checked(
        sys.executable, "-m", "affect_lightning", "fit", "--model.pre_fusion.help", "gated-sum", env=environment
    )
    assert "gate_bias" in explained
    checked(
        *(sys.executable, "-m", "affect_lightning", "fit", "--config", repository / "tests" / "tiny.yaml"),
        *("--model.pre_fusion", "gated-sum", "--model.pre_fusion.gate_bias", "0.5", "--trainer.max_steps", "2"),
        *("--data.train_root", corpus, "--trainer.logger.init_args.save_dir", tmp_path / "runs"),
        cwd=tmp_path,
        env=environment,
    )
    saved = next((tmp_path / "runs").rglob("config.yaml")).read_text(encoding="utf-8")
    assert "gated-sum" in saved
    assert "gate_bias: 0.5" in saved
