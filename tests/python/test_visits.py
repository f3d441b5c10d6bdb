"""VisitManager in Python: what its own words add to the store, which tests/core tests; threads, forks, paths, texts and times."""

from __future__ import annotations

import copy
import dataclasses
import gc
import inspect
import os
import pickle
import random
import struct
import threading
import time
from array import array
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

import samebytes
from samebytes import Visit, VisitManager
from samebytes.errors import (
    ClosedError,
    CorruptError,
    InvalidArgumentError,
    LockedError,
    NotFoundError,
    TooLargeError,
    UnsupportedError,
)

from .conftest import output_of

WHEN = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
WHEN_NS = 1714979289123456000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "visits"


@pytest.fixture
def manager(path: Path) -> Iterator[VisitManager]:
    with VisitManager(path, 3) as manager:
        yield manager


def ids(manager: VisitManager, user: int) -> list[int]:
    return [visit.visit_id for visit in manager.get_recent_visits(user)]


# What is kept


def test_the_newest_come_first_and_the_oldest_go(manager: VisitManager) -> None:
    assert all(manager.add_visit(7, i, "/index", f"text {i}") for i in range(5))
    assert ids(manager, 7) == [4, 3, 2]
    assert manager.get_recent_visits(8) == []


def test_a_visit_has_its_parts(manager: VisitManager) -> None:
    before = datetime.now(UTC)
    manager.add_visit(user=4294967295, visit_id=0, url="/ä", text="")
    (visit,) = manager.get_recent_visits(user=4294967295)
    assert (visit.user, visit.visit_id, visit.url, visit.text) == (4294967295, 0, "/ä", "")
    assert visit.time.tzinfo is UTC
    assert before - timedelta(microseconds=1) <= visit.time <= datetime.now(UTC)
    assert visit.time_ns // 1000 == (visit.time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert visit.url is visit.url


@pytest.mark.parametrize(
    "moment", [WHEN, WHEN.astimezone(timezone(timedelta(hours=-9))), WHEN_NS], ids=["utc", "elsewhere", "nanoseconds"]
)
def test_a_time_is_kept(moment: datetime | int, manager: VisitManager) -> None:
    assert manager.add_visit(1, 1, "u", "t", moment)
    assert manager.add_visit_at(1, 2, "u", "t", WHEN_NS - 1)
    assert [(v.visit_id, v.time_ns, v.time) for v in manager.get_recent_visits(1)] == [
        (1, WHEN_NS, WHEN),
        (2, WHEN_NS - 1, WHEN - timedelta(microseconds=1)),
    ]


@pytest.mark.parametrize(
    ("moment", "error", "words"),
    [
        (datetime(2024, 5, 6), ValueError, "has no time zone"),
        (datetime(2300, 1, 1, tzinfo=UTC), OverflowError, "between the years 1678 and 2262"),
        (datetime(1600, 1, 1, tzinfo=UTC), OverflowError, "between the years 1678 and 2262"),
        (1 << 63, OverflowError, "is not from"),
        (1.5, TypeError, "a datetime, or an int of nanoseconds, is needed, not float"),
        (True, TypeError, "not bool"),
    ],
)
def test_a_time_that_cannot_be_is_refused(
    moment: object, error: type[Exception], words: str, manager: VisitManager
) -> None:
    with pytest.raises(error, match=words):
        manager.add_visit(1, 1, "u", "t", moment)  # type: ignore[arg-type]
    assert manager.get_recent_visits(1) == []


