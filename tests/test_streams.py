"""A stream of an outside package, from its file to the loss: table, reading, batches, encoding, cache and refusals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from affect_lightning.contracts import STREAMS, ClipRecord, StreamInput
from affect_lightning.data.clip_data_module import ClipDataModule
from affect_lightning.data.dataset import ClipDataset, ReadingOptions, built_readers
from affect_lightning.data.ordering import SampleKey
from affect_lightning.data.quarantine import BadClip
from affect_lightning.data.questions import OneQuestion
from affect_lightning.errors import ConfigurationError, ContractError
from affect_lightning.feature_cache.identity import used_files
from affect_lightning.model import AffectGPT, ModelConfiguration
from affect_lightning.plugin_loading import EncoderChoices, check_inputs, encoded_streams, find_stream, stream_names
from clip_making import tone, write_clip, write_training_set
from installed_parts import distribution
from model_cases import TINY_PARTS, random_batch, with_streams

MODULE = '''
from pathlib import Path

import numpy as np

from affect_lightning.contracts import FeatureSequence, SeriesEncoder, StreamReader


class Pulse(StreamReader):
    """Heart rate and skin conductance."""

    def __init__(self, folder: str = "pulse") -> None:
        self.folder = folder

    def files(self, record):
        return {"rows": Path(self.folder) / f"{record.name}.npy"}

    def read(self, record):
        return np.load(self.files(record)["rows"])

    def identity(self):
        return f"pulse {self.folder}"


class Rows(SeriesEncoder):
    """Every row as it is."""

    def __init__(self, width: int = 2) -> None:
        super().__init__()
        self.input_width = self.feature_width = width

    def forward(self, values, mask):
        return FeatureSequence(values.masked_fill(~mask.unsqueeze(-1), 0.0), mask)


class Crops(Pulse):
    """Pictures of hands."""

    kind = "pictures"
'''
POINTS = {
    "streams": {"pulse": "outside_pulse:Pulse", "hands": "outside_pulse:Crops", "face": "outside_pulse:Pulse"},
    "series_encoders": {"rows": "outside_pulse:Rows"},
}
NAMES = ["one", "two", "three"]


@pytest.fixture(scope="module", autouse=True)
def _installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("outside")
    (folder / "outside_pulse.py").write_text(MODULE, encoding="utf-8")
    with distribution(folder, "outside-pulse", POINTS):
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Rows for three clips, of 4, 5 and 6 steps."""
    place = tmp_path / "pulse"
    place.mkdir()
    for number, name in enumerate(NAMES):
        np.save(place / f"{name}.npy", np.arange(2 * (4 + number), dtype=np.float32).reshape(-1, 2))
    return place


def read(folder: Path, name: str = "one", **options: Any) -> Any:
    readers = built_readers(["pulse"], {"pulse": {"folder": str(folder), **options}})
    reading = ReadingOptions(frozenset({"pulse"}), readers=readers)
    return ClipDataset([ClipRecord(name, "mine", labels=("calm",))], reading, OneQuestion("name"))[SampleKey(0)]


def network(**options: Any) -> AffectGPT:
    parts = {**TINY_PARTS, "inputs": ["multi", "audio", "pulse", "text"], "fused_streams": ["audio", "pulse"]}
    torch.manual_seed(0)
    return AffectGPT.from_configuration(
        ModelConfiguration.resolve(**{**parts, "stream_encoders": {"pulse": "rows"}, **options})
    )


def pulse_batch() -> Any:
    rows = torch.randn(4, 6, 2, generator=torch.Generator().manual_seed(3))
    mask = torch.arange(6) < torch.tensor([[6], [4], [1], [0]])
    return with_streams(random_batch(), pulse=StreamInput(rows, mask))


def test_the_table_has_the_streams_of_the_paper_and_those_of_plugins() -> None:
    assert stream_names() == ("multi", "audio", "face", "frame", "hands", "pulse", "text")
    assert encoded_streams() == ("audio", "face", "frame", "hands", "pulse")
    assert find_stream("face") is STREAMS["face"]  # a plugin takes over none of ours
    groups = {name: find_stream(name).encoder_group for name in stream_names()}
    assert groups == {
        "multi": "", "audio": "audio_encoders", "face": "video_encoders", "frame": "video_encoders",
        "hands": "video_encoders", "pulse": "series_encoders", "text": "",
    }  # fmt: skip
    assert check_inputs(["text", "pulse", "audio"]) == ("audio", "pulse", "text")
    with pytest.raises(ConfigurationError, match="each once, from multi, audio, face, frame, hands, pulse, text; got"):
        check_inputs(["pulse", "video"])


