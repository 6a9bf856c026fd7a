"""Encoders and language models that many tests of one file build alike are built once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch

from affect_lightning.model import encoding, part_building


def build_once(monkeypatch: pytest.MonkeyPatch, parts: dict[str, Any]) -> None:
    """Encoders and language models of one choice on one device are taken from `parts`, and put there when they are built."""
    build: Callable[..., Any] = part_building.build_part

    def once(group: str, choice: Any, **more: Any) -> Any:
        if not (group.endswith("_encoders") or group == "language_models"):
            return build(group, choice, **more)
        key = json.dumps([group, choice, str(torch.get_default_device())], sort_keys=True, default=str)
        if key not in parts:
            parts[key] = build(group, choice, **more)
        return parts[key]

    for module in (part_building, encoding):
        monkeypatch.setattr(module, "build_part", once)