def test_opening_without_a_limit_never_deletes(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    with VisitManager(path, 1000) as manager:
        manager.add_visits([(1, i, "u", "t", i) for i in range(100)])
    for more in ({}, {"max_visits": None}, {"max_visits": 0}):
        for read_only in (True, False):
            with VisitManager(path, read_only=read_only, **more) as manager:  # type: ignore[arg-type]
                manager.get_recent_visits(1)
                assert (manager.get_stats().max_visits, manager.users()[0].visit_count) == (1000, 100)
        with VisitManager(path, **more) as manager:  # type: ignore[arg-type]
            manager.compact()
            manager.add_visit(1, 100, "u", "t")
            manager.delete_visits(1, [100])
    with VisitManager(path, 5, read_only=True) as manager:
        assert len(manager.get_recent_visits(1)) == 5
    with VisitManager(path) as manager:
        assert (manager.get_stats().max_visits, len(manager.get_recent_visits(1))) == (1000, 100)
    with VisitManager(tmp_path / "new") as manager:
        assert manager.get_stats().max_visits == 10


def test_the_extreme_times_are_kept(manager: VisitManager) -> None:
    for visit_id, extreme in enumerate((-0x7FFFFFFFFFFFFFFE, 0, 0x7FFFFFFFFFFFFFFF)):
        manager.add_visit(1, visit_id, "", "", extreme)
    assert [v.time_ns for v in manager.get_recent_visits(1)] == [0x7FFFFFFFFFFFFFFF, 0, -0x7FFFFFFFFFFFFFFE]
    assert [v.time.year for v in manager.get_recent_visits(1)] == [2262, 1970, 1677]


def test_delete_tells_whether_anything_was_there(manager: VisitManager) -> None:
    manager.add_visits([(1, i, "u", "t") for i in range(3)])
    assert manager.delete_visits(1, [1, 99]) is True
    assert manager.delete_visits(1, [1]) is False
    assert manager.delete_visits(1, []) is True
    assert manager.delete_visits(1, iter([0])) is True
    assert ids(manager, 1) == [2]


@pytest.mark.parametrize("erase", [False, True])
def test_clear_removes_a_user(erase: bool, manager: VisitManager, path: Path) -> None:
    manager.add_visits([(1, 1, "u", "secret one"), (2, 1, "u", "t")])
    assert manager.clear_user(1, erase=erase) is True
    assert (ids(manager, 1), ids(manager, 2)) == ([], [1])
    assert (b"secret one" in path.read_bytes()) is not erase


def test_users_and_scan_show_everybody(manager: VisitManager) -> None:
    manager.add_visits((user, i, f"/{user}", "t") for user in range(2000, 0, -1) for i in range(2))
    assert manager.users() == [(user, 2) for user in range(1, 2001)]
    expected = [(user, i) for user in range(1, 2001) for i in (1, 0)]
    assert [(visit.user, visit.visit_id) for visit in manager] == expected
    with manager.scan() as scan:
        first = scan.next(1)
        assert [(v.user, v.url) for v in first] == [(1, "/1"), (1, "/1")]
        assert len(first) + sum(1 for _ in scan) == 4000
        assert scan.next() == []
    with pytest.raises(ClosedError):
        scan.next()


def test_many_users_in_one_call(manager: VisitManager) -> None:
    manager.add_visits([(5, 1, "u", "t"), (3, 2, "u", "t"), (5, 3, "u", "t")])
    for users in ([5, 9, 3, 5], array("I", [5, 9, 3, 5]), iter([5, 9, 3, 5])):
        assert [(v.user, v.visit_id) for v in manager.get_recent_visits_of(users)] == [
            (5, 3), (5, 1), (3, 2), (5, 3), (5, 1),
        ]  # fmt: skip
    with pytest.raises(OverflowError, match=r"users\[1\]: -1 is not from 0 to 4294967295"):
        manager.get_recent_visits_of([1, -1])


# Adding many


def test_rows_may_be_visits_tuples_and_lists(manager: VisitManager, tmp_path: Path) -> None:
    rows = [
        Visit(1, "/a", b"raw", WHEN, user=6),
        (6, 2, "/b", "t", WHEN_NS + 1),
        [6, 3, b"/c", "t", None],
    ]
    assert manager.add_visits(rows) is True  # type: ignore[arg-type]
    found = manager.get_recent_visits(6)
    assert [(v.visit_id, v.url, v.text) for v in found] == [(3, "/c", "t"), (2, "/b", "t"), (1, "/a", "raw")]
    with VisitManager(tmp_path / "other") as other:
        other.add_visits(found)  # visits of one store go to another as they are
        assert other.get_recent_visits(6) == found


def test_columns_are_added_in_one_call(manager: VisitManager) -> None:
    manager.add_visit_columns(array("I", [1, 1, 2]), [1, 2, 3], ["/a", "/b", "/c"], [b"x", b"y", b"z"])
    assert (ids(manager, 1), ids(manager, 2)) == ([2, 1], [3])
    manager.add_visit_columns([4], [1], ["u"], ["t"], [WHEN])
    assert manager.get_recent_visits(4)[0].time_ns == WHEN_NS


def test_columns_of_strings_may_say_where_they_lie(manager: VisitManager, tmp_path: Path) -> None:
    values = bytearray(b"/a/bb")
    urls = samebytes.Column(values, lengths=[2, 3])
    texts = samebytes.Column(memoryview(b"onetwo"), offsets=[3, 0], lengths=array("i", [3, 3]))
    assert manager.add_visit_columns([1, 1], (n for n in (1, 2)), urls, texts, [20, None]) is True
    assert [(v.url, v.text) for v in manager.get_recent_visits(1)] == [("/bb", "one"), ("/a", "two")]
    assert values == b"/a/bb"
    manager.add_visit_columns([], [], [], [])
    manager.add_visit_columns([], [], samebytes.Column(None), samebytes.Column(), [])
    rows = [(n % 7, n, f"/{n}", "ü" * (n % 5), n) for n in range(500)]
    with VisitManager(tmp_path / "other", 3) as other:
        manager.clear_user(1)
        manager.add_visits(rows)
        users, visit_ids, paths, words, times = zip(*rows)
        other.add_visit_columns(users, visit_ids, paths, words, array("q", times))
        assert list(manager) == list(other)


def test_received_columns_become_visits_as_they_are(manager: VisitManager) -> None:
    schema = samebytes.Schema("Seen", "request", 1, [("url", "string"), ("text", "string"), ("time", "int64")])
    with samebytes.Builder() as builder, samebytes.Parser([schema]) as parser:
        builder.add_rows(schema, [0, 0, 0], [(b"/a", b"x", 5), (b"/b", b"", 7), (b"/a", b"z", 6)])
        parser.feed(bytes(builder))
        with parser.parse() as batch:
            columns = batch.columns()
            manager.add_visit_columns([4, 4, 5], [1, 2, 1], columns["url"], columns["text"], columns["time"])  # type: ignore[arg-type]
            del columns
    assert [(v.visit_id, v.url, v.text, v.time_ns) for v in manager] == [
        (2, "/b", "", 7),
        (1, "/a", "x", 5),
        (1, "/a", "z", 6),
    ]


@pytest.mark.parametrize(
    ("columns", "error", "words", "place"),
    [
        (([1, 2], [1], "uv", "tt"), TypeError, "a column is needed, not str", None),
        (([1, 2], [1], ["u", "v"], ["t", "t"]), InvalidArgumentError, "1 visit_ids for 2 visits", (-1, "visit_ids")),
        (([1, 2], [1, 2], ["u"], ["t", "t"]), InvalidArgumentError, "1 lengths for 2 visits", (-1, "urls")),
        (([1, 2], [1, 2], ["u", "v"], ["t"] * 3), InvalidArgumentError, "3 lengths for 2 visits", (-1, "texts")),
        (([1, 2], [1, 2], ["u", "v"], ["t", "t"], [5]), InvalidArgumentError, "1 times for 2", (-1, "times_ns")),
        (([1, 2], [1, 2], ["u", "v"], ["t", "t"], []), InvalidArgumentError, "0 times for 2", (-1, "times_ns")),
        (([1, -2], [1, 2], ["u", "v"], ["t", "t"]), OverflowError, r"users\[1\]: -2 is not from 0", None),
        (([1, 2], [1, 1 << 32], ["u", "v"], ["t", "t"]), OverflowError, r"visit_ids\[1\]: 4294967296", None),
        (([1, 2], [1, 2.5], ["u", "v"], ["t", "t"]), TypeError, "visit_ids: integers are needed", None),
        (
            ([1, 2], [1, 2], ["u", 3], ["t", "t"]),
            TypeError,
            r"visits\[1\]\.url: a str or bytes is needed, not int",
            None,
        ),
        (([1, 2], [1, 2], ["u", "v"], ["t", None]), TypeError, r"visits\[1\]\.text: .* not NoneType", None),
        (([1, 2], [1, 2], ["u", "\ud800"], ["t", "t"]), UnicodeEncodeError, "surrogates", None),
        (([1, 2], [1, 2], ["u", "v"], ["t", "t\0"]), InvalidArgumentError, "text has a NUL at byte 1", (1, "text")),
        (([1, 2], [1, 2], ["u", "v"], ["t", "t"], [1, "noon"]), TypeError, "a datetime, or an int", None),
        (
            ([1, 2], [1, 2], samebytes.Column(b"uv", lengths=[1, 2]), ["t", "t"]),
            samebytes.OutOfRangeError,
            "offset 1 and length 2 are not within the 2 bytes of urls",
            (1, "url"),
        ),
        (
            ([1, 2], [1, 2], ["u", "v"], ["t", "t"], array("q", [1, -(1 << 63)])),
            OverflowError,
            "time_ns",
            (1, "time_ns"),
        ),
    ],
)
def test_one_wrong_column_adds_none(
    columns: tuple[Any, ...],
    error: type[Exception],
    words: str,
    place: tuple[int, str] | None,
    manager: VisitManager,
) -> None:
    with pytest.raises(error, match=words) as refused:
        manager.add_visit_columns(*columns)
    if place is not None:
        assert isinstance(refused.value, samebytes.SamebytesError)
        assert (refused.value.frame, refused.value.field) == place
    assert manager.users() == []


@pytest.mark.parametrize(
    ("row", "error", "words"),
    [
        ((1, 2, "u"), TypeError, r"visits\[1\]: a Visit, or \(user, visit_id, url, text\)"),
        ("abcd", TypeError, r"visits\[1\]: a Visit or a tuple is needed, not str"),
        ((-1, 2, "u", "t"), OverflowError, r"visits\[1\]\.user: -1 is not from 0 to 4294967295"),
        ((1, 1 << 32, "u", "t"), OverflowError, r"visits\[1\]\.visit_id: 4294967296 is not from"),
        ((1, 2, 3, "t"), TypeError, r"visits\[1\]\.url: a str or bytes is needed, not int"),
        ((1, 2, "u", None), TypeError, r"visits\[1\]\.text: a str or bytes is needed, not NoneType"),
        ((1, 2, "u", "\0"), InvalidArgumentError, "text has a NUL at byte 0"),
        ((1, 2, "\ud800", "t"), UnicodeEncodeError, "surrogates"),
        ((1, 2, "u", "t", "noon"), TypeError, "a datetime, or an int"),
    ],
)
def test_one_wrong_row_adds_none(row: object, error: type[Exception], words: str, manager: VisitManager) -> None:
    with pytest.raises(error, match=words) as refused:
        manager.add_visits([(1, 1, "u", "t"), row])  # type: ignore[list-item]
    if isinstance(refused.value, samebytes.SamebytesError):
        assert (refused.value.frame, refused.value.field) == (1, "text")
    assert manager.users() == []


def test_a_failing_iterator_adds_none(manager: VisitManager) -> None:
    def rows() -> Iterator[tuple[int, int, str, str]]:
        yield 1, 1, "u", "t"
        raise KeyError("the source failed")

    with pytest.raises(KeyError, match="the source failed"):
        manager.add_visits(rows())
    assert manager.users() == []


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((-1, 1, "u", "t"), OverflowError),
        ((1 << 32, 1, "u", "t"), OverflowError),
        ((1, -1, "u", "t"), OverflowError),
        ((1, 1 << 64, "u", "t"), OverflowError),
        (("1", 1, "u", "t"), TypeError),
        ((1.0, 1, "u", "t"), TypeError),
        ((1, 1, None, "t"), TypeError),
        ((1, 1, "u", bytearray(b"t")), TypeError),
        ((1, 1, "u"), TypeError),
        ((1, 1, "u", "t", None, 3), TypeError),
        ((1, 1, "u\0", "t"), InvalidArgumentError),
        ((1, 1, "u" * (samebytes.VISIT_TEXT_MAX + 1), "t"), TooLargeError),
    ],
)
def test_wrong_arguments_are_refused(
    arguments: tuple[object, ...], error: type[Exception], manager: VisitManager
) -> None:
    with pytest.raises(error):
        manager.add_visit(*arguments)  # type: ignore[arg-type]
    with pytest.raises(error):
        manager.add_visits([arguments])  # type: ignore[list-item]
    assert manager.users() == []


