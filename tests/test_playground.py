"""The playground without a browser: what is read and deleted, what is answered and shown, who may open the page."""

from __future__ import annotations

import asyncio
import html
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from affect_lightning.command_line.playground_command import _parser
from affect_lightning.command_line.program import main
from affect_lightning.errors import CheckpointError, DataError
from affect_lightning.metrics import taxonomy_by_name
from affect_lightning.playground.actions import OWN_QUESTION, Given, Playground
from affect_lightning.playground.asked_networks import Asked, AskedNetwork
from affect_lightning.playground.page_guard import PageGuard, cookie_name
from affect_lightning.playground.pictures import pitch_of, sectors_of, weights_picture, wheels_picture
from affect_lightning.playground.uploads import Limits, read_upload
from clip_making import tone, write_clip, write_wav
from page_blocks import page_blocks
from test_watched_answers import network_with

SOUND, PICTURES = tone(1.2, 300), range(0, 1200, 40)


@pytest.fixture(scope="module")
def asked() -> AskedNetwork:
    return AskedNetwork(network_with("attention"), "tiny")


@pytest.fixture
def uploads(tmp_path: Path) -> Path:
    """A folder in which uploads arrive, each in a folder of its own, as those of Gradio."""
    (tmp_path / "uploads" / "a1").mkdir(parents=True)
    return tmp_path / "uploads"


@pytest.fixture
def playground(asked: AskedNetwork, uploads: Path) -> Playground:
    return Playground([asked], taxonomy_by_name("builtin"), Limits(1, 5.0), folder=uploads)


def described(asked: AskedNetwork, path: Path, **options: Any) -> Any:
    """What the network says of a file."""
    return asked._network.describe(path, question="name", **options)


def last_of(playground: Playground, given: Given, **options: Any) -> str:
    words = {"subtitle": "", "question": "name", "own": "", "shown": playground.streams, **options}
    return list(playground.ask(given, **words))[-1]


def test_a_clip_is_read_deleted_and_answered_as_describe_answers_its_file(
    asked: AskedNetwork, playground: Playground, uploads: Path, tmp_path: Path
) -> None:
    kept = write_clip(tmp_path / "kept.mp4", PICTURES, waveform=SOUND)
    arrived = uploads / "a1" / "one.mp4"
    arrived.write_bytes(kept.read_bytes())
    (uploads / "a2").mkdir()
    (uploads / "a2" / "one.mp4").write_bytes(kept.read_bytes())  # Gradio may copy an upload
    given, shown = playground.take(str(arrived), False, Given())
    assert list(uploads.iterdir()) == []
    assert "1.2 s" in shown
    assert shown.count("<img") == 3 + 1  # frames, and the sound
    expected = described(asked, kept, subtitle="Hello!")
    assert given.clip is not None
    *growing, whole = asked.answers(Asked(given.clip, "Hello!"))
    assert whole.described is not None
    assert whole.text == whole.described.text == expected.text
    assert growing
    assert all(answer.described is None for answer in growing)
    found: Any = whole.described
    assert np.array_equal(found.crops, expected.crops)
    assert np.array_equal(found.waveform, expected.waveform)
    assert expected.text in html.unescape(last_of(playground, given, subtitle="Hello!"))


@pytest.mark.parametrize("stream", ["audio", "face", "frame", "text"])
def test_a_stream_that_is_switched_off_is_one_that_describe_goes_without(
    asked: AskedNetwork, playground: Playground, tmp_path: Path, stream: str
) -> None:
    kept = write_clip(tmp_path / "kept.mp4", PICTURES, waveform=SOUND)
    expected = described(asked, kept, subtitle="Hello!", without=[stream])
    given = Given(read_upload(kept, [asked.reading]))
    assert not kept.exists()
    assert given.clip is not None
    *_, whole = asked.answers(Asked(given.clip, "Hello!", off=(stream,)))
    assert (whole.text, whole.off) == (expected.text, (stream,))
    shown = [name for name in playground.streams if name != stream]
    assert f"Asked without: {stream}" in last_of(playground, given, subtitle="Hello!", shown=shown)


def test_a_clip_without_sound_and_a_sound_alone_are_asked_without_what_they_lack(
    asked: AskedNetwork, tmp_path: Path
) -> None:
    silent = read_upload(write_clip(tmp_path / "silent.mp4", PICTURES), [asked.reading])
    alone = read_upload(write_wav(tmp_path / "alone.wav", SOUND), [asked.reading])
    assert (silent.lacks, alone.lacks) == (("sound",), ("pictures",))
    *_, without_sound = asked.answers(Asked(silent))
    *_, without_pictures = asked.answers(Asked(alone))
    assert (without_sound.off, without_pictures.off) == (("audio",), ("face", "frame"))
    video = write_clip(tmp_path / "kept.mp4", PICTURES, waveform=SOUND)
    assert without_sound.text == described(asked, video, without=["audio"]).text
    both = Given(silent, alone).clip
    assert both is not None
    assert both.lacks == ()
    assert both.sounds is alone.sounds
    assert Given(None, alone).clip is alone


