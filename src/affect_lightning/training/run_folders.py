"""Where `--ckpt_path last` is: in the run's folder, or in the newest run of the experiment (ours).

    runs/<experiment>/<version>/checkpoints/last.ckpt
    runs/<experiment>/<version>/checkpoints/slurm_job     the SLURM job that last trained there

Pure look-ups in folders, used by the command line before a Trainer exists. Neighbour: `resume_checkpoint.py` writes.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from affect_lightning.storage import write_whole

LAST = "last.ckpt"
FOLDER = "checkpoints"
_JOB = "slurm_job"


def checkpoint_folders(experiment: Path, version: str | int | None = None) -> list[Path]:
    """Folders with the checkpoints of an experiment's runs.

    Args:
        experiment: Folder of the runs.
        version: Of one run; None means all.
    """
    if version is None:
        return sorted(experiment.glob(f"*/{FOLDER}"))
    return [experiment / (version if isinstance(version, str) else f"version_{version}") / FOLDER]


def last_checkpoint(folders: Iterable[Path], job: str | None = None) -> Path | None:
    """The checkpoint that was saved last; None if there is none.

    Args:
        folders: With checkpoints; need not exist.
        job: Look only where this SLURM job has trained.
    """
    found = [folder / LAST for folder in folders if job is None or job_of(folder) == job]
    whole = [path for path in found if path.exists()]
    return max(whole, key=lambda path: path.stat().st_mtime, default=None)


def note_job(folder: Path, job: str) -> None:
    """Remember that a SLURM job trains here."""
    write_whole(folder / _JOB, job)


def job_of(folder: Path) -> str | None:
    """The SLURM job that last trained here."""
    try:
        return (folder / _JOB).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
