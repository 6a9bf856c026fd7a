"""`affect-lightning annotate review`: the real preferences, the figures, and the blind study in a real browser."""

from __future__ import annotations

import csv
import http.client
import json
import math
import random
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from affect_lightning.annotation.preferences import (
    PAIR_COLUMNS,
    Judgement,
    Pair,
    read_judgements,
    read_pairs,
    summarise,
    write_judgements,
)
from affect_lightning.annotation.rater_statistics import bradley_terry, krippendorff_alpha, wilson_interval
from affect_lightning.annotation.review_server import ReviewServer, find_media
from affect_lightning.annotation.review_store import ReviewStore
from affect_lightning.command_line.program import main
from affect_lightning.errors import ConfigurationError, DataError
from browser_driving import Page, opened_browser
from test_annotation_crowd import annotate_json

HOSTILE = (
    "</p><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">{{ 7 * 7 }} & 'more'"
)


# --- verdicts of a file ---


def test_the_real_preferences(reference: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = reference / "emoprefer" / "preferences.csv"
    found = annotate_json(capsys, "review", "--import", file)
    assert (found["source"], found["wins"], found["losses"], found["ties"]) == ("mercaptionplus", 226, 60, 9)
    low, high = found["interval"]
    assert (low, high) == (pytest.approx(0.7393, abs=1e-4), pytest.approx(0.8333, abs=1e-4))
    assert (found["longer_wins"], found["decided_lengths"]) == (226, 286)
    assert "the longer text won 226 of 286 decided pairs" in found["length_warning"]
    assert found["alpha"] is None, "one verdict a pair"
    strengths = found["strengths"]
    assert strengths["mercaptionplus"]["interval"][0] > strengths["merrfine"]["interval"][1]
    other = annotate_json(capsys, "review", "--import", file, "--source", "merrfine")
    assert (other["wins"], other["losses"], other["ties"]) == (60, 226, 9)
    assert main(["annotate", "review", "--import", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "226, 60, 9" in printed
    assert "Length alone explains" in printed


def pair(
    name: str, first: str = "one two three", second: str = "one", sources: Sequence[str] = ("ours", "theirs")
) -> Pair:
    return Pair(name, sources[0], first, sources[1], second)


def judged(winners: Sequence[str | None], **texts: str) -> list[Judgement]:
    return [Judgement(pair(f"clip{number}", **texts), "", winner) for number, winner in enumerate(winners)]


def test_length_is_warned_of_only_where_it_explains_the_choices() -> None:
    assert summarise(judged(["ours"] * 20))["length_warning"]
    assert not summarise(judged(["ours"] * 20, first="a", second="b"))["length_warning"], "equal lengths"
    assert not summarise(judged(["theirs"] * 20))["length_warning"], "the shorter text wins"
    assert not summarise(judged(["ours"] * 11 + ["theirs"] * 9))["length_warning"], "no more than chance"
    half = [*judged(["ours"] * 20), *judged(["ours"] * 20, first="a", second="a b c")]
    renamed = [
        Judgement(pair(f"c{n}", one.pair.first_text, one.pair.second_text), "", one.winner)
        for n, one in enumerate(half)
    ]
    found = summarise(renamed)
    assert (found["longer_wins"], found["longer_of_source"]) == (20, 20)
    assert not found["length_warning"], "the source wins whichever text is longer"


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def row(**changes: Any) -> dict[str, Any]:
    return dict(zip(PAIR_COLUMNS, ("a", "ours", "x y", "theirs", "x"), strict=True)) | {"preference": "a1"} | changes


def test_verdicts_are_read_however_they_are_written_and_come_back(tmp_path: Path) -> None:
    said = ["a1", "A2", "same", "theirs", "tie"]
    path = written(tmp_path / "v.csv", [row(name=str(number), preference=word) for number, word in enumerate(said)])
    found = read_judgements(path)
    assert [one.winner for one in found] == ["ours", "theirs", None, "theirs", None]
    write_judgements(tmp_path / "again.csv", found)
    assert read_judgements(tmp_path / "again.csv") == found
    with pytest.raises(ConfigurationError, match="nothing is overwritten"):
        write_judgements(tmp_path / "again.csv", found)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [row(preference="left or right")],
            r"line 2, column preference.*expected a1 \(or 1\), a2 \(or 2\), same \(or 0\), ours or theirs; found 'left or right'",
        ),
        ([row(model2="ours")], "both texts are of 'ours'"),
        ([row(a2="")], "column a2.*the cell is empty"),
        ([row(), row()], "line 3.*the pair was judged before, in line 2"),
        ([{"name": "a", "preference": "a1"}], "lacks the column model1, a1, model2, a2"),
    ],
)
def test_verdicts_that_cannot_be_read_are_refused(tmp_path: Path, rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_judgements(written(tmp_path / "v.csv", rows))


# --- figures ---


def test_wilson_bounds_solve_the_equation_that_defines_them() -> None:
    for successes, trials in ((0, 5), (3, 7), (226, 286), (9, 9)):
        interval = wilson_interval(successes, trials)
        assert interval is not None
        for bound in interval:
            deviation = 1.959963984540054 * math.sqrt(bound * (1 - bound) / trials)
            assert abs(successes / trials - bound) == pytest.approx(deviation, abs=1e-9)


def test_two_sources_have_the_closed_form() -> None:
    games = [("a", "b", "a")] * 30 + [("b", "a", "b")] * 10 + [("a", "b", None)] * 4
    found = bradley_terry(games)
    wins, losses = 30 + 2 + 0.5, 10 + 2 + 0.5
    difference = found["a"]["strength"] - found["b"]["strength"]
    assert difference == pytest.approx(math.log(wins / losses))
    # Each of two strengths with mean 0 is half the difference, and so is its deviation.
    half = 0.5 * math.sqrt(1 / wins + 1 / losses) * 1.959963984540054
    assert found["a"]["interval"] == pytest.approx((difference / 2 - half, difference / 2 + half))


def test_planted_strengths_are_within_their_intervals() -> None:
    draw = random.Random(4)
    planted = {"a": 0.9, "b": 0.1, "c": -1.0}
    games = []
    for _ in range(3000):
        first, second = draw.sample(sorted(planted), 2)
        chance = 1 / (1 + math.exp(planted[second] - planted[first]))
        games.append((first, second, first if draw.random() < chance else second))
    found = bradley_terry(games)
    for name, strength in planted.items():
        low, high = found[name]["interval"]
        assert low < strength < high
        assert high - low < 0.3


def test_alpha_of_a_published_case() -> None:
    """Krippendorff (2011), "Computing Krippendorff's alpha-reliability", example C: four observers, twelve units,
    nominal 0.743."""
    table = ["1 2 3 3 2 1 4 1 2 . . .", "1 2 3 3 2 2 4 1 2 5 . 3", ". 3 3 3 2 3 4 2 2 5 1 .", "1 2 3 3 2 4 4 1 2 5 1 ."]
    columns = zip(*(line.split() for line in table), strict=True)
    alpha = krippendorff_alpha([[value for value in column if value != "."] for column in columns])
    assert alpha == pytest.approx(0.743, abs=5e-4)


def test_agreement_of_raters_and_of_one_with_himself() -> None:
    both = [Judgement(pair(str(n)), rater, "ours" if n % 2 else "theirs") for n in range(6) for rater in ("x", "y")]
    found = summarise(both)
    assert found["alpha"] == pytest.approx(1.0)
    assert found["swap_consistency"] is None
    again = [Judgement(pair(str(n)), "x", "ours", is_repeat=True) for n in range(4)]
    repeated = summarise([*both, *again])["swap_consistency"]
    assert (repeated["same"], repeated["pairs"]) == (2, 4)
    assert summarise([*both, *again])["wins"] == found["wins"], "repeats count nowhere else"


# --- the study ---


def study(folder: Path, count: int = 4, repeats: float = 0.5, text: str = "") -> ReviewStore:
    pairs = [pair(f"clip{n}", f"ours {n}{text}", f"theirs {n}{text}") for n in range(count)]
    return ReviewStore.create(folder / "study.sqlite", pairs, seed=3, repeats=repeats)


def test_sides_and_orders_are_drawn_for_each_rater_and_stay(tmp_path: Path) -> None:
    store = study(tmp_path, count=40, repeats=0.25)
    seen: dict[str, list[tuple[int, bool]]] = {}
    for rater in ("ann", "bob"):
        store.enter(rater)
        store.enter(rater)
        while (showing := store.next_of(rater)) is not None:
            assert {showing.left.split()[0], showing.right.split()[0]} == {"ours", "theirs"}
            seen.setdefault(rater, []).append((showing.pair, showing.left.startswith("ours")))
            assert store.judge(rater, showing.place, "left")
            assert not store.judge(rater, showing.place, "right"), "a page that is sent twice changes nothing"
    for shown in seen.values():
        assert len(shown) == 50
        first, again = dict(shown[:40]), shown[40:]
        assert len(first) == 40
        assert all(first[number] is not left for number, left in again), "repeats have the sides swapped"
        assert 10 < sum(first.values()) < 30
    assert seen["ann"] != seen["bob"]
    found = summarise(store.judgements())
    assert found["swap_consistency"]["same"] == 0, "who always says left is not consistent"
    assert found["raters"] == ["ann", "bob"]
    counted = Counter(one.winner for one in store.judgements() if one.rater == "ann" and not one.is_repeat)
    assert counted["ours"] == sum(dict(seen["ann"][:40]).values())


def test_a_study_is_not_begun_over_another_and_other_files_are_none(tmp_path: Path) -> None:
    study(tmp_path)
    with pytest.raises(ConfigurationError, match="Leave out --pairs to go on"):
        study(tmp_path)
    (tmp_path / "text.sqlite").write_text("no study", encoding="utf-8")
    with pytest.raises(DataError, match="is not a study"):
        ReviewStore(tmp_path / "text.sqlite")
    with pytest.raises(DataError, match="Begin one with --pairs"):
        ReviewStore(tmp_path / "none.sqlite")
    with pytest.raises(ConfigurationError, match="from 0 to 1; got 2"):
        ReviewStore.create(tmp_path / "more.sqlite", [pair("a")], repeats=2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Give --study FILE.sqlite"),
        (["--import", "v.csv", "--pairs", "p.csv"], "Leave out --pairs"),
        (["--study", "s.sqlite", "--json"], "Add --results"),
        (["--study", "s.sqlite", "--results"], "There is no study s.sqlite"),
        (["--import", "v.csv", "--source", "other"], "No pair has a text of 'other'; the sources are ours, theirs"),
    ],
)
def test_wrong_words_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    written(Path("v.csv"), [row()])
    assert main(["annotate", "review", *words]) == 2
    assert message in capsys.readouterr().err