def picture() -> bytes:
    import cv2

    return bytes(cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("words.mp4", b"I am a text file.\n" * 40, "words.mp4 cannot be read. Invalid data"),
        ("nothing.mp4", b"", "nothing.mp4 is empty."),
        ("page.mp4", b"<!doctype html><title>Sign in</title>" * 40, "page.mp4 is a web page"),
        ("picture.png", picture(), "picture.png is a picture."),
        ("picture.mp4", picture(), "picture.mp4 is a picture."),
        ("large.mp4", bytes(2**20 + 1), "Choose a smaller file, or start the playground with a larger --megabytes"),
        ("<b>.mp4", b"I am a text file.\n" * 40, "<b>.mp4 cannot be read."),
    ],
)
def test_what_is_no_clip_is_refused_in_a_sentence_and_deleted(
    playground: Playground, uploads: Path, name: str, content: bytes, message: str
) -> None:
    arrived = uploads / "a1" / name
    arrived.write_bytes(content)
    before = Given()
    given, shown = playground.take(str(arrived), False, before)
    assert given is before
    assert html.escape(message, quote=False) in shown
    assert "Traceback" not in shown
    assert "<b>" not in shown
    assert str(uploads) not in shown
    assert list(uploads.iterdir()) == []


def test_an_upload_that_is_gone_is_asked_for_again(playground: Playground, uploads: Path) -> None:
    assert (
        "Upload gone.mp4 again: it cannot be opened"
        in playground.take(str(uploads / "a1" / "gone.mp4"), False, Given())[1]
    )


def test_ten_minutes_are_too_long(asked: AskedNetwork, tmp_path: Path) -> None:
    long = write_wav(tmp_path / "long.wav", np.zeros(600 * 1000, np.float32), rate=1000)
    with pytest.raises(DataError, match=r"^Choose a shorter clip, .* lasts 600 s, and 120 s are allowed\..*--segments"):
        read_upload(long, [asked.reading])
    assert not long.exists()


def test_mistakes_of_a_visitor_are_told(playground: Playground, asked: AskedNetwork, tmp_path: Path) -> None:
    clip = Given(read_upload(write_wav(tmp_path / "alone.wav", SOUND), [asked.reading]))
    assert "Choose a clip" in last_of(playground, Given())
    assert "two words or more" in last_of(playground, clip, question=OWN_QUESTION, own="hesitates?")
    assert "Asked: Does she hesitate?" in last_of(playground, clip, question=OWN_QUESTION, own=" Does she hesitate? ")
    assert "Choose a clip" in playground.hear(Given())[1]


def test_texts_are_escaped(playground: Playground, asked: AskedNetwork, tmp_path: Path, monkeypatch: Any) -> None:
    clip = Given(read_upload(write_wav(tmp_path / "alone.wav", SOUND), [asked.reading]))
    model = asked._network.language_model
    monkeypatch.setattr(model, "_texts", lambda ids: ["The person feels happy. <script>alert(1)</script>" for _ in ids])
    shown = last_of(playground, clip)
    assert "&lt;script&gt;alert(1)" in shown
    assert "<script" not in shown
    assert "<b>happy</b>" in shown
    assert "emotion wheels" in shown


def test_words_are_heard_by_a_transcriber(asked: AskedNetwork, uploads: Path, tmp_path: Path) -> None:
    from affect_lightning.contracts import Transcriber, Transcript

    class Hears(Transcriber):
        def transcribe(self, batch: Any) -> list[Transcript]:
            return [Transcript(f"{batch.streams['audio'].values.shape[1]}  samples")]

        def identity(self) -> str:
            return "hears"

    playground = Playground([asked], taxonomy_by_name("builtin"), transcriber=Hears(), folder=uploads)
    clip = Given(read_upload(write_wav(tmp_path / "alone.wav", SOUND), [asked.reading]))
    assert playground.hear(clip) == (f"{len(SOUND)} samples", "")
    silent = Given(read_upload(write_clip(tmp_path / "silent.mp4", PICTURES), [asked.reading]))
    text, shown = playground.hear(silent)
    assert text == ""
    assert "Type the subtitle" in shown


def test_two_networks_answer_side_by_side(asked: AskedNetwork, tmp_path: Path) -> None:
    other = AskedNetwork(network_with("qformer"), "other")
    playground = Playground([asked, other], taxonomy_by_name("builtin"))
    clip = Given(
        read_upload(write_clip(tmp_path / "one.mp4", PICTURES, waveform=SOUND), [asked.reading, other.reading])
    )
    shown = last_of(playground, clip)
    assert shown.index("<h3>tiny</h3>") < shown.index("<h3>other</h3>")
    assert shown.count("Weights of the fusion") == 1  # the q-former shows none
    assert shown.count('class="labels"') == 2


def test_a_tone_has_its_pitch() -> None:
    times, pitch = pitch_of(tone(1.0, 220), 16_000)
    assert len(times) == len(pitch) > 20
    assert np.nanmedian(pitch) == pytest.approx(220, rel=0.02)
    assert np.isnan(pitch_of(np.zeros(16_000, np.float32), 16_000)[1]).all()
    assert len(pitch_of(np.zeros(10, np.float32), 16_000)[0]) == 0


