"""The label extractor `openai` against a local server that answers, stumbles, refuses and hangs up."""

from __future__ import annotations

import gc
import importlib.util
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from affect_lightning.command_line.program import main
from affect_lightning.errors import AffectLightningError, ConfigurationError, DataError
from affect_lightning.plugin_loading import build_part
from affect_lightning_plugins.asked_models.chat_server import LONGEST_PAUSE, ChatServer, ServerError, _pause
from affect_lightning_plugins.asked_models.leaving import texts
from affect_lightning_plugins.label_extractors.openai_server import OpenAILabelExtractor
from language_model_server import Behaviour, ChatTestServer, hang_up, refuse, serving, silent_until
from patience import LONGEST

KEY = "sk-secret-0123456789"
PROMPTS = {"labels_prompt": "L:{response}", "sentiment_prompt": "S:{labels}"}
FEELINGS = {"She laughs.": ["happy"], "他很生气。": ["angry", "hurt"], "A table.": []}


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def well(prompt: str, earlier: int) -> str:
    """The labels of FEELINGS, or their sentiment."""
    step, judged = prompt.split(":", 1)
    if step == "L":
        return json.dumps(FEELINGS.get(judged, ["calm"]))
    return "positive" if "happy" in judged else "negative"


@pytest.fixture
def server() -> Iterator[ChatTestServer]:
    with serving(well) as running:
        yield running


def always(told: Any) -> Behaviour:
    return lambda prompt, earlier: told


def extractor(server: ChatTestServer | str, cache: Path, **options: Any) -> OpenAILabelExtractor:
    url = server if isinstance(server, str) else server.base_url
    chosen = {"model": "m", "base_url": url, "cache_dir": str(cache), "pause": 0.01, **PROMPTS, **options}
    return build_part("label_extractors", {"name": "openai", **chosen})


def test_both_steps(server: ChatTestServer, tmp_path: Path) -> None:
    asker = extractor(server, tmp_path)
    responses = [*FEELINGS, "", "  She laughs. "]
    labels = asker.extract(responses)
    assert labels == [*FEELINGS.values(), [], ["happy"]]
    assert asker.sentiment(labels) == ["positive", "negative", "neutral", "neutral", "positive"]
    # Each distinct text once, nothing about what is empty.
    assert sorted(server.prompts) == sorted([*(f"L:{text}" for text in FEELINGS), "S:happy", "S:angry, hurt"])
    assert server.bodies[0] == {
        "model": "m",
        "temperature": 0,
        "max_tokens": 128,
        "messages": [{"role": "user", "content": server.prompts[0]}],
    }
    assert "Authorization" not in server.headers[0]


def test_default_prompts_and_extra_fields(server: ChatTestServer, tmp_path: Path) -> None:
    server.behaviour = lambda prompt, earlier: "['happy']"
    extra = {"max_tokens": None, "max_completion_tokens": 7, "chat_template_kwargs": {"enable_thinking": False}}
    asker = extractor(server, tmp_path, labels_prompt=None, sentiment_prompt=None, extra_body=extra)
    assert asker.extract(["She laughs."]) == [["happy"]]
    (body,) = server.bodies
    assert "She laughs." in body["messages"][0]["content"]
    assert "max_tokens" not in body
    assert body["max_completion_tokens"] == 7
    assert body["chat_template_kwargs"] == {"enable_thinking": False}


def test_answers_are_asked_once_for_all_runs(server: ChatTestServer, tmp_path: Path) -> None:
    first = extractor(server, tmp_path).extract(list(FEELINGS))
    asked = len(server.prompts)
    assert extractor(server, tmp_path).extract(list(FEELINGS)) == first
    assert len(server.prompts) == asked
    # Another prompt, revision, model or request asks anew.
    for other in ({"labels_prompt": "L: {response}"}, {"revision": "2"}, {"model": "n"}, {"max_new_tokens": 9}):
        extractor(server, tmp_path, **other).extract(["She laughs."])
        asked += 1
        assert len(server.prompts) == asked, other
    # How it is asked does not matter.
    extractor(server, tmp_path, concurrency=1, timeout=9.0, attempts=1).extract(list(FEELINGS))
    assert len(server.prompts) == asked


