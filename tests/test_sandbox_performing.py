"""The performer of the sandbox: real files, planted faults, determinism, and cues that can be told apart."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import wave
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.sandbox.action_units import ActionUnits, apex_envelope, blink_track, perform_face_code
from affect_lightning.sandbox.emotions import ClipScript, FaceCode, VoiceCode
from affect_lightning.sandbox.face_features import FaceArtist, jaw_drop
from affect_lightning.sandbox.identities import IDENTITIES, TEST_IDENTITIES, TRAINING_IDENTITIES
from affect_lightning.sandbox.performing import ClipMeasure, perform
from affect_lightning.sandbox.scenery import draw_background, draw_body, paste_head, place_head

pytest.importorskip(
    "espeakng_loader", reason="speech needs the extra [sandbox]: pip install 'affect-lightning[sandbox]'"
)
from affect_lightning.sandbox.speech import mouth_opening, speak, synthesise

FACES: tuple[FaceCode, ...] = ("rest", "distressed", "smile", "wide")
VOICES: tuple[VoiceCode, ...] = ("plain", "energetic", "thin", "low")
SENTENCES = (
    "They moved my shift to Friday without telling anybody.",
    "The letter from the office should arrive on Monday.",
    "I put the keys on the table.",
    "Tomorrow at nine they tell us who gets the flat by the river.",
)
SCRIPT = ClipScript(
    name="clip",
    seed=11,
    identity=4,
    face="smile",
    voice="plain",
    topic="routine",
    intensity=0.8,
    sentence_english=SENTENCES[0],
    sentence_chinese="",
)


def perform_in(folder: Path, script: ClipScript) -> tuple[ClipMeasure, Path, Path]:
    video, audio = folder / f"{script.name}.mp4", folder / f"{script.name}.wav"
    return perform(script, video, audio), video, audio


def read_pictures(path: Path) -> tuple[list[np.ndarray], list[float], int]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return (
        [frame.to_ndarray(format="rgb24") for frame in frames],
        [float(frame.time) for frame in frames],
        frames[0].rotation,
    )


def read_wav(path: Path) -> np.ndarray:
    with wave.open(str(path)) as reader:
        assert (reader.getframerate(), reader.getnchannels(), reader.getsampwidth()) == (16000, 1, 2)
        return np.frombuffer(reader.readframes(reader.getnframes()), "<i2") / 32768.0


@pytest.fixture(scope="module")
def plain_clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[ClipMeasure, Path, Path]:
    return perform_in(tmp_path_factory.mktemp("plain"), SCRIPT)


def test_clip_is_h264_and_aac_at_25_frames_per_second(plain_clip):
    measure, video, audio = plain_clip
    with av.open(str(video)) as container:
        stream, sound = container.streams.video[0], container.streams.audio[0]
        assert stream.codec_context.name == "h264"
        assert sound.codec_context.name == "aac"
        assert (stream.average_rate, stream.width, stream.height, sound.rate) == (25, 320, 240, 16000)
    pictures, times, rotation = read_pictures(video)
    assert rotation == 0
    assert len(pictures) == measure.frames == round(measure.seconds * 25)
    np.testing.assert_allclose(np.diff(times), 0.04, atol=1e-6)
    assert len(read_wav(audio)) == measure.frames * 640
    assert sorted(path.name for path in video.parent.iterdir()) == ["clip.mp4", "clip.wav"]


def test_sound_of_video_and_wav_is_the_same(plain_clip):
    _, video, audio = plain_clip
    with av.open(str(video)) as container:
        decoded = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    sound = read_wav(audio)
    # The muxed stream may keep the encoder's priming of 1024 samples.
    shifts = [np.corrcoef(decoded[s : s + len(sound) - 2048], sound[: len(sound) - 2048])[0, 1] for s in (0, 1024)]
    assert max(shifts) > 0.98


def test_face_boxes_hold_the_face(plain_clip):
    measure, _, _ = plain_clip
    assert measure.face_boxes is not None
    assert measure.face_boxes.shape == (measure.frames, 4)
    heights = measure.face_boxes[:, 3] - measure.face_boxes[:, 1]
    assert 90 <= heights.min() <= heights.max() <= 165
    assert np.abs(np.diff(measure.face_boxes, axis=0)).max() < 4.0


def test_same_script_gives_the_same_clip_in_another_process(plain_clip, tmp_path):
    _, video, audio = plain_clip
    program = (
        "import sys, pathlib\n"
        "from affect_lightning.sandbox.performing import perform\n"
        "from affect_lightning.sandbox.emotions import ClipScript\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        f"other = {replace(SCRIPT, name='other', seed=5, identity=7, voice='low')!r}\n"
        f"script = {SCRIPT!r}\n"
        "for each in (other, script):\n"
        "    perform(each, folder / (each.name + '.mp4'), folder / (each.name + '.wav'))\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
    again = tmp_path / "clip.mp4"
    assert (tmp_path / "clip.wav").read_bytes() == audio.read_bytes()
    digests = [hashlib.sha256(np.stack(read_pictures(path)[0])).hexdigest() for path in (video, again)]
    assert digests[0] == digests[1]
    assert again.read_bytes() == video.read_bytes()


@pytest.mark.parametrize(
    ("voice", "sentence"),
    [
        ("energetic", "We left at noon."),
        (
            "low",
            "Tomorrow afternoon the regional committee announces which neighbourhood association receives the money.",
        ),
    ],
)
def test_length_stays_between_two_and_five_seconds(tmp_path, voice, sentence):
    script = replace(SCRIPT, voice=voice, sentence_english=sentence, fault="one_frame", intensity=1.0)
    measure, _, audio = perform_in(tmp_path, script)
    assert 2.0 <= measure.seconds <= 5.0
    assert len(read_wav(audio)) == round(measure.seconds * 16000)


def test_sentence_too_long_for_a_clip_is_an_error(tmp_path):
    with pytest.raises(DataError, match="Write a sentence of 4 to 14 short words"):
        perform_in(tmp_path, replace(SCRIPT, sentence_english=" ".join(SENTENCES * 3)))
    assert list(tmp_path.iterdir()) == []


def test_unspeakable_sentence_and_unknown_identity_are_errors(tmp_path):
    with pytest.raises(DataError, match="spoke nothing"):
        perform_in(tmp_path, replace(SCRIPT, sentence_english=" "))
    with pytest.raises(DataError, match=r"identity 999\. Expected 0 to"):
        perform_in(tmp_path, replace(SCRIPT, identity=999))


def test_broken_synthesiser_is_an_error_with_a_remedy(monkeypatch):
    with pytest.raises(ConfigurationError, match="no voice 'en-xx"):
        synthesise("We left at noon.", "en-xx+m1", 190, 50, 50)
    monkeypatch.setattr("espeakng_loader.get_data_path", lambda: "/nowhere")
    with pytest.raises(ConfigurationError, match="did not start with the data in /nowhere"):
        synthesise("We left at noon.", "en-us+m1", 190, 50, 50)
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'affect-lightning\[sandbox\]'"):
        synthesise("We left at noon.", "en-us+m1", 190, 50, 50)


def test_truncated_clip_cannot_be_opened(tmp_path):
    _, video, audio = perform_in(tmp_path, replace(SCRIPT, fault="truncated"))
    with pytest.raises(av.error.InvalidDataError):
        av.open(str(video))
    assert len(read_wav(audio)) > 32000


def test_clip_without_audio_track(tmp_path):
    _, video, audio = perform_in(tmp_path, replace(SCRIPT, fault="no_audio"))
    with av.open(str(video)) as container:
        assert len(container.streams.audio) == 0
    assert not audio.exists()


def test_clip_without_face_does_not_move(tmp_path):
    measure, video, _ = perform_in(tmp_path, replace(SCRIPT, fault="no_face"))
    pictures, _, _ = read_pictures(video)
    assert measure.face_boxes is None
    assert np.abs(pictures[0].astype(int) - pictures[-1]).mean() < 2.0


def test_clip_with_two_faces_moves_on_both_sides(tmp_path):
    measure, video, _ = perform_in(tmp_path, replace(SCRIPT, fault="two_faces"))
    pictures, _, _ = read_pictures(video)
    motion = np.std(np.stack(pictures[::5]).astype(float), axis=0).mean(axis=(0, 2))
    assert measure.face_boxes is not None
    middle = measure.face_boxes[:, ::2].mean()
    assert abs(middle - 160) > 40
    assert min(motion[40:130].mean(), motion[190:280].mean()) > 1.0


def test_clip_of_one_frame_keeps_its_sound(tmp_path):
    measure, video, audio = perform_in(tmp_path, replace(SCRIPT, fault="one_frame"))
    pictures, _, _ = read_pictures(video)
    assert len(pictures) == measure.frames == len(measure.face_boxes) == 1
    assert len(read_wav(audio)) >= 32000


def test_rotated_clip_is_upright_when_its_display_matrix_is_followed(plain_clip, tmp_path):
    _, video, _ = perform_in(tmp_path, replace(SCRIPT, fault="rotated"))
    pictures, _, rotation = read_pictures(video)
    upright, _, _ = read_pictures(plain_clip[1])
    assert pictures[0].shape == (320, 240, 3)
    assert rotation == 90
    turned = np.rot90(pictures[30], rotation // 90)
    assert np.abs(turned.astype(int) - upright[30]).mean() < 3.0


def test_variable_frame_rate_has_irregular_times(tmp_path):
    measure, video, _ = perform_in(tmp_path, replace(SCRIPT, fault="variable_frame_rate"))
    pictures, times, _ = read_pictures(video)
    steps = np.diff(times)
    assert len(pictures) == measure.frames == len(measure.face_boxes)
    assert steps.min() > 0.0
    assert steps.std() > 0.01


def test_silent_clip_holds_digital_silence(tmp_path):
    _, video, audio = perform_in(tmp_path, replace(SCRIPT, fault="silent"))
    assert not read_wav(audio).any()
    with av.open(str(video)) as container:
        assert max(np.abs(frame.to_ndarray()).max() for frame in container.decode(audio=0)) < 1e-4


def mouth_darkness(pictures: list[np.ndarray], boxes: np.ndarray) -> np.ndarray:
    """Share of dark pixels around the mouth in each picture."""
    values = []
    for picture, (x0, y0, x1, y1) in zip(pictures, boxes, strict=True):
        rows = slice(int(y0 + 0.70 * (y1 - y0)), int(y0 + 0.98 * (y1 - y0)))
        columns = slice(int(x0 + 0.33 * (x1 - x0)), int(x0 + 0.67 * (x1 - x0)))
        values.append((picture[rows, columns].mean(axis=2) < 60).mean())
    return np.array(values)


def test_mouth_follows_the_speech_unless_the_voice_is_unseen(tmp_path):
    script = replace(SCRIPT, face="rest", identity=0)
    correlations, movements = [], []
    for number, (fault, lips) in enumerate(((None, None), ("unseen_voice", None), ("unseen_voice", SENTENCES[2]))):
        measure, video, audio = perform_in(tmp_path, replace(script, fault=fault, lips=lips, name=str(number)))
        pictures, _, _ = read_pictures(video)
        loudness = mouth_opening(read_wav(audio).astype(np.float32), measure.frames)
        darkness = mouth_darkness(pictures, measure.face_boxes)
        correlations.append(np.corrcoef(loudness, darkness)[0, 1] if darkness.std() > 1e-3 else 0.0)
        movements.append(darkness.std())
    assert correlations[0] > 0.7
    assert abs(correlations[1]) < 0.3
    assert abs(correlations[2]) < 0.5
    assert movements[2] > 0.5 * movements[0] > movements[1]
    assert np.array_equal(read_wav(tmp_path / "1.wav"), read_wav(tmp_path / "2.wav"))


def test_unseen_voice_is_somebody_elses(plain_clip, tmp_path):
    _, _, audio = perform_in(tmp_path, replace(SCRIPT, fault="unseen_voice"))
    own, foreign = read_wav(plain_clip[2]), read_wav(audio)
    size = min(len(own), len(foreign))
    assert not np.allclose(own[:size], foreign[:size], atol=0.01)


def test_picture_does_not_tell_the_voice_code(tmp_path):
    clips = {}
    for voice in ("plain", "energetic"):
        script = replace(SCRIPT, voice=voice, name=voice, fault="one_frame")
        clips[voice] = read_pictures(perform_in(tmp_path, script)[1])[0][0]
    assert np.abs(clips["plain"].astype(int) - clips["energetic"]).mean() < 1.0


def test_envelope_has_onset_apex_and_offset():
    envelope = apex_envelope(75, np.random.default_rng(0))
    assert envelope.max() == pytest.approx(1.0)
    assert envelope[0] < 0.9
    assert envelope[-1] < 0.9
    assert np.mean(envelope > 0.95) > 0.7


def test_blinks_are_short_and_close_the_eyes():
    blinks = blink_track(200, np.random.default_rng(1))
    assert blinks.max() == 1.0
    assert np.mean(blinks > 0.5) < 0.2


def test_face_codes_show_their_action_units():
    speech = np.zeros(60)
    middle = {face: perform_face_code(face, 1.0, speech, np.random.default_rng(2))[30] for face in FACES}
    assert min(middle["distressed"].au1, middle["distressed"].au4, middle["distressed"].au15) > 0.5
    assert min(middle["smile"].au6, middle["smile"].au12) > 0.5
    assert min(middle["wide"].au2, middle["wide"].au5, middle["wide"].au26) > 0.5
    assert jaw_drop(middle["wide"]) > jaw_drop(middle["rest"]) == 0.0
    weak = perform_face_code("smile", 0.4, speech, np.random.default_rng(2))[30]
    assert 0.6 < weak.au12 / middle["smile"].au12 < 0.8


@pytest.mark.parametrize(
    "unit", ["au1", "au2", "au4", "au5", "au6", "au7", "au9", "au12", "au15", "au26", "au45", "speech"]
)
def test_every_action_unit_is_drawn(unit):
    artist = FaceArtist(IDENTITIES[0])
    difference = np.abs(artist.draw(ActionUnits(**{unit: 1.0})).astype(int) - artist.draw(ActionUnits()))
    assert (difference.max(axis=2) > 20).sum() > 30


def test_identities_are_many_and_differ():
    assert len(TRAINING_IDENTITIES) >= 24
    assert len(TEST_IDENTITIES) >= 8
    assert not set(TRAINING_IDENTITIES) & set(TEST_IDENTITIES)
    looks = {replace(identity, voice=IDENTITIES[0].voice) for identity in IDENTITIES}
    assert len(looks) == len(IDENTITIES)
    assert len({identity.voice for identity in IDENTITIES}) > 0.9 * len(IDENTITIES)


def test_every_identity_can_speak():
    for espeak_voice in sorted({identity.voice.espeak_voice for identity in IDENTITIES}):
        spoken = synthesise("We left at noon.", espeak_voice, 190, 50, 50)
        assert 0.4 < len(spoken) / 22050 < 2.5, espeak_voice


def face_crop(identity: int, face: FaceCode, generator: np.random.Generator) -> np.ndarray:
    """A normalised grey crop [32 * 32] of one drawn frame."""
    import cv2

    placement = place_head(1, generator)
    picture = draw_background(generator)
    draw_body(picture, IDENTITIES[identity], placement)
    units = perform_face_code(face, float(generator.uniform(0.4, 1.0)), np.full(50, generator.uniform()), generator)[25]
    artist = FaceArtist(IDENTITIES[identity])
    paste_head(picture, artist.draw(units), placement.transforms[0], artist.extent)
    # A crop of the head as a detector would give it: the canvas rows 60 to 340 and columns 20 to 300.
    inverse = cv2.invertAffineTransform(placement.rest)
    scale = np.array([[32 / 280, 0.0, -20 * 32 / 280], [0.0, 32 / 280, -60 * 32 / 280], [0.0, 0.0, 1.0]])
    matrix = scale @ np.concatenate([inverse, [[0.0, 0.0, 1.0]]])
    small = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), (0, 0), 1.5)
    crop = cv2.warpAffine(small, matrix[:2], (32, 32)).astype(float).ravel()
    return (crop - crop.mean()) / (crop.std() + 1.0)


def fit_and_score(features: np.ndarray, codes: np.ndarray, known: np.ndarray, ridge: float) -> float:
    """Share of right answers of a linear discriminant on the rows that are not `known`."""
    scaled = (features - features[known].mean(0)) / (features[known].std(0) + 1e-6)
    means = np.stack([scaled[known & (codes == code)].mean(0) for code in range(4)])
    within = scaled[known] - means[codes[known]]
    covariance = within.T @ within / known.sum() + ridge * np.eye(scaled.shape[1])
    weights = np.linalg.solve(covariance, means.T)
    answers = (scaled @ weights - 0.5 * np.sum(means.T * weights, axis=0)).argmax(1)
    return float(np.mean(answers[~known] == codes[~known]))


# A fifth of the people, training and test, so that the tests below take seconds.
SOME_PEOPLE = range(0, len(IDENTITIES), 5)


def test_face_codes_can_be_told_apart_on_unseen_people():
    generator = np.random.default_rng(3)
    rows = [(person, code) for person in SOME_PEOPLE for code in range(4) for _ in range(2)]
    features = np.stack([face_crop(person, FACES[code], generator) for person, code in rows])
    people, codes = np.array(rows).T
    assert fit_and_score(features, codes, np.isin(people, TRAINING_IDENTITIES), 1.0) >= 0.9


def voice_features(waveform: np.ndarray) -> np.ndarray:
    """Level, three spectral slopes, pitch and syllabic speed of one utterance."""
    spectrum = np.abs(np.fft.rfft(waveform)) ** 2
    hertz = np.arange(len(spectrum)) * 16000 / len(waveform)
    bands = [
        10 * np.log10(spectrum[(hertz >= low) & (hertz < high)].sum() + 1e-9)
        for low, high in ((60, 300), (300, 800), (800, 2500), (2500, 7500))
    ]
    pitches = []
    for start in range(0, len(waveform) - 1024, 640):
        window = waveform[start : start + 1024]
        correlation = np.fft.irfft(np.abs(np.fft.rfft(window - window.mean(), 2048)) ** 2)[35:266]
        pitches.append(np.log2(16000 / (35 + correlation.argmax())))
    level = 10 * np.log10(np.mean(waveform**2))
    return np.array([level, *np.diff(bands), np.median(pitches), np.std(pitches), np.log(len(waveform))])


def test_voice_codes_can_be_told_apart_on_unseen_people():
    generator = np.random.default_rng(4)
    rows = [(person, code) for person in SOME_PEOPLE for code in range(4)]
    features = np.stack(
        [
            voice_features(
                speak(
                    SENTENCES[generator.integers(4)],
                    IDENTITIES[person].voice,
                    VOICES[code],
                    generator.uniform(0.4, 1.0),
                    generator,
                )
            )
            for person, code in rows
        ]
    )
    people, codes = np.array(rows).T
    assert fit_and_score(features, codes, np.isin(people, TRAINING_IDENTITIES), 0.05) >= 0.9