def test_labels_light_their_sectors() -> None:
    taxonomy = taxonomy_by_name("builtin")
    assert sectors_of(["happy", "qwertz"], taxonomy) == [
        ("happy", [taxonomy.sector("happy", number) for number in range(1, len(taxonomy.wheels) + 1)]),
        ("qwertz", ["-"] * len(taxonomy.wheels)),
    ]
    dark, lit = wheels_picture([], taxonomy), wheels_picture(["happy"], taxonomy)
    assert dark != lit
    assert lit == wheels_picture(["happy"], taxonomy)
    assert weights_picture({"audio": np.array([0.5, -0.25]), "face": np.zeros(0)}).startswith(b"\x89PNG")


def answered(guard: PageGuard, path: str = "/", query: str = "", **headers: str) -> tuple[int, dict[bytes, bytes]]:
    """Status and headers of a request."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "path": path, "query_string": query.encode(), "headers": pairs}
    asyncio.run(guard(scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"])


def test_only_who_has_the_key_comes_in() -> None:
    async def page(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    guard = PageGuard(page, key="secret", hosts=frozenset({"127.0.0.1:8"}))
    here = {"host": "127.0.0.1:8"}
    assert answered(guard, **here)[0] == 401
    assert answered(guard, query="key=wrong", **here)[0] == 401
    assert answered(guard, cookie=f"{cookie_name('secret')}=wrong", **here)[0] == 401
    status, headers = answered(guard, query="key=secret", **here)
    assert status == 200
    assert headers[b"set-cookie"].startswith(f"{cookie_name('secret')}=secret; HttpOnly; SameSite=Strict".encode())
    assert b"default-src 'self'" in headers[b"content-security-policy"]
    assert answered(guard, cookie=f"{cookie_name('secret')}=secret", **here)[0] == 200
    assert answered(guard, cookie=f"{cookie_name('secret')}=secret", host="evil.example:8")[0] == 401
    assert (
        answered(PageGuard(page, key="secret", hosts=None), cookie=f"{cookie_name('secret')}=secret", host="other:8")[0]
        == 200
    )


def test_a_page_loads_nothing_of_another_host() -> None:
    async def page(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"Content-Type", b"text/html"), (b"Content-Length", b"999")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send(
            {"type": "http.response.body", "body": b'<link rel="preconnect" href="https://fo', "more_body": True}
        )
        scripts = b'<script src="https://cdn.example/a.js"\n></script><script>let a = "https://b";</script>'
        await send({"type": "http.response.body", "body": b'nts.example" /><link href="own.css">' + scripts})

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": "/", "query_string": b"key=secret", "headers": []}
    asyncio.run(PageGuard(page, key="secret", hosts=None)(scope, None, send))  # type: ignore[arg-type]
    start, body = sent
    assert body["body"] == b'<link href="own.css"><script>let a = "https://b";</script>'
    assert dict(start["headers"])[b"content-length"] == str(len(body["body"])).encode()


def test_networks_come_from_folders_and_are_missed(tmp_path: Path) -> None:
    network = network_with("attention")
    network.save_pretrained(tmp_path / "exported", network.response_options)
    read = AskedNetwork.read(str(tmp_path / "exported"))
    assert (read.name, read.streams, read.reading.frames) == ("exported", ("audio", "face", "frame", "text"), 3)
    bare = network_with("attention")
    bare.save_pretrained(tmp_path / "bare")
    assert not AskedNetwork.read(str(tmp_path / "bare")).says_how
    with pytest.raises(CheckpointError, match="nowhere"):
        AskedNetwork.read(str(tmp_path / "nowhere"))
    torch.save({"a": 1}, tmp_path / "foreign.ckpt")
    with pytest.raises(CheckpointError):
        AskedNetwork.read(str(tmp_path / "foreign.ckpt"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seconds", "0", "x"], "numbers above 0"),
        (["--transcriber", "{a", "."], "as a name, or as JSON"),
    ],
)
def test_mistakes_on_the_command_line_are_told(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("affect_lightning.playground.page.import_gradio", lambda folder: None)
    assert main(["playground", *words]) == 2
    assert message in capsys.readouterr().err


def test_the_commands_of_the_page_are_understood() -> None:
    typed = [line for block in page_blocks("docs/playground.md") for line in block.commands()]
    commands = [line.split()[2:] for line in typed if line.startswith("affect-lightning playground ")]
    assert len(commands) == 3
    assert {_parser().parse_args(words).checkpoint for words in commands} == {"exported"}
    assert [_parser().parse_args(words).beside for words in commands] == [[], [], ["other"]]


def test_gradio_is_asked_for_by_its_extra(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gradio", None)
    for name in ("GRADIO_TEMP_DIR", "GRADIO_ANALYTICS_ENABLED", "HF_HUB_DISABLE_TELEMETRY", "GRADIO_SSR_MODE"):
        monkeypatch.setenv(name, "")
    assert main(["playground", "."]) == 2
    assert "Run `pip install 'affect-lightning[playground]'`" in capsys.readouterr().err