def test_questions_are_in_flight_together_but_not_more_than_allowed(tmp_path: Path) -> None:
    four = threading.Barrier(4)

    def together(prompt: str, earlier: int) -> str:
        four.wait(timeout=LONGEST)  # breaks, and the server with it, unless four come
        return "[]"

    with serving(together) as server:
        extractor(server, tmp_path, concurrency=4, timeout=2 * LONGEST).extract([f"text {i}" for i in range(24)])
        assert server.most_at_once == 4


def asked_server(server: ChatTestServer, concurrency: int) -> ChatServer:
    """The one to ask, without a plugin around it."""
    return ChatServer.of_model(
        "m", base_url=server.base_url, api_key_variable="NO_KEY", max_new_tokens=8, extra_body=None, leaving=texts(),
        concurrency=concurrency, timeout=LONGEST, attempts=1, pause=0.0,
    )  # fmt: skip


def test_a_question_is_sent_when_an_earlier_answer_was_taken() -> None:
    """So a killed run repeats no more questions than are in flight, however slowly answers are kept."""
    with serving(always("[]")) as server:
        asked = asked_server(server, concurrency=3)
        answers = asked.ask_all([f"text {number}" for number in range(12)])
        found = {}
        for taken in range(1, 13):
            found.update(next(answers))
            time.sleep(0.02)  # in which all of them could be sent
            assert len(server.prompts) <= 3 + taken - 1
        assert next(answers, None) is None
    assert found == dict.fromkeys(range(12), "[]")


def test_the_connections_are_closed_with_the_server_that_is_asked() -> None:
    with serving(always("[]")) as server:
        asked = asked_server(server, concurrency=1)
        assert list(asked.ask_all(["text"])) == [{0: "[]"}]
        client = asked._client
        assert not client.is_closed()
        del asked
        end = time.monotonic() + LONGEST
        while not client.is_closed() and time.monotonic() < end:  # a thread that asked may still be leaving
            gc.collect()
            time.sleep(0.01)
        assert client.is_closed()


@pytest.mark.parametrize(
    "stumble",
    [
        refuse(429, "slow down"),
        refuse(429, "slow down", Retry_After="0.01"),
        refuse(429, "slow down", Retry_After="Wed, 21 Oct 2026 07:28:00 GMT"),
        refuse(500),
        refuse(502, "<html>bad gateway</html>"),
        refuse(503),
        refuse(200, "this is not JSON"),
        refuse(200, '{"choices": []}'),
        refuse(200, '{"error": {"message": "overloaded"}}'),
        refuse(200, "[1]"),
        refuse(200, "\xff\xfe{"),
        hang_up,
    ],
    ids=["429", "429-wait", "429-date", "500", "502", "503", "no-json", "empty", "error", "list", "bytes", "cut"],
)
def test_what_may_pass_is_tried_again(stumble: Any, tmp_path: Path) -> None:
    with serving(lambda prompt, earlier: stumble if earlier < 2 else well(prompt, earlier)) as server:
        assert extractor(server, tmp_path).extract(["She laughs.", "A table."]) == [["happy"], []]
        assert len(server.prompts) == 6


def test_a_server_that_says_nothing_is_asked_again(tmp_path: Path) -> None:
    asked_enough = threading.Event()
    silence = silent_until(asked_enough)
    with serving(lambda prompt, earlier: silence if earlier < 1 else well(prompt, earlier)) as server:
        assert extractor(server, tmp_path, timeout=1.0, attempts=200).extract(["She laughs."]) == [["happy"]]
        assert len(server.prompts) >= 2
        asked_enough.set()
    asked_enough.clear()
    with serving(lambda prompt, earlier: silence) as server:
        with pytest.raises(ServerError, match=r"no answer in 2 tries; the last time: (TimeoutError|timeout): "):
            extractor(server, tmp_path / "other", timeout=0.2, attempts=2).extract(["x"])
        assert len(server.prompts) <= 2
        asked_enough.set()