@pytest.mark.parametrize("inputs", [[], ["audio", "audio"], ["video"]])
def test_wrong_inputs_are_refused(inputs: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="`inputs` must list the streams of the prompt, each once"):
        check_inputs(inputs)


def test_streams_of_one_kind_share_an_encoder_unless_one_has_its_own() -> None:
    shared = EncoderChoices("tiny-video", "tiny-audio", {"pulse": "rows"})
    assert [shared.key_of(name) for name in ("face", "frame", "hands")] == ["video_encoder"] * 3
    assert (shared.key_of("pulse"), shared.of("pulse"), shared.of("face")) == ("encoder_of_pulse", "rows", "tiny-video")
    own = EncoderChoices("tiny-video", None, {"face": "timm"})
    assert (own.key_of("face"), own.of("face"), own.of("frame")) == ("encoder_of_face", "timm", "tiny-video")
    assert own.of("pulse") is None
    built = network(inputs=["face", "frame"], stream_encoders={"face": {"name": "tiny-video", "width": 12}})
    assert set(built.encoders) == {"video_encoder", "encoder_of_face"}
    assert built.feature_widths["face"] == 12 != built.feature_widths["frame"]


def test_a_clip_is_read_and_a_broken_one_goes_to_quarantine(folder: Path) -> None:
    sample = read(folder)
    assert sample.streams["pulse"].values.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert sample.streams["pulse"].mask.all()
    gone = read(folder, "nobody")
    assert isinstance(gone, BadClip)
    assert (gone.stage, gone.path) == ("pulse", str(folder / "nobody.npy"))
    assert "No such file" in gone.reason
    for content in (b"nothing of the kind", b""):
        (folder / "two.npy").write_bytes(content)
        assert read(folder, "two").stage == "pulse"


@pytest.mark.parametrize(
    ("rows", "received"),
    [
        (np.zeros((3, 2)), r"array float64 \[3, 2\]"),
        (np.zeros(3, np.float32), r"array float32 \[3\]"),
        (np.full((3, 2), np.nan, np.float32), "6 that are not"),
    ],
)
def test_what_is_no_series_is_the_readers_fault(folder: Path, rows: np.ndarray, received: str) -> None:
    np.save(folder / "one.npy", rows)
    failed = read(folder)
    assert isinstance(failed.error, ContractError)
    message = rf"stream 'pulse' of outside-pulse 1.0 \(contract affect_lightning.contracts.StreamReader\): .*{received}"
    assert re.search(message, str(failed.error))


def test_options_for_what_no_plugin_reads_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="`stream_readers` has options for audio, but no installed plugin"):
        built_readers(["audio"], {"audio": {}})
    with pytest.raises(ConfigurationError, match="`stream_encoders` must map encoded streams"):
        network(stream_encoders={"pulse": "rows", "text": "rows"})
    with pytest.raises(ConfigurationError, match="'pulse' needs an encoder and `stream_encoders` names none for it"):
        network(stream_encoders={})


def test_the_network_encodes_fuses_and_shows_it() -> None:
    built, batch = network().eval(), pulse_batch()
    features = built.encode(batch)
    assert list(features) == ["audio", "pulse"]
    assert torch.equal(features["pulse"].mask, batch.streams["pulse"].mask)
    assert set(built.projectors) == {"multi", "audio", "pulse"}
    before = built(batch)
    stream = batch.streams["pulse"]
    other = with_streams(batch, pulse=StreamInput(stream.values.flip(0), stream.mask))
    assert not torch.allclose(built(other), before, rtol=1e-5)
    padded = with_streams(
        batch, pulse=StreamInput(stream.values.masked_fill(~stream.mask[..., None], 9.0), stream.mask)
    )
    torch.testing.assert_close(built(padded), before)
    assert len(built.generate(batch, max_new_tokens=3)) == 4
    assert not [name for name in built.trainable_state() if name.startswith("encoders.")]
    wide = with_streams(batch, pulse=StreamInput(torch.zeros(4, 6, 3), stream.mask))
    with pytest.raises(ContractError, match=r"Rows takes 2 values a step; the stream 'pulse' has 3\. Choose another"):
        built(wide)