def test_arguments_have_names(manager: VisitManager) -> None:
    with pytest.raises(TypeError, match="unexpected argument 'uesr'"):
        manager.add_visit(uesr=1, visit_id=1, url="u", text="t")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="twice the argument 'user'"):
        manager.add_visit(1, 1, "u", "t", user=1)  # type: ignore[misc]
    with pytest.raises(TypeError, match="needs the argument 'user'"):
        manager.get_recent_visits()  # type: ignore[call-arg]
    for bad in (-1, 1 << 32):
        with pytest.raises(OverflowError, match="user"):
            manager.get_recent_visits(bad)
        with pytest.raises(OverflowError, match="user"):
            manager.clear_user(bad)
        with pytest.raises(OverflowError, match="visit_ids"):
            manager.delete_visits(1, [bad])
    assert str(inspect.signature(VisitManager.add_visit)) == "(self, /, user, visit_id, url, text, time=None)"


# Visit


def test_visit_is_a_frozen_dataclass() -> None:
    visit = Visit(1, "/a", "t", WHEN)
    assert [f.name for f in dataclasses.fields(visit)] == ["visit_id", "url", "text", "time", "time_ns", "user"]
    assert repr(visit) == f"Visit(visit_id=1, url='/a', text='t', time={WHEN!r})"
    assert dataclasses.asdict(visit)["time_ns"] == visit.time_ns == WHEN_NS
    assert not hasattr(visit, "__dict__")
    for name in ("url", "time_ns", "other"):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(visit, name, 1)
    assert dataclasses.replace(visit, url="/b") == Visit(1, "/b", "t", time_ns=WHEN_NS)
    match visit:
        case Visit(1, url):
            assert url == "/a"
        case _:
            pytest.fail("a Visit has no positions")