def test_a_server_that_stays_ill_ends_the_run_and_keeps_what_it_said(tmp_path: Path) -> None:
    def half(prompt: str, earlier: int) -> Any:
        return refuse(503, "still loading") if prompt == "L:bad" else well(prompt, earlier)

    good = [f"text {i}" for i in range(20)]
    with serving(half) as server:
        with pytest.raises(ServerError, match=r"gave no answer in 3 tries; the last time: status 503: still loading"):
            extractor(server, tmp_path, attempts=3, concurrency=2).extract([*good[:10], "bad", *good[10:]])
        assert server.prompts.count("L:bad") == 3
        answered = {prompt for prompt in server.prompts if prompt != "L:bad"}
        server.behaviour, server.prompts = well, []
        assert extractor(server, tmp_path).extract([*good, "bad"]) == [["calm"]] * 21
        assert len(answered) >= 10
        assert set(server.prompts) == {f"L:{text}" for text in [*good, "bad"]} - answered


def test_nobody_listens(tmp_path: Path) -> None:
    with serving(well) as server:
        url = server.base_url
    with pytest.raises(ServerError, match=r"no answer in 2 tries; the last time: ConnectionRefusedError"):
        extractor(url, tmp_path, attempts=2).extract(["x"])


def test_a_wrong_key_is_explained_and_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MY_KEY", KEY)
    with serving(well, key="another") as server:
        asker = extractor(server, tmp_path, api_key_variable="MY_KEY", concurrency=2)
        with pytest.raises(
            ConfigurationError, match=r"rejects the key \(status 401\).*MY_KEY holds a key that"
        ) as caught:
            asker.extract([f"text {i}" for i in range(50)])
        assert len(server.prompts) <= 2  # those in flight, and not again
        with pytest.raises(ConfigurationError, match="OPENAI_API_KEY is not set"):
            extractor(server, tmp_path).extract(["x"])
        server.key = KEY
        assert asker.extract(["She laughs."]) == [["happy"]]
    shown = [str(caught.value), repr(caught.value), repr(vars(asker)), asker.identity(), caplog.text]
    shown += [path.read_text(encoding="utf-8") for path in tmp_path.rglob("*") if path.is_file()]
    assert not [text for text in shown if KEY in text]
    chain: BaseException | None = caught.value
    while chain is not None:
        assert KEY not in str(chain)
        chain = chain.__cause__ or chain.__context__


@pytest.mark.parametrize("status", [200, 400, 404, 503])
@pytest.mark.parametrize("before", [0, 290])
def test_a_server_that_repeats_the_key_does_not_make_us_show_it(
    status: int, before: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with (
        serving(lambda prompt, earlier: refuse(status, "x" * before + KEY)) as server,
        pytest.raises(AffectLightningError, match=r"\*\*\*") as caught,
    ):
        extractor(server, tmp_path, attempts=2).extract(["x"])
    assert KEY[:6] not in str(caught.value)


def test_a_redirect_does_not_carry_the_key_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serving(well) as elsewhere:
        target = f"{elsewhere.base_url}/chat/completions"
        for status in (301, 302, 303, 307, 308):
            moved = refuse(status, "moved", Location=target)
            with serving(always(moved)) as server:
                with pytest.raises(ConfigurationError, match=f"status {status}.*It points to {target}"):
                    extractor(server, tmp_path).extract(["x"])
                assert len(server.prompts) == 1
        assert elsewhere.prompts == []


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (404, ConfigurationError, r"does not answer \(status 404\): The model m is unknown.*listed at .*/v1/models"),
        (403, ConfigurationError, r"rejects the key \(status 403\)"),
        (400, ServerError, r"rejects the request \(status 400\): The model m is unknown.*extra_body"),
        (422, ServerError, r"rejects the request \(status 422\)"),
    ],
)
def test_a_refusal_is_not_tried_again(
    status: int, error: type[AffectLightningError], message: str, tmp_path: Path
) -> None:
    with serving(lambda prompt, earlier: refuse(status, "The model m is unknown")) as server:
        with pytest.raises(error, match=message):
            extractor(server, tmp_path).extract(["x"])
        assert len(server.prompts) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base_url": "localhost:8000/v1"}, "Expected base_url to be an address such as http"),
        ({"base_url": "file:///etc/passwd"}, "Expected base_url"),
        ({"base_url": "http://[::1/v1"}, "Expected base_url"),
        ({"base_url": "http://host/v1?key=1"}, "Expected base_url"),
        ({"base_url": "http://me:secret@host/v1"}, "user name or password"),
        ({"concurrency": 0}, "concurrency >= 1"),
        ({"timeout": 0.0}, "timeout > 0"),
        ({"attempts": 0}, "attempts >= 1"),
        ({"pause": -1.0}, "pause >= 0"),
        ({"extra_body": {"stream": True}}, "extra_body sets stream"),
        ({"labels_prompt": "no"}, "labels_prompt"),
    ],
)
def test_wrong_options_fail_before_anything_is_asked(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        extractor("http://127.0.0.1:9/v1", tmp_path, **options)
    assert "secret" not in str(caught.value)


def test_a_missing_client_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *rest: None if name == "openai" else find_spec(name))
    with pytest.raises(
        ConfigurationError, match=r"needs the package openai: run `pip install 'affect-lightning\[openai\]'`"
    ):
        extractor("http://127.0.0.1:9/v1", tmp_path)


