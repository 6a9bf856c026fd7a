"""A trained crowd, and its folder: weights as safetensors, everything else as JSON. Nothing in it can run code.

    FOLDER/crowd.json             classes, inputs, members with their scores, training sets, options
           members.safetensors    weights of all members, MEMBER/PARAMETER

Paper: Section 2. The same folder serves every part of a large table and every later clip, so all clips have one crowd; its
identity goes into the record of the stage.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from affect_lightning.annotation.trained_crowd.attention_fusion import AttentionFusion
from affect_lightning.annotation.trained_crowd.clip_features import FeatureInput
from affect_lightning.annotation.trained_crowd.crowd_scores import CrowdScore
from affect_lightning.annotation.trained_crowd.member_plans import MemberPlan
from affect_lightning.annotation.trained_crowd.training import Member
from affect_lightning.annotation.trained_crowd.validation import TaskScore
from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.storage import whole_path, write_whole

FORMAT, FORMAT_VERSION = "affect-lightning crowd", 1
DESCRIPTION, WEIGHTS = "crowd.json", "members.safetensors"


@dataclass(frozen=True)
class TrainedCrowd:
    """Members and what they were made from.

    Attributes:
        over: What their emotions are: a wheel or class names; `sentiment` for none.
        classes: Names of the emotion classes, in the order of the networks' outputs.
        inputs: Features that they read, by label.
        members: The most trusted first.
        sets: What they were trained on.
        scores: Cross-validated, of the crowd, by task.
        options: Of the training, for the record.
        taxonomy: Whose wheels; empty for class names.
    """

    over: str
    classes: tuple[str, ...]
    inputs: Mapping[str, FeatureInput]
    members: tuple[Member, ...]
    sets: tuple[str, ...]
    scores: Mapping[str, CrowdScore]
    options: Mapping[str, Any] = field(default_factory=dict)
    taxonomy: str = ""

    @property
    def tasks(self) -> tuple[str, ...]:
        """What the members have learnt."""
        return tuple(dict.fromkeys(task for member in self.members for task in member.scores))

    def weights(self) -> bytes:
        """The weights of all members as safetensors."""
        return save({
            f"{member.plan.name}/{name}": value.contiguous()
            for member in self.members
            for name, value in member.network.state_dict().items()
        })  # fmt: skip

    def description(self) -> dict[str, Any]:
        """Everything but the weights, as plain values."""
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "over": self.over,
            "taxonomy": self.taxonomy,
            "classes": list(self.classes),
            "inputs": [asdict(item) for item in self.inputs.values()],
            "sets": list(self.sets),
            "options": dict(self.options),
            "members": [
                {
                    **asdict(member.plan),
                    "clips": member.clips,
                    "hidden": member.network.hidden,
                    "scores": {task: asdict(score) for task, score in member.scores.items()},
                }
                for member in self.members
            ],
            "scores": {
                task: {"score": asdict(found.score), "by_share": [list(row) for row in found.by_share]}
                for task, found in self.scores.items()
            },
        }

    def identity(self) -> str:
        """A hash of weights, features and training sets."""
        return _identity(self.weights(), self.description())


def _identity(weights: bytes, description: Mapping[str, Any]) -> str:
    text = json.dumps(description, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode() + weights).hexdigest()[:16]


def write_crowd(folder: Path, crowd: TrainedCrowd) -> None:
    """Write a crowd, whole or not at all, and never over another.

    Raises:
        ConfigurationError: The folder is there.
        DataError: The system refuses.
    """
    if folder.exists():
        raise ConfigurationError(
            f"Choose another folder after --save, or read this one with --crowd: {folder} is there, and no crowd is overwritten."
        )
    weights = crowd.weights()
    content = {**crowd.description(), "identity": crowd.identity()}
    try:
        with whole_path(folder) as place:
            place.mkdir(exist_ok=True)
            write_whole(place / WEIGHTS, weights)
            write_whole(place / DESCRIPTION, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise DataError(
            f"The crowd cannot be written to {folder}: {error.strerror or error}. Free space or name another folder."
        ) from error


def taken_or_written(
    folder: Path, wanted: TrainedCrowd, plans: Sequence[MemberPlan], train: Callable[[], TrainedCrowd]
) -> TrainedCrowd:
    """A crowd that was trained and saved in exactly this way, else a new one, which is saved.

    Args:
        folder: Of the crowd.
        wanted: What it is made from, without members and scores.
        plans: Of the members.
        train: Trains them.

    Raises:
        ConfigurationError: Another crowd is there.
        DataError: The folder cannot be read or written.
    """
    if (folder / DESCRIPTION).is_file():
        found = read_crowd(folder)
        if replace(found, members=(), scores={}) == wanted and [member.plan for member in found.members] == list(plans):
            return found
        raise ConfigurationError(
            f"Choose another folder after --save, or vote with the crowd of {folder} with --crowd: it was trained on other sets "
            f"or features, or with other options, and no crowd is overwritten."
        )
    crowd = train()
    write_crowd(folder, crowd)
    return crowd


def read_crowd(folder: Path) -> TrainedCrowd:
    """Read a crowd that `write_crowd` wrote.

    Raises:
        DataError: A file is missing, damaged, or was changed.
    """
    try:
        content = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        weights = (folder / WEIGHTS).read_bytes()
        if (content["format"], content["format_version"]) != (FORMAT, FORMAT_VERSION):
            raise DataError(
                f"{folder} has a crowd of the format {content['format']!r} version {content['format_version']!r}; expected "
                f"{FORMAT!r} version {FORMAT_VERSION}. Train it again with --save."
            )
        identity = content.pop("identity")
        if identity != _identity(weights, content):
            raise DataError(f"Copy {folder} again, or train it again with --save: its files have changed since then.")
        return _crowd(content, load(weights))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError, SafetensorError) as error:
        raise DataError(
            f"{folder} is no folder of a saved crowd, or is damaged ({type(error).__name__}: {error}). Train it again with "
            f"--save."
        ) from error


def _crowd(content: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> TrainedCrowd:
    inputs = {item["label"]: FeatureInput(**item) for item in content["inputs"]}
    classes = tuple(content["classes"])
    members = tuple(_member(item, inputs, len(classes), weights) for item in content["members"])
    scores = {
        task: CrowdScore(TaskScore(**found["score"]), [tuple(row) for row in found["by_share"]])
        for task, found in content["scores"].items()
    }
    return TrainedCrowd(
        content["over"],
        classes,
        inputs,
        members,
        tuple(content["sets"]),
        scores,
        content["options"],
        content["taxonomy"],
    )


def _member(
    item: Mapping[str, Any], inputs: Mapping[str, FeatureInput], classes: int, weights: Mapping[str, torch.Tensor]
) -> Member:
    plan = MemberPlan(item["name"], tuple(item["inputs"]), item["seed"])
    widths = {inputs[label].stream: inputs[label].width for label in plan.inputs}
    network = AttentionFusion(widths, classes, item["hidden"], 0.0)
    prefix = f"{plan.name}/"
    network.load_state_dict(
        {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    )
    scores = {task: TaskScore(**score) for task, score in item["scores"].items()}
    return Member(plan, network.eval(), scores, item["clips"])


def check_inputs(crowd: TrainedCrowd, there: Mapping[str, FeatureInput]) -> None:
    """Refuse caches whose features are not those that the crowd was trained on.

    Raises:
        DataError: One is missing, or was made in another way.
    """
    for label, wanted in crowd.inputs.items():
        found = there.get(label)
        if found is None:
            raise DataError(
                f"Cache the clips with the encoders of the crowd, and name the cache with --features: the crowd reads {label}; "
                f"there is {', '.join(there) or 'nothing'}."
            )
        if found != wanted:
            raise DataError(
                f"Cache the clips in the way in which the crowd's training clips were cached: the features {label} were made in "
                f"another way (hash {found.digest}, expected {wanted.digest})."
            )


def told_scores(crowd: TrainedCrowd) -> list[dict[str, Any]]:
    """The members with their scores, for a report."""
    return [
        {
            "name": member.plan.name,
            "clips": member.clips,
            **{task: asdict(score) for task, score in member.scores.items()},
        }
        for member in crowd.members
    ]