def test_visits_are_equal_by_what_they_say() -> None:
    visit = Visit(1, "/a", "t", WHEN, user=5)
    assert visit == Visit(1, "/a", "t", time_ns=WHEN_NS, user=6)
    assert hash(visit) == hash(Visit(1, "/a", "t", time_ns=WHEN_NS))
    assert visit != Visit(1, "/a", "t", time_ns=WHEN_NS + 1)
    assert visit != Visit(1, "/a", b"t", WHEN)


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
def test_a_visit_can_be_copied_and_pickled(make: object, manager: VisitManager) -> None:
    manager.add_visit(3, 4, "ü", "text", WHEN_NS + 7)
    (visit,) = manager.get_recent_visits(3)
    twin = make(visit)  # type: ignore[operator]
    assert (twin, twin.user, twin.time_ns) == (visit, 3, WHEN_NS + 7)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"visit_id": -1}, OverflowError),
        ({"user": 1 << 32}, OverflowError),
        ({"url": 5}, TypeError),
        ({"time": WHEN, "time_ns": WHEN_NS + 1000}, ValueError),
        ({"time": datetime(2024, 1, 1)}, ValueError),
    ],
)
def test_a_visit_that_cannot_be_is_refused(arguments: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        Visit(**{"visit_id": 1, "url": "u", "text": "t", **arguments})  # type: ignore[arg-type]


def test_visits_outlive_their_manager(path: Path) -> None:
    with VisitManager(path) as manager:
        manager.add_visits([(1, i, f"/{i}", "ü" * i) for i in range(5)])
        visits = manager.get_recent_visits(1)
        scanned = list(manager.scan())
        manager.clear_user(1)
    del manager
    gc.collect()
    assert (
        [(v.url, v.text) for v in visits]
        == [(f"/{i}", "ü" * i) for i in range(4, -1, -1)]
        == [(v.url, v.text) for v in scanned]
    )


# Text


def test_bytes_that_are_no_text_are_an_error_that_names_them(manager: VisitManager, path: Path) -> None:
    manager.add_visit(7, 1, "/fine", "fine")
    manager.add_visit(7, 2, "/odd", b"caf\xe9 x")
    for read in (
        lambda: manager.get_recent_visits(7),
        lambda: manager.get_recent_visits_of([7]),
        lambda: list(manager),
    ):
        with pytest.raises(
            UnicodeDecodeError, match=r"position 3: .*the text of visit 2 of user 7.*errors=\"replace\""
        ):
            read()
    manager.close()
    with VisitManager(path, 3, errors="replace") as replacing:
        assert [v.text for v in replacing.get_recent_visits(7)] == ["caf\ufffd x", "fine"]
    with VisitManager(path, 3, errors="surrogateescape") as escaping:
        assert escaping.get_recent_visits(7)[0].text.encode(errors="surrogateescape") == b"caf\xe9 x"
    with VisitManager(path, 3, as_bytes=True) as raw:
        assert [(v.url, v.text) for v in raw.get_recent_visits(7)] == [(b"/odd", b"caf\xe9 x"), (b"/fine", b"fine")]
        assert raw.get_recent_visits_of([7]) == raw.get_recent_visits(7) == list(raw)


@pytest.mark.parametrize(
    "wrong", [b"\xed\xa0\x80", b"\xc0\x80x", b"\xf5\x80\x80\x80", b"\xe2\x82", b"1234567\x80", b"12345678\x80"]
)
def test_whatever_python_takes_for_wrong_utf_8_is_seen_at_once(wrong: bytes, manager: VisitManager) -> None:
    manager.add_visit(1, 1, wrong, "t")
    with pytest.raises(UnicodeDecodeError, match="the url of visit 1 of user 1"):
        manager.get_recent_visits(1)


def test_an_unknown_error_handler_is_refused(path: Path) -> None:
    with pytest.raises(LookupError):
        VisitManager(path, errors="nonsense")
    assert not path.exists()


# Files


def test_what_was_added_is_there_after_a_reopen(path: Path) -> None:
    for durability in ("none", "interval", "always"):
        with VisitManager(path, durability=durability) as manager:  # type: ignore[arg-type]
            manager.add_visit(1, len(durability), "u", durability)
            manager.sync()
            assert manager.get_stats().durable_bytes == manager.get_stats().file_bytes
    with VisitManager(path, 2) as manager:
        assert [v.text for v in manager.get_recent_visits(1)] == ["always", "interval"]
    with pytest.raises(ValueError, match="durability: 'sometimes' is none of none, interval, always"):
        VisitManager(path, durability="sometimes")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="durability"):
        VisitManager(path, durability=7)