def test_a_key_that_cannot_be_sent_is_refused_without_showing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\n{KEY}")
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY holds no key") as caught:
        extractor("http://127.0.0.1:9/v1", tmp_path)
    assert KEY not in str(caught.value)


def test_pauses_grow_and_end() -> None:
    middles = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    for attempt, middle in enumerate(middles, 1):
        assert all(0.75 * middle <= _pause(1.0, attempt, 0.0) <= 1.25 * middle for _ in range(20))
    assert _pause(1.0, 1, 7.0) == 7.0
    assert _pause(1.0, 1, 1e9) == LONGEST_PAUSE


def test_unreadable_answers_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    said = {"L:a": "I cannot see.", "L:b": "['sad']", "L:c": "I cannot see.", "L:d": "[]", "S:sad": "mixed"}
    with serving(lambda prompt, earlier: said[prompt]) as server:
        asker = extractor(server, tmp_path)
        labels = asker.extract(["a", "b", "c", "d", "a"])
        assert labels == [[], ["sad"], [], [], []]
        assert asker.sentiment(labels) == ["neutral"] * 5
        assert asker.unparsable == {"labels": 2, "sentiment": 1}
        assert "2 answers of the language model are not a list of labels" in caplog.text
        again = extractor(server, tmp_path)
        again.extract(["a", "b", "c", "d"])
        assert again.unparsable == {"labels": 2, "sentiment": 0}


def test_identity_tells_what_a_score_depends_on(tmp_path: Path) -> None:
    def identity(**options: Any) -> str:
        return extractor("http://host/v1/", tmp_path, **options).identity()

    assert identity(revision="2026-01").startswith("openai m at http://host/v1, revision 2026-01, prompts ")
    assert "revision unstated" in identity()
    assert identity() == identity(concurrency=3, timeout=5.0)
    others: list[dict[str, Any]] = [
        {"model": "n"},
        {"revision": "1"},
        {"labels_prompt": "{response}"},
        {"max_new_tokens": 5},
    ]
    assert len({identity(**other) for other in [{}, *others]}) == 5


RUN = """
import sys
from affect_lightning.plugin_loading import build_part
url, cache, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
options = {"model": "m", "base_url": url, "cache_dir": cache, "labels_prompt": "L:{response}", "concurrency": 4}
labels = build_part("label_extractors", {"name": "openai", **options}).extract([f"text {i}" for i in range(count)])
print(labels == [["calm"]] * count)
"""


def start(words: Sequence[str]) -> subprocess.Popen[str]:
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "encoding": "utf-8"}
    return subprocess.Popen([sys.executable, "-c", RUN, *words], env=dict(os.environ), **pipes)