@contextmanager
def served(store: ReviewStore, **options: Any) -> Iterator[ReviewServer]:
    with ReviewServer(store, **options) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def asked(
    server: ReviewServer, path: str, host: str | None = None, form: dict[str, str] | None = None
) -> tuple[int, str, Any]:
    """Status, body and headers of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port)
    headers = {"Host": host} if host else {}
    if form is None:
        connection.request("GET", path, headers=headers)
    else:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request("POST", path, urlencode(form), headers)
    answer = connection.getresponse()
    body = answer.read().decode("utf-8", errors="replace")
    connection.close()
    return answer.status, body, answer.headers


def test_only_this_machine_and_only_with_the_whole_address(tmp_path: Path) -> None:
    with served(study(tmp_path)) as server:
        assert server.server_address[0] == "127.0.0.1"
        base = urlsplit(server.address).path
        status, body, headers = asked(server, base)
        assert status == 200
        assert "Your name" in body
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert asked(server, "/")[0] == 403
        assert asked(server, "/guess/")[0] == 403
        assert asked(server, base, host="evil.example:80")[0] == 403
        assert asked(server, f"{base}enter", host="evil.example", form={"rater": "eve"})[0] == 403
        assert asked(server, f"{base}other")[0] == 404
        assert asked(server, f"{base}clip/0")[0] == 404
        assert asked(server, f"{base}clip/../../etc/passwd")[0] == 404
        assert asked(server, f"{base}enter", form={"rater": " "})[0] == 400
        assert asked(server, f"{base}enter", form={"rater": "a" * 9999})[0] == 413
        assert not server.store.knows("eve")
        assert "Your name" in asked(server, f"{base}rate?rater=nobody")[1], "who never entered is asked for a name"
        assert asked(server, f"{base}enter", form={"rater": "ann"})[0] == 303
        for place in ("x", "-1", "99"):
            asked(server, f"{base}judge", form={"rater": "ann", "place": place, "side": "left"})
        assert asked(server, f"{base}judge", form={"rater": "ann", "place": "0", "side": "both"})[0] == 400
        assert server.store.judgements() == []


def test_hostile_texts_and_names_are_shown_as_text(tmp_path: Path) -> None:
    with served(study(tmp_path, text=HOSTILE)) as server:
        base = urlsplit(server.address).path
        name = "<b>ann</b>"
        asked(server, f"{base}enter", form={"rater": name})
        _, body, _ = asked(server, f"{base}rate?{urlencode({'rater': name})}")
        assert "<script" not in body
        assert "<img" not in body
        assert "<b>ann" not in body
        assert "&lt;script&gt;" in body
        assert "{{ 7 * 7 }}" in body, "a text is no template"


def test_a_clip_is_found_by_name_and_sent(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    (media / "clip1.wav").write_bytes(b"sound")
    (media / "clip1.mp4").write_bytes(b"video")
    (media / "other.mp4").write_bytes(b"secret")
    store = study(tmp_path)
    found = find_media(media, store.clips())
    assert found == {1: media / "clip1.mp4"}
    with served(store, media=found) as server:
        base = urlsplit(server.address).path
        status, body, headers = asked(server, f"{base}clip/1")
        assert (status, body, headers["Content-Type"]) == (200, "video", "video/mp4")
        assert asked(server, f"{base}clip/0")[0] == 404
    with pytest.raises(DataError, match="no file for any of the 4 clips"):
        find_media(tmp_path, store.clips())


# --- in a browser ---


def rate(page: Page, address: str, rater: str, prefers: str) -> int:
    """Enter under a name and judge every pair; returns how many were shown."""
    page.open(address)
    page.value(f"document.getElementById('rater').value = {json.dumps(rater)}")
    page.press("form button")
    shown = 0
    while page.text("#end") is None:
        left, right = page.text("#left"), page.text("#right")
        assert left
        assert right
        assert page.text("#progress") == f"{shown} of 6 judged by {rater}"
        side = "tie" if " 0" in left else "left" if left.startswith(prefers) else "right"
        page.press(f"button[value={side}]")
        shown += 1
    return shown


def test_two_raters_in_a_real_browser_and_the_counts_are_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Four pairs of hostile texts, half of them twice. Ann prefers our texts, Bob theirs; both find clip 0 equal."""
    store = study(tmp_path, text=HOSTILE)
    with served(store) as server, opened_browser(tmp_path) as page:
        for rater, prefers in (("Ann", "ours"), ("Bob <i>", "theirs")):
            assert rate(page, server.address, rater, prefers) == 6
            assert page.value("document.title") == "Which description fits better?", "no text has run"
        page.open(server.address)
        assert [one for one in page.messages if "favicon" not in one] == []
        assert {urlsplit(one).netloc for one in page.requests if one.startswith("http")} == {
            f"127.0.0.1:{server.server_port}"
        }
    found = annotate_json(capsys, "review", "--study", store.path, "--results", "--export", tmp_path / "verdicts.csv")
    assert found["raters"] == ["Ann", "Bob <i>"]
    assert (found["source"], found["pairs"]) == ("ours", 4)
    assert (found["wins"], found["losses"], found["ties"]) == (3, 3, 2)
    # Three pairs are judged in two ways, one in one: differing 3 * 2, expected (64 - 9 - 9 - 4) / 7.
    assert found["alpha"] == pytest.approx(1 - 6 / 6)
    assert (found["swap_consistency"]["same"], found["swap_consistency"]["pairs"]) == (4, 4)
    again = annotate_json(capsys, "review", "--import", tmp_path / "verdicts.csv", "--source", "ours")
    assert {key: again[key] for key in ("wins", "losses", "ties", "alpha")} == {
        key: found[key] for key in ("wins", "losses", "ties", "alpha")
    }


def test_the_command_serves_a_study_of_pairs_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    turned = row(name="b", model1="theirs", a1="x", model2="ours", a2="x y")
    pairs = written(tmp_path / "pairs.csv", [row(name="a"), row(name="b"), turned])
    assert len(read_pairs(pairs)) == 2, "the same pair the other way round is one"

    def look_once(server: ReviewServer) -> None:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        status, body, _ = asked(server, urlsplit(server.address).path)
        thread.join()
        assert (status, "Your name" in body) == (200, True)
        raise KeyboardInterrupt

    monkeypatch.setattr(ReviewServer, "serve_forever", look_once)
    path = tmp_path / "study.sqlite"
    assert main(["annotate", "review", "--pairs", str(pairs), "--study", str(path)]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("Open http://127.0.0.1:")
    assert f"Go on with: affect-lightning annotate review --study {path}" in printed.err
    assert ReviewStore(path).clips() == {0: "a", 1: "b"}
