"""`serve`: the public openai client over real HTTP gets what `describe` says; limits, errors, and who leaves."""

from __future__ import annotations

import base64
import http.client
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openai
import pytest

from affect_lightning import AffectGPT
from affect_lightning.command_line.program import main
from affect_lightning.contracts.generation_watch import GenerationStopped
from affect_lightning.serving.clip_model import AnswerWatch, cut_at
from affect_lightning.serving.request_media import MediaRules
from affect_lightning.storage import user_cache_folder
from affect_lightning.unibench.scoring.predictions import read_predictions
from answer_cases import write_answer_case
from clip_making import tone, write_wav
from patience import LONGEST
from run_cases import contents
from serving_cases import NAME, WatchedModel, client_of, clip_and, data_url, serving

QUESTION = "How does the person feel, and why?"
DRAWN: dict[str, Any] = {"temperature": 2.0, "seed": 1}  # words of many kinds, where greedy ones might repeat one


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_answer_case(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def network(place: Path) -> Any:
    """It never ends an answer by itself: random weights of another version might do so at once."""
    network = AffectGPT.from_pretrained(place / "exported")
    network.language_model.end_ids = frozenset()
    return network


@pytest.fixture
def model(network: Any) -> WatchedModel:
    return WatchedModel(network)


@pytest.fixture
def address(model: WatchedModel) -> Iterator[str]:
    with serving(model) as (found, _):
        yield found


def ask(address: str, messages: Any, **options: Any) -> Any:
    return client_of(address).chat.completions.create(model=NAME, messages=messages, **options)


def test_a_greedy_answer_is_that_of_describe(place: Path, network: Any, address: str) -> None:
    before = contents(user_cache_folder()) if user_cache_folder().exists() else {}
    for name in ("one.mp4", "two.mkv"):
        expected = network.describe(place / "clips" / name, subtitle="Hello!", question=QUESTION)
        messages = clip_and(QUESTION, place / "clips" / name)
        found = ask(address, messages, extra_body={"subtitle": "Hello!"})
        assert found.choices[0].message.content == expected.text != ""
        assert found.model == NAME
        assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens
        assert found.usage.completion_tokens <= 12
        in_words = clip_and(f'Says: "Hello!"\n{QUESTION}', place / "clips" / name)
        assert ask(address, in_words).choices[0].message.content == expected.text
        assert (
            ask(address, messages).choices[0].message.content
            == network.describe(place / "clips" / name, question=QUESTION).text
        )
    after = contents(user_cache_folder()) if user_cache_folder().exists() else {}
    assert before == after  # nothing of the clips is kept


def test_a_stream_has_the_same_words(place: Path, network: Any, address: str) -> None:
    expected = network.describe(place / "clips" / "one.mp4", question=QUESTION, max_new_tokens=40, **DRAWN).text
    stream = ask(
        address,
        clip_and(QUESTION, place / "clips" / "one.mp4"),
        stream=True,
        max_tokens=40,
        **DRAWN,
        stream_options={"include_usage": True},
    )
    pieces = list(stream)
    texts = [piece.choices[0].delta.content for piece in pieces if piece.choices and piece.choices[0].delta.content]
    assert "".join(texts) == expected
    assert [piece.choices[0].finish_reason for piece in pieces if piece.choices][-1] == "length"
    assert len(texts) > 1
    assert pieces[0].choices[0].delta.role == "assistant"
    assert pieces[-1].choices == []
    assert pieces[-1].usage.completion_tokens > 0
    assert len({piece.id for piece in pieces}) == 1


def test_options_are_obeyed(place: Path, network: Any, address: str) -> None:
    clip = place / "clips" / "one.mp4"
    messages = clip_and(QUESTION, clip)
    short = ask(address, messages, max_tokens=2)
    assert short.choices[0].message.content == network.describe(clip, question=QUESTION, max_new_tokens=2).text
    assert (short.choices[0].finish_reason, short.usage.completion_tokens) == ("length", 2)
    assert ask(address, messages, extra_body={"max_completion_tokens": 2}).choices == short.choices
    sampled = [ask(address, messages, temperature=2.0, seed=seed, n=2, top_p=0.9) for seed in (3, 3, 4)]
    texts = [[choice.message.content for choice in found.choices] for found in sampled]
    drawn = {"temperature": 2.0, "top_p": 0.9, "question": QUESTION}
    assert texts[0] == texts[1] == [network.describe(clip, seed=seed, **drawn).text for seed in (3, 4)]
    assert texts[2][0] == texts[0][1]
    assert texts[0][0] != texts[0][1]
    whole = network.describe(clip, question=QUESTION).text
    stop = whole[len(whole) // 2 :][:2]
    cut = ask(address, messages, stop=[stop])
    assert cut.choices[0].message.content == whole[: whole.index(stop)]
    assert cut.choices[0].finish_reason == "stop"
    streamed = ask(address, messages, stop=stop, stream=True)
    assert "".join(piece.choices[0].delta.content or "" for piece in streamed) == whole[: whole.index(stop)]


def test_no_question_asks_what_the_folder_asks(place: Path, network: Any, address: str) -> None:
    messages = [{"role": "user", "content": clip_and("", place / "clips" / "one.mp4")[0]["content"][:1]}]
    assert ask(address, messages).choices[0].message.content == network.describe(place / "clips" / "one.mp4").text


def pictures_of(folder: Path, count: int = 3) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Pictures without loss, uint8 [N, H, W, 3] in RGB, and the parts that bring them."""
    frames = np.random.default_rng(5).integers(0, 255, (count, 40, 48, 3), dtype=np.uint8)
    parts = []
    for number, frame in enumerate(frames):
        path = folder / f"{number}.png"
        cv2.imwrite(str(path), frame[..., ::-1])
        parts.append({"type": "image_url", "image_url": {"url": data_url(path, "image/png"), "detail": "low"}})
    return frames, parts


def test_pictures_and_sound_are_a_clip(place: Path, network: Any, address: str, tmp_path: Path) -> None:
    frames, parts = pictures_of(tmp_path)
    waveform = (tone(1.0) * 32767).astype("<i2").astype(np.float32) / 32768
    data = base64.b64encode(write_wav(tmp_path / "sound.wav", tone(1.0)).read_bytes()).decode()
    expected = network.describe(frames=frames, sound=waveform, sample_rate=16_000, question=QUESTION).text
    text = {"type": "text", "text": QUESTION}
    for sound in (
        {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}},
        {"type": "audio_url", "audio_url": {"url": f"data:audio/wav;base64,{data}"}},
    ):
        found = ask(address, [{"role": "user", "content": [*parts, sound, text]}])
        assert found.choices[0].message.content == expected
    video = place / "clips" / "one.mp4"
    both = [{"type": "input_video", "video_url": {"url": data_url(video)}}, sound, text]
    heard = network.describe(video, sound=tmp_path / "sound.wav", question=QUESTION).text
    assert ask(address, [{"role": "user", "content": both}]).choices[0].message.content == heard
    jpegs = [cv2.imencode(".jpg", frame[..., ::-1])[1].tobytes() for frame in frames]
    seen = np.stack([cv2.imdecode(np.frombuffer(jpeg, np.uint8), 1)[..., ::-1] for jpeg in jpegs])
    joined = ",".join(base64.b64encode(jpeg).decode() for jpeg in jpegs)
    frames_in_one = [{"type": "video_url", "video_url": {"url": f"data:video/jpeg;base64,{joined}"}}, sound, text]
    expected = network.describe(frames=seen, sound=waveform, sample_rate=16_000, question=QUESTION).text
    assert ask(address, [{"role": "user", "content": frames_in_one}]).choices[0].message.content == expected


def test_silence_stands_in_only_where_it_is_allowed(network: Any, address: str, tmp_path: Path) -> None:
    frames, parts = pictures_of(tmp_path)
    messages = [{"role": "user", "content": [*parts, {"type": "text", "text": QUESTION}]}]
    with pytest.raises(openai.BadRequestError, match="--missing-sound silence"):
        ask(address, messages)
    silence = {"sound": np.zeros(16_000, np.float32), "sample_rate": 16_000}
    with serving(WatchedModel(network, silence_for_none=True)) as (other, _):
        found = ask(other, messages)
        assert found.choices[0].message.content == network.describe(frames=frames, question=QUESTION, **silence).text
        assert found.model_extra["silence_for"] == ["audio"]


def test_our_own_describer_asks_it(
    place: Path, network: Any, model: WatchedModel, address: str, tmp_path: Path
) -> None:
    table = tmp_path / "mine.csv"
    rows = [f"{name},{place / 'clips' / file},Hello!,happy" for name, file in (("a", "one.mp4"), ("b", "two.mkv"))]
    table.write_text("\n".join(["name,video,text,labels", *rows, ""]), encoding="utf-8")
    options = {"model": NAME, "base_url": address, "frames": "3", "concurrency": "2", "max_new_tokens": "20"}
    words = [word for name, value in options.items() for word in (f"--describer.{name}", value)]
    out = tmp_path / "out"
    answer = ["answer", "--describer", "openai", *words, "--sets", str(table), "--out", str(out), "--subtitle"]
    assert main(answer) == 0
    found = {row.name: row.response for row in read_predictions(out)}
    assert sorted(found) == ["a", "b"]
    expected = set()
    for request in model.asked:
        assert request.subtitle == "Hello!"
        sent = [base64.b64decode(part.url.partition(",")[2]) for part in request.media]
        frames = np.stack([cv2.imdecode(np.frombuffer(one, np.uint8), 1)[..., ::-1] for one in sent[:-1]])
        waveform = np.frombuffer(sent[-1][44:], "<i2").astype(np.float32) / 32768
        given = {"frames": frames, "sound": waveform, "sample_rate": 16_000, "subtitle": "Hello!"}
        expected.add(network.describe(**given, question=request.question, max_new_tokens=20).text.strip())
    assert set(found.values()) == expected


BAD_PART = [{"role": "user", "content": [{"type": "image_file", "image_file": {}}]}]


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ({"model": "gpt-4o"}, 404, "Set `model` to 'exported'"),
        ({"temperature": 9}, 400, "`temperature` to a number from 0 to 2; got 9"),
        ({"temperature": 0.001}, 400, "0 (greedy) or 0.01 and more"),
        ({"n": 100}, 400, "`n` to a whole number from 1 to 8"),
        ({"max_tokens": 0}, 400, "`max_tokens` to a whole number from 1"),
        ({"stop": ["a"] * 5}, 400, "4 texts at most"),
        ({"stop": ""}, 400, "none of them empty"),
        ({"seed": True}, 400, "Set `seed`"),
        ({"logprobs": True}, 400, "cannot obey True"),
        ({"presence_penalty": 0.5}, 400, "cannot obey 0.5"),
        ({"response_format": {"type": "json_object"}}, 400, "cannot obey"),
        ({"extra_body": {"best_of": 3}}, 400, "Leave `best_of` out"),
        ({"extra_body": {"subtitle": 3}}, 400, "Set `subtitle` to a text"),
        ({"messages": [{"role": "system", "content": "Be brief."}]}, 400, "one message of the role `user`"),
        ({"messages": BAD_PART}, 400, "takes text, input_audio, video_url"),
        ({"messages": [{"role": "user", "content": "hm"}]}, 400, "this network sees"),
        ({"messages": clip_and("word", Path(__file__))}, 400, "your own question; got 'word'"),
        ({"stream_options": {"include_usage": True}}, 400, "only with `stream`"),
    ],
)
def test_what_cannot_be_obeyed_is_refused(
    options: dict[str, Any], status: int, message: str, address: str, place: Path
) -> None:
    asked = {"model": NAME, "messages": clip_and(QUESTION, place / "clips" / "one.mp4"), **options}
    with pytest.raises(openai.APIStatusError) as refused:
        client_of(address).chat.completions.create(**asked)
    assert refused.value.status_code == status
    assert message in refused.value.body["message"]
    assert refused.value.body["type"] == "invalid_request_error"


def test_values_without_effect_pass(place: Path, address: str) -> None:
    messages = clip_and(QUESTION, place / "clips" / "one.mp4")
    plain = ask(address, messages)
    same = ask(
        address,
        messages,
        frequency_penalty=0,
        presence_penalty=0.0,
        logprobs=False,
        user="somebody",
        response_format={"type": "text"},
        extra_body={"logit_bias": {}, "tools": None},
    )
    assert same.choices == plain.choices


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_broken_clip_is_told_and_the_next_is_answered(is_streamed: bool, place: Path, address: str) -> None:
    with pytest.raises(openai.BadRequestError, match="video.mp4 cannot be read") as refused:
        ask(address, clip_and(QUESTION, place / "clips" / "broken.mp4"), stream=is_streamed)
    assert refused.value.code == "unreadable_clip"
    assert ask(address, clip_and(QUESTION, place / "clips" / "one.mp4")).choices[0].message.content


def test_four_at_once_get_their_own_answers(place: Path, network: Any, address: str) -> None:
    clips = [place / "clips" / name for name in ("one.mp4", "two.mkv")] * 2
    questions = [QUESTION, QUESTION, "Does the person hesitate?", "Does the person smile?"]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda clip, text: ask(address, clip_and(text, clip)), clips, questions))
    expected = [network.describe(clip, question=text).text for clip, text in zip(clips, questions, strict=True)]
    assert [one.choices[0].message.content for one in found] == expected
    assert len(set(expected)) > 1


def test_more_than_may_wait_are_told_to_come_later(place: Path, network: Any) -> None:
    model = WatchedModel(network)
    model.may_answer.clear()
    messages = clip_and(QUESTION, place / "clips" / "one.mp4")
    with serving(model, waiting=1) as (address, endpoint), ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(ask, address, messages) for _ in range(2)]
        end = time.monotonic() + LONGEST
        while endpoint.places.taken < 2 and time.monotonic() < end:
            time.sleep(0.01)
        with pytest.raises(openai.RateLimitError) as refused:
            ask(address, messages)
        assert int(refused.value.response.headers["retry-after"]) >= 1
        model.may_answer.set()
        assert all(one.result(LONGEST).choices for one in waiting)
        assert ask(address, messages).choices


@pytest.mark.parametrize("is_streamed", [False, True])
def test_the_answer_ends_when_its_client_leaves(is_streamed: bool, place: Path, network: Any) -> None:
    model = WatchedModel(network)
    model.holds = True
    body = {"model": NAME, "messages": clip_and(QUESTION, place / "clips" / "one.mp4"), "stream": is_streamed}
    with serving(model) as (address, endpoint):
        connection = http.client.HTTPConnection(address.split("/")[2], timeout=LONGEST)
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        assert model.has_begun.wait(LONGEST)
        connection.close()
        end = time.monotonic() + LONGEST
        while endpoint.places.taken and time.monotonic() < end:
            time.sleep(0.01)
        assert model.ended_by == [499]
        model.holds = False
        assert ask(address, body["messages"]).choices


def test_time_is_bounded(place: Path, network: Any) -> None:
    model = WatchedModel(network)
    model.holds = True
    with serving(model, timeout=1.0) as (address, _), pytest.raises(openai.APIStatusError) as refused:
        ask(address, clip_and(QUESTION, place / "clips" / "one.mp4"))
    assert refused.value.status_code == 504
    assert refused.value.body["code"] == "timeout"


def raw(address: str, body: Any, path: str = "/v1/chat/completions", **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(address.split("/")[2], timeout=LONGEST)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("POST", path, body, {"Content-Type": "application/json", **named})
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    finally:
        connection.close()


def test_bodies_are_bounded_and_plain(network: Any) -> None:
    with serving(WatchedModel(network), most_bytes=2000) as (address, endpoint):
        assert raw(address, b"x" * 3000)[0] == 413
        assert raw(address, iter([b"x" * 3000]))[0] == 413
        assert raw(address, iter([b"x" * 1500, b"x" * 1500]))[0] == 413
        assert raw(address, b"{", Content_Type="application/json")[0] == 400
        assert raw(address, b"[" * 1900)[0] == 400
        assert raw(address, b'{"model": NaN}')[0] == 400
        assert raw(address, b"{}", Content_Type="text/plain")[0] == 415
        assert raw(address, b"{}", Content_Encoding="gzip")[0] == 415
        status, told = raw(address, b"{}", path="/v1/completions")
        assert (status, told["error"]["code"]) == (404, "not_found")
        assert raw(address, b"{}", Host="evil.example")[0] == 403
        assert endpoint.places.taken == 0


def test_a_key_is_asked_for(place: Path, network: Any) -> None:
    messages = clip_and(QUESTION, place / "clips" / "one.mp4")
    with serving(WatchedModel(network), key="s3cret") as (address, _):
        for key in ("none", "s3cre", "s3cretx"):
            with pytest.raises(openai.AuthenticationError) as refused:
                client_of(address, key).models.list()
            assert "s3cret" not in str(refused.value.body)
        client = client_of(address, "s3cret")
        assert [one.id for one in client.models.list()] == [NAME]
        assert client.models.retrieve(NAME).owned_by == "affect-lightning"
        assert client.chat.completions.create(model=NAME, messages=messages).choices  # type: ignore[arg-type]
        connection = http.client.HTTPConnection(address.split("/")[2], timeout=LONGEST)
        connection.request("GET", "/health")
        assert json.loads(connection.getresponse().read()) == {"status": "ok"}
        connection.close()


def test_places_are_closed_until_they_are_allowed(place: Path, network: Any, tmp_path: Path) -> None:
    clip, outside = place / "clips" / "one.mp4", tmp_path / "outside"
    outside.mkdir()
    (place / "clips" / "link.mp4").symlink_to(place / "sound.wav")
    urls = [clip.as_uri(), "http://127.0.0.1:9/a.mp4", "https://example.org/a.mp4", str(clip), "ftp://127.0.0.1/a"]

    def content(url: str) -> Any:
        return [{"role": "user", "content": [{"type": "video_url", "video_url": {"url": url}}]}]

    with serving(WatchedModel(network)) as (address, _):
        for url in urls:
            with pytest.raises(openai.BadRequestError, match="data: URL"):
                ask(address, content(url))
    rules = MediaRules((place / "clips",), frozenset({"127.0.0.1"}), 10_000_000)
    with serving(WatchedModel(network, rules=rules)) as (address, _):
        assert ask(address, content(clip.as_uri())).choices[0].message.content == network.describe(clip).text
        for url in (
            (place / "sound.wav").as_uri(),
            (place / "clips" / "link.mp4").as_uri(),
            (place / "clips" / "no.mp4").as_uri(),
        ):
            with pytest.raises(openai.BadRequestError, match="no file below a folder that is allowed"):
                ask(address, content(url))
        with pytest.raises(openai.BadRequestError, match="--allow-host"):
            ask(address, content("https://example.org/a.mp4"))
        with file_server(clip) as url:
            assert ask(address, content(url)).choices[0].message.content == network.describe(clip).text
            with pytest.raises(openai.BadRequestError, match="cannot be fetched"):
                ask(address, content(url + "/elsewhere"))


class file_server:
    """One file over HTTP; `/elsewhere` is a redirect to another host."""

    def __init__(self, path: Path) -> None:
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.endswith("elsewhere"):
                    self.send_response(302)
                    self.send_header("Location", "http://example.org/")
                    self.end_headers()
                    return
                content = path.read_bytes()
                self.send_response(200)
                self.send_header("Content-Type", "video/mp4")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_address[1]}/clip.mp4"

    def __exit__(self, *_: Any) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def watched(texts: list[str], whole: str, stops: tuple[str, ...] = (), margin: int = 0) -> tuple[list[str], str]:
    """What is handed out of a growing text, piece by piece, and the answer."""
    pieces: list[str] = []
    watch = AnswerWatch(lambda text: text, stops, pieces.append, lambda: None, margin)
    for number, text in enumerate(texts, 1):
        try:
            watch.writes([text], [number], [False])
        except GenerationStopped:
            break
    return pieces, watch.ends(whole).text


@pytest.mark.parametrize(
    ("texts", "stops", "pieces"),
    [
        (["She", "She is", "She is gl", "She is glad."], (), ["She", " is", " glad."]),
        (["She do", "She do n", "She don't"], (), ["She", " do", "n't"]),  # a tokenizer that closes gaps
        (["高", "高\ufffd", "高兴", "高兴\ufffd"], (), ["高", "兴", "\ufffd"]),
        (["a\ufffd", "aé b"], ("\ufffd",), ["aé", " b"]),
        (["I see a", "I see a #", "I see a ##", "I see a ## b"], ("##",), ["I see", " a", " "]),
        (["I see #", "I see #1"], ("##",), ["I see", " #1"]),
    ],
)
def test_only_what_stays_is_handed_out(texts: list[str], stops: tuple[str, ...], pieces: list[str]) -> None:
    whole = texts[-1]
    found, answer = watched(texts, whole, stops, max(map(len, (*stops, " "))) - 1)
    assert found == pieces
    assert answer == "".join(pieces)
    assert cut_at(whole, stops) in (None, answer)


def test_an_answer_that_changes_its_beginning_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="no longer begins"):
        watched(["a b c d"], "x y z")
