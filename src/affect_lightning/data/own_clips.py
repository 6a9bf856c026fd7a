"""The user's own clips, as options name them for `predict`.

Neighbour: `module.py` holds the options.
"""

from __future__ import annotations

from pathlib import Path

from affect_lightning.contracts import ClipRecord
from affect_lightning.errors import ConfigurationError

OWN_CORPUS = "own"  # `ClipRecord.corpus` of these clips


def own_clips(
    video: str | list[str] | None, audio: str | list[str] | None, subtitle: str | list[str] | None
) -> list[ClipRecord]:
    """Records of the user's own clips.

    Args:
        video: `data.predict_video`.
        audio: `data.predict_audio`.
        subtitle: `data.predict_subtitle`.

    Raises:
        ConfigurationError: The lists differ in length.
    """
    videos, sounds, subtitles = _listed(video), _listed(audio), _listed(subtitle)
    count = max(len(videos), len(sounds))
    for option, values in (
        ("predict_video", videos),
        ("predict_audio", sounds),
        ("predict_subtitle", subtitles),
    ):
        if values and len(values) != count:
            raise ConfigurationError(f"{option} has {len(values)} entries for {count} clips; give one a clip, or none.")
    return [
        ClipRecord(
            name=Path((videos or sounds)[index]).stem,
            corpus=OWN_CORPUS,
            video=Path(videos[index]).expanduser() if videos else None,
            audio=Path(sounds[index]).expanduser() if sounds else None,
            subtitle_english=subtitles[index] if subtitles else "",
            subtitle_chinese=subtitles[index] if subtitles else "",
        )
        for index in range(count)
    ]


def _listed(value: str | list[str] | None) -> list[str]:
    if value is None:
        return []
    return [str(value)] if isinstance(value, (str, Path)) else [str(item) for item in value]