def test_a_killed_run_loses_what_was_in_flight_and_nothing_else(tmp_path: Path) -> None:
    killed = threading.Event()

    def slowly(prompt: str, earlier: int) -> str:
        time.sleep(0.02)
        if len(server.prompts) > 200:
            killed.wait(LONGEST)  # the run never gets through before it is killed
        return '["calm"]'

    with serving(slowly) as server:
        run = start([server.base_url, str(tmp_path), "400"])
        deadline = time.monotonic() + LONGEST
        while len(server.prompts) < 40 and run.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
        killed.set()
        _, complaint = run.communicate(timeout=LONGEST)
        assert run.returncode == -signal.SIGKILL, complaint
        while server.at_once and time.monotonic() < deadline:
            time.sleep(0.01)
        before = len(server.prompts)
        assert 40 <= before < 400
        (kept,) = tmp_path.glob("*.jsonl")
        lines = sum(1 for line in kept.read_text(encoding="utf-8").splitlines() if line)
        assert before - 2 * 4 <= lines <= before  # answered but not yet written: at most those of the four threads
        next_run = start([server.base_url, str(tmp_path), "400"])
        said, complaint = next_run.communicate(timeout=LONGEST)
        assert said.strip() == "True", complaint
        assert len(server.prompts) - before == 400 - lines


def test_two_processes_share_one_file(server: ChatTestServer, tmp_path: Path) -> None:
    runs = [start([server.base_url, str(tmp_path), count]) for count in ("60", "90")]
    for run in runs:
        said, complaint = run.communicate(timeout=LONGEST)
        assert said.strip() == "True", complaint
    (kept,) = tmp_path.glob("*.jsonl")
    entries = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines() if line]
    assert {entry["judged"] for entry in entries} == {f"text {i}" for i in range(90)}
    asked = len(server.prompts)
    assert extractor(server, tmp_path, **{"sentiment_prompt": None}).extract(["text 89"]) == [["calm"]]
    assert len(server.prompts) == asked


def test_the_test_command_takes_it_from_yaml(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (Path(__file__).parent / "tiny.yaml").read_text(encoding="utf-8").splitlines()
    assert lines[-1] == "  label_extractor: rules"
    configuration = tmp_path / "served.yaml"
    with serving(lambda prompt, earlier: "['happy']" if prompt.startswith("L:") else "positive") as server:
        chosen = {"name": "openai", "model": "m", "base_url": server.base_url, "cache_dir": str(tmp_path / "kept")}
        lines[-1] = f"  label_extractor: {json.dumps({**chosen, **PROMPTS})}"
        configuration.write_text("\n".join(lines), encoding="utf-8")
        words = ["test", "--config", str(configuration), "--data.benchmark_root", str(corpus)]
        words += ["--data.train_root", str(corpus), "--data.cache_folder", str(tmp_path / "boxes")]
        words += ["--trainer.logger.init_args.save_dir", str(tmp_path)]
        assert main(words) == 0, capsys.readouterr().err
        asked = len(server.prompts)
        assert asked > 0
        (report,) = tmp_path.rglob("report.json")
        assert f"openai m at {server.base_url}" in report.read_text(encoding="utf-8")
        assert main([*words, "--benchmark.label_extractor.revision", "v2"]) == 0
        assert len(server.prompts) == 2 * asked


def test_plugins_command_shows_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "openai"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for part in ("label extractor", "base_url", "api_key_variable", "Environment variable that holds the key", "dict["):
        assert part in shown
    assert main(["plugins", "causal-lm", "--json"]) == 0
    plugins = json.loads(capsys.readouterr().out)["plugins"]
    assert [plugin["group"] for plugin in plugins] == ["language_models", "label_extractors", "clue_mergers"]
    options = {option["name"]: option for option in plugins[1]["options"]}
    assert options["batch_size"]["type"] == "int"
    assert options["model"]["default"] == "required"
    assert all(option["help"] for option in options.values())
    assert main(["plugins", "causal-lm", "--group", "label_extractors"]) == 0
    shown = capsys.readouterr().out
    assert "labels_prompt" in shown
    assert "lora_rank" not in shown


def test_a_cache_that_cannot_be_written_is_named(server: ChatTestServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(DataError, match=r"cannot be (kept|read).*cache_dir"):
        extractor(server, tmp_path / "file").extract(["x"])