def test_another_mask_for_every_stream_of_a_batch() -> None:
    batch = pulse_batch()
    moved = batch.to("cpu")
    assert {name: stream.mask.shape[1] for name, stream in moved.streams.items()} == {
        "face": 3, "frame": 3, "audio": 12_000, "pulse": 6,
    }  # fmt: skip
    with pytest.raises(ContractError, match=r"StreamInput.mask must be bool \[4, 6\] to fit its values"):
        StreamInput(torch.zeros(4, 6, 2), torch.ones(4, 5, dtype=torch.bool))
    with pytest.raises(ContractError, match=r"series float \[B, T, C\]; got torch.int64 \[4, 6\]"):
        StreamInput(torch.zeros(4, 6, dtype=torch.long), torch.ones(4, 6, dtype=torch.bool))
    with pytest.raises(ContractError, match=r"ClipBatch.streams\['face'\] must hold pictures; got series"):
        with_streams(batch, face=batch.streams["pulse"])
    with pytest.raises(ContractError, match=r"streams\['audio'\] has 2 entries for 4 clips"):
        with_streams(batch, audio=batch.streams["audio"].with_each(lambda value: value[:2]))


@pytest.fixture
def data_of(tmp_path: Path, folder: Path) -> Any:
    write_training_set(tmp_path, NAMES, lambda path: write_clip(path, range(0, 400, 40), waveform=tone(0.5, 200)))

    def made(**options: Any) -> ClipDataModule:
        return ClipDataModule(
            train_root=tmp_path,
            inputs=["audio", "pulse", "text"],
            stream_readers={"pulse": {"folder": str(folder)}},
            validation_share=0.0,
            **options,
        )

    return made


def test_the_data_module_pads_it_to_the_longest_clip(data_of: Any) -> None:
    data = data_of(batch_size=3)
    data.setup("fit")
    (batch,) = list(data.train_dataloader())
    data.teardown("fit")
    stream = batch.streams["pulse"]
    assert stream.values.shape == (3, 6, 2)
    assert dict(zip(batch.names, stream.lengths.tolist(), strict=True)) == {"one": 4, "two": 5, "three": 6}
    assert not stream.values[~stream.mask].any()
    with pytest.raises(ConfigurationError, match="A packed set of media has no files of the streams pulse"):
        data_of(packed="somewhere").setup("fit")


def test_cached_features_depend_on_reader_and_rows(folder: Path) -> None:
    from affect_lightning.feature_cache.source import FeatureOptions, wanted_identities

    readers = built_readers(["pulse"], {"pulse": {"folder": str(folder)}})
    record = ClipRecord("one", "mine", video=Path("v.mp4"), audio=Path("a.wav"))
    files = used_files(record, ("audio", "pulse"), readers)
    assert files == {"audio": Path("a.wav"), "pulse rows": folder / "one.npy"}
    assert used_files(record, ("audio",), readers) == {"audio": Path("a.wav")}
    options = FeatureOptions("cached", folder, "bf16", EncoderChoices(stream_encoders={"pulse": "rows"}))
    identities = wanted_identities(options, ReadingOptions(frozenset({"pulse"}), readers=readers), "none")
    facts = identities["pulse"].facts
    assert facts["reader"] == f"pulse {folder}"
    assert facts["encoder.name"] == "rows"
    assert not [name for name in facts if name.startswith("reading.") and name != "reading.rules"]


def test_the_doctor_looks_again_when_its_file_has_come(folder: Path) -> None:
    from affect_lightning.inspection.clip_checks import Checking, CheckJournal, ClipChecker, check_clips

    readers = built_readers(["pulse"], {"pulse": {"folder": str(folder)}})
    clip = ClipRecord("four", "mine", labels=("calm",))
    reader = ClipDataset([], ReadingOptions(frozenset({"pulse"}), readers=readers), OneQuestion("name"))
    journal = CheckJournal(folder / "journal.jsonl")
    checking = Checking(ClipChecker(reader), "settings", workers=1, seconds=600)
    assert [check.stage for check in check_clips([clip], checking, journal)] == ["pulse"]
    np.save(folder / "four.npy", np.zeros((3, 2), np.float32))
    assert [check.stage for check in check_clips([clip], checking, journal)] == [""]