def test_max_visits_of_the_file_or_of_the_opener(path: Path) -> None:
    with VisitManager(path, 5) as manager:
        manager.add_visits([(1, i, "u", "t") for i in range(5)])
    with VisitManager(path, 0) as manager:
        assert (manager.get_stats().max_visits, ids(manager, 1)) == (5, [4, 3, 2, 1, 0])
    with VisitManager(path, 2) as manager:
        assert ids(manager, 1) == [4, 3]
    with pytest.raises(OverflowError):
        VisitManager(path, -1)


@pytest.mark.parametrize("kind", [str, os.fsencode, Path])
def test_a_path_is_what_open_takes(kind: object, tmp_path: Path) -> None:
    path = kind(str(tmp_path / "naïve"))  # type: ignore[operator]
    with VisitManager(path) as manager:
        manager.add_visit(1, 1, "u", "t")
        manager.copy_to(kind(str(tmp_path / "copy")))  # type: ignore[operator]
    assert samebytes.verify_visits(path).visits == 1
    assert samebytes.verify_visits(kind(str(tmp_path / "copy"))).visits == 1  # type: ignore[operator]
    assert samebytes.salvage_visits(path, kind(str(tmp_path / "saved"))).visits == 1  # type: ignore[operator]


def test_a_path_may_be_no_utf_8(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9"
    for name in (path, os.fsdecode(path)):
        with VisitManager(name) as manager:
            manager.add_visit(1, 1, "u", "t")
    assert sorted(os.listdir(os.fsencode(tmp_path))) == [b"caf\xe9", b"caf\xe9.lock"]
    assert samebytes.verify_visits(os.fsdecode(path)).visits == 1


@pytest.mark.parametrize("wrong", ["a\0b", 5, None, ""])
def test_a_path_that_cannot_be_is_refused(wrong: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        VisitManager(wrong)  # type: ignore[arg-type]


def test_a_second_writer_is_locked_out_and_a_reader_is_not(manager: VisitManager, path: Path) -> None:
    manager.add_visit(1, 1, "u", "t")
    with pytest.raises(LockedError):
        VisitManager(path)
    with pytest.raises(BlockingIOError):
        VisitManager(path)
    with VisitManager(path, 0, read_only=True) as reader:
        assert ids(reader, 1) == [1]
        for change in (
            lambda: reader.add_visit(1, 2, "u", "t"),
            lambda: reader.add_visits([(1, 2, "u", "t")]),
            lambda: reader.delete_visits(1, [1]),
            lambda: reader.clear_user(1),
        ):
            with pytest.raises(UnsupportedError):
                change()


def test_a_reader_sees_what_was_there_until_it_refreshes(manager: VisitManager, path: Path) -> None:
    with VisitManager(path, 0, read_only=True) as reader:
        assert reader.refresh() is False
        manager.add_visit(1, 1, "u", "t")
        assert ids(reader, 1) == []
        assert reader.refresh() is True
        assert ids(reader, 1) == [1]
        manager.compact()
        manager.add_visit(1, 2, "u", "t")
        assert reader.refresh() is True
        assert ids(reader, 1) == [2, 1]
    with pytest.raises(UnsupportedError):
        manager.refresh()


def test_a_reader_shows_no_more_than_it_asks_for(path: Path) -> None:
    with VisitManager(path, 4) as manager:
        manager.add_visits([(1, i, "u", "t") for i in range(4)])
    with VisitManager(path, 2, read_only=True) as reader:
        assert ids(reader, 1) == [3, 2]
    with VisitManager(path, 0, read_only=True) as reader:
        assert ids(reader, 1) == [3, 2, 1, 0]
    old = path.with_name("old")
    entries = [
        struct.pack("=IQ2sQ2sqq", i, 2, b"u", 2, b"t", 6, 7) for i in (5, 6)
    ]  # id, sizes and texts with NUL, s, ns
    old.write_bytes(struct.pack("=QQIQ", 3, 1, 1, 2) + b"".join(entries))
    with VisitManager(old, 1, read_only=True) as reader:
        assert ids(reader, 1) == [6]
    with VisitManager(old, 0, read_only=True) as reader:
        assert ids(reader, 1) == [6, 5]
    with VisitManager(old, 1) as manager:
        assert (manager.get_stats().upgraded, len(manager.get_recent_visits(1))) == (True, 1)


def test_a_reader_needs_a_file(path: Path) -> None:
    with pytest.raises(NotFoundError):
        VisitManager(path, read_only=True)
    assert not path.exists()


def test_a_damaged_file_is_refused_and_stays_as_it_is(path: Path, tmp_path: Path) -> None:
    with VisitManager(path) as manager:
        manager.add_visits([(user, 1, "u", "text " * 20) for user in range(100)])
    data = bytearray(path.read_bytes())
    at = data.index(b"text text")
    data[at] ^= 1
    path.write_bytes(data)
    for read_only in (False, True):
        with pytest.raises(CorruptError) as refused, VisitManager(path, read_only=read_only) as manager:
            list(manager)
        assert 0 < refused.value.stream_offset <= at
    with pytest.raises(CorruptError):
        samebytes.verify_visits(path)
    assert path.read_bytes() == data
    report = samebytes.salvage_visits(path, tmp_path / "saved")
    assert report.damaged_bytes > 0
    assert 0 < report.damaged_offset <= at
    with VisitManager(tmp_path / "saved") as manager:
        assert sum(1 for _ in manager) == report.visits


def test_stats_and_verify_say_what_is_there(manager: VisitManager, path: Path) -> None:
    manager.add_visits([(1, 1, "u", "t"), (2, 1, "u", "t")])
    manager.compact()
    stats, report = manager.get_stats(), manager.verify()
    assert (stats.max_visits, stats.compactions, stats.poisoned, stats.cut_bytes) == (3, 1, False, 0)
    assert (report.users, report.visits, report.format, report.damaged_offset) == (2, 2, 1, -1)
    assert report.bytes == path.stat().st_size


# The handle


def test_use_after_close_raises(path: Path) -> None:
    manager = VisitManager(path)
    scan = manager.scan()
    manager.add_visit(1, 1, "u", "t")
    manager.close()
    manager.close()
    assert manager.closed
    for call in (
        lambda: manager.add_visit(1, 1, "u", "t"),
        lambda: manager.add_visits([(1, 1, "u", "t")]),
        lambda: manager.get_recent_visits(1),
        lambda: manager.get_recent_visits_of([1]),
        lambda: manager.delete_visits(1, [1]),
        lambda: manager.clear_user(1),
        manager.users,
        manager.scan,
        manager.sync,
        manager.compact,
        manager.verify,
        manager.get_stats,
        manager.refresh,
        lambda: manager.copy_to("copy"),
        manager.detach,
        manager.__enter__,
        scan.next,
        lambda: list(scan),
    ):
        with pytest.raises(ClosedError):
            call()  # type: ignore[operator]
    scan.close()


def test_finish_is_the_end(path: Path) -> None:
    manager = VisitManager(path)
    manager.finish()
    with pytest.raises(ClosedError):
        manager.add_visit(1, 1, "u", "t")
    manager.close()
    VisitManager(path).close()  # the lock is free


def test_an_open_waits_for_the_lock_as_long_as_it_is_told(path: Path) -> None:
    first = VisitManager(path)
    begin = time.monotonic()
    with pytest.raises(LockedError):
        VisitManager(path, lock_timeout_ms=50)
    assert time.monotonic() - begin >= 0.05
    with ThreadPoolExecutor() as threads:
        second = threads.submit(VisitManager, path, lock_timeout_ms=2**32 - 1)
        time.sleep(0.02)
        assert not second.done()
        first.close()
        second.result(20).close()
    with pytest.raises(OverflowError):
        VisitManager(path, lock_timeout_ms=2**32)


def test_a_second_writer_is_locked_out_though_the_lock_file_is_removed(path: Path, tmp_path: Path) -> None:
    with VisitManager(path) as manager:
        manager.add_visit(1, 1, "u", "t")
        os.unlink(f"{path}.lock")
        os.link(path, tmp_path / "other")
        for name in (path, tmp_path / "other"):
            with pytest.raises(LockedError):
                VisitManager(name)
        with pytest.raises(samebytes.UnsupportedError, match="2 names"):
            manager.compact()


def test_a_manager_whose_file_was_replaced_says_so_and_harms_nothing(path: Path, tmp_path: Path) -> None:
    with VisitManager(tmp_path / "backup") as backup:
        backup.add_visit(7, 1, "u", "precious")
    manager = VisitManager(path, durability="always")
    manager.add_visit(1, 1, "u", "t")
    os.replace(tmp_path / "backup", path)
    for change in (lambda: manager.add_visit(1, 2, "u", "t"), manager.compact, manager.sync):
        with pytest.raises(NotFoundError, match="moved or replaced"):
            change()
    assert ids(manager, 1) == [1]
    with VisitManager(path) as restored:
        assert ids(restored, 7) == [1]
    with pytest.raises(NotFoundError):
        manager.close()


def test_copies_and_salvage_take_none_of_a_stores_own_names(path: Path) -> None:
    with VisitManager(path) as manager:
        manager.add_visit(1, 1, "u", "t")
        for suffix in (".lock", ".new", ".v0", ".cut", ".cut.7"):
            with pytest.raises(InvalidArgumentError):
                manager.copy_to(f"{path}{suffix}")
            with pytest.raises(InvalidArgumentError):
                samebytes.salvage_visits(path, f"{path}{suffix}")


def test_what_is_forgotten_is_closed(path: Path) -> None:
    manager = VisitManager(path)
    manager.add_visit(1, 1, "u", "t")
    scan = manager.scan()
    del manager
    gc.collect()
    with pytest.raises(LockedError):
        VisitManager(path)  # the scan needs it
    del scan
    gc.collect()
    with VisitManager(path) as again:
        assert ids(again, 1) == [1]


def test_a_detached_handle_can_be_adopted(path: Path) -> None:
    manager = VisitManager(path)
    manager.add_visit(1, 1, "u", "t")
    address = manager.detach()
    assert manager.closed
    with VisitManager.adopt(address) as other:
        assert ids(other, 1) == [1]


def test_a_manager_cannot_be_pickled(manager: VisitManager) -> None:
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(manager)


def test_close_reports_the_last_step(tmp_path: Path) -> None:
    code = """
import os, resource, signal, sys
import samebytes
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
manager = samebytes.VisitManager(sys.argv[1])
manager.add_visits([(i, 1, "u", "t" * 100) for i in range(3000)])
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    manager.add_visits([(i, 2, "u", "t" * 1000) for i in range(5000)])
except samebytes.IoError:
    print("the add failed")
print(len(manager.get_recent_visits(1)))
try:
    manager.close()
except samebytes.IoError as error:
    print("close failed")
manager.close()
print(manager.closed)
"""
    lines = output_of(code, tmp_path / "visits").splitlines()
    assert lines[:2] == ["the add failed", "1"]
    assert lines[-1] == "True"
    with VisitManager(tmp_path / "visits") as manager:
        assert len(manager.users()) == 3000


# Threads and forks


def test_threads_share_a_manager(path: Path) -> None:
    count, problems = 300, []

    def work(user: int) -> None:
        try:
            for i in range(count):
                manager.add_visit(user, i, f"/{user}/{i}", "t")
                newest = manager.get_recent_visits(user)[0]
                assert (newest.visit_id, newest.url) == (i, f"/{user}/{i}")
                manager.add_visit(99, user * count + i, "shared", "t")
                if i % 100 == 0:
                    manager.sync()
                    manager.compact()
        except BaseException as error:
            problems.append(error)

    with VisitManager(path, 5) as manager:
        threads = [threading.Thread(target=work, args=(user,)) for user in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        assert problems == []
        assert [len(manager.get_recent_visits(user)) for user in (0, 1, 2, 3, 99)] == [5] * 5
    assert samebytes.verify_visits(path).visits == 25


def test_calls_run_beside_each_other(path: Path) -> None:
    """A slow call does not keep out a fast one: the lock that other classes have would."""
    with VisitManager(path) as manager:
        with manager._lock:
            done = threading.Event()
            thread = threading.Thread(target=lambda: (manager.add_visit(1, 1, "u", "t"), manager.sync(), done.set()))
            thread.start()
            assert done.wait(60)
            thread.join()
        assert ids(manager, 1) == [1]


def test_close_waits_for_the_calls_that_are_inside(path: Path) -> None:
    manager = VisitManager(path)
    inside = manager._lock
    inside.__enter__()
    closer = threading.Thread(target=manager.close)
    closer.start()
    while not manager.closed:
        try:
            manager.get_recent_visits(1)
        except ClosedError:
            break  # no call begins any more
    closer.join(0.05)
    assert closer.is_alive()
    assert not manager.closed
    inside.__exit__(None, None, None)
    closer.join(60)
    assert not closer.is_alive()
    assert manager.closed


def test_close_inside_a_call_of_the_same_thread_is_refused(path: Path) -> None:
    """As in the handler of a signal, which would wait for ever."""
    with VisitManager(path) as manager:
        with manager._lock:
            with pytest.raises(samebytes.BusyError, match="inside a call"):
                manager.close()
            inner = manager._lock
            inner.__enter__()
            del inner  # begun and never ended
        assert manager._calls == 0
        assert manager.add_visit(1, 1, "u", "t")


def test_every_option_of_c_is_a_keyword() -> None:
    options = set(samebytes.VisitManagerOptions._fields)
    assert options < set(inspect.signature(VisitManager).parameters)


def test_compaction_may_run_in_a_thread(path: Path) -> None:
    with VisitManager(path, 2, compact_in_thread=True) as manager:
        for turn in range(3):
            manager.add_visits([(user, turn * 10 + i, "u" * 50, "t" * 200) for user in range(2000) for i in range(3)])
        manager.compact()
        assert manager.get_stats().compactions > 0
        assert ids(manager, 1999) == [22, 21]


def test_an_interrupted_close_leaves_the_manager_open(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: object, timeout: float | None = None) -> bool:
        raise KeyboardInterrupt

    with VisitManager(path) as manager:
        inside = threading.Event()
        leave = threading.Event()

        def call() -> None:
            with manager._lock:
                inside.set()
                while not leave.is_set():
                    time.sleep(0.001)

        thread = threading.Thread(target=call)
        thread.start()
        while not inside.is_set():
            time.sleep(0.001)
        monkeypatch.setattr(threading.Event, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            manager.close()
        leave.set()
        thread.join()
        assert manager.add_visit(1, 1, "u", "t")
    assert manager.closed


def test_close_races_with_calls(path: Path) -> None:
    for _ in range(20):
        manager = VisitManager(path)
        problems = []

        def work(manager: VisitManager = manager, problems: list[BaseException] = problems) -> None:
            try:
                while True:
                    manager.add_visit(1, random.randrange(1000), "u", "t")
                    for _ in manager.scan():
                        pass
            except ClosedError:
                pass
            except BaseException as error:
                problems.append(error)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(0.001)
        manager.close()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        assert problems == []


def test_a_forked_child_is_refused_and_disturbs_nothing(path: Path) -> None:
    code = """
import os, sys
import samebytes
manager = samebytes.VisitManager(sys.argv[1], durability="interval")
manager.add_visit(1, 1, "u", "t")
child = os.fork()
if child == 0:
    for call in (lambda: manager.add_visit(1, 2, "u", "t"), lambda: manager.get_recent_visits(1), manager.sync, manager.users):
        try:
            call()
            os._exit(1)
        except samebytes.ClosedError:
            pass
    manager.close()
    try:
        samebytes.VisitManager(sys.argv[1])
        os._exit(2)
    except samebytes.LockedError:
        pass  # the parent has it still
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
manager.add_visit(1, 3, "u", "t")
manager.close()
"""
    assert output_of(code, path) == "0\n"
    with VisitManager(path) as manager:
        assert ids(manager, 1) == [3, 1]


# Against a model


class Model:
    """Plain dictionaries that say what the store must say."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.users: dict[int, list[tuple[int, int, int, str, str]]] = {}
        self.arrivals = 0

    def add(self, user: int, visit_id: int, url: str, text: str, time_ns: int) -> None:
        visits = self.users.setdefault(user, [])
        if all(visit[2] != visit_id for visit in visits):
            self.arrivals += 1
            visits.append((time_ns, self.arrivals, visit_id, url, text))
            visits.sort(reverse=True)
            del visits[self.most :]

    def rows(self, user: int) -> list[tuple[int, str, str, int]]:
        return [(visit_id, url, text, time_ns) for time_ns, _, visit_id, url, text in self.users.get(user, [])]


def rows_of(visits: list[Visit]) -> list[tuple[int, str, str, int]]:
    return [(v.visit_id, v.url, v.text, v.time_ns) for v in visits]


@pytest.mark.parametrize("seed", range(3))
def test_random_operations_agree_with_a_dictionary(seed: int, path: Path) -> None:
    draw = random.Random(seed)
    most = draw.randint(1, 5)
    model, manager = Model(most), VisitManager(path, most)
    for step in range(1500):
        user = draw.randrange(12)
        row = (
            user,
            draw.randrange(30),
            draw.choice(["", "/ü", "/long" * 40]),
            "t" * draw.randrange(50),
            draw.randrange(40),
        )
        match draw.randrange(12):
            case 0:
                found = manager.delete_visits(user, [row[1], row[1] + 1])
                kept = [visit for visit in model.users.get(user, []) if visit[2] not in (row[1], row[1] + 1)]
                assert found == (len(kept) < len(model.users.get(user, [])))
                model.users[user] = kept
            case 1:
                manager.clear_user(user, erase=draw.random() < 0.1)
                model.users.pop(user, None)
            case 2:
                rows = [(user + i % 2, *row[1:4], row[4] + i) for i in range(5)]
                manager.add_visits(rows)
                for each in rows:
                    model.add(*each)
            case 3 if step % 5 == 0:
                draw.choice([manager.compact, manager.sync, manager.verify])()
            case 4 if step % 3 == 0:
                manager.close()
                manager = VisitManager(path, draw.choice([0, most]))
            case _:
                manager.add_visit(*row)
                model.add(*row)
        assert rows_of(manager.get_recent_visits(user)) == model.rows(user), f"seed {seed}, step {step}"
    with manager:
        there = sorted(user for user, visits in model.users.items() if visits)
        assert manager.users() == [(user, len(model.users[user])) for user in there]
        assert [v.user for v in manager] == [user for user in there for _ in model.users[user]]
