"""Times of pandas, numpy, Arrow and Polars go into a store and come out of it with every nanosecond."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pandas
import polars
import pyarrow
import pytest

from samebytes import Visit, VisitManager

EXACT_NS = 1714953600_000000123
COLUMNS_NS = [EXACT_NS, -1, 0, EXACT_NS + 333]


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[VisitManager]:
    with VisitManager(tmp_path / "visits") as manager:
        yield manager


def times_of_each_maker() -> dict[str, Any]:
    """The column COLUMNS_NS, as each maker of columns has it."""
    exact = numpy.array(COLUMNS_NS, "datetime64[ns]")
    table = pyarrow.array(COLUMNS_NS, pyarrow.timestamp("ns", "UTC"))
    elsewhere = pyarrow.array(COLUMNS_NS, pyarrow.timestamp("ns", "Asia/Tokyo"))
    series = pandas.Series(exact).dt.tz_localize("UTC")
    return {
        "numpy": exact,
        "numpy, big-endian": exact.astype(">M8[ns]"),
        "numpy, every second": numpy.repeat(exact, 2)[::2],
        "numpy's scalars": list(exact),
        "pandas": series,
        "pandas, elsewhere": series.dt.tz_convert("Asia/Tokyo"),
        "pandas' index": pandas.DatetimeIndex(series),
        "pandas' scalars": series.tolist(),
        "pandas, of Arrow": pandas.Series(table.to_pandas(types_mapper=pandas.ArrowDtype)),
        "pyarrow": table,
        "pyarrow, elsewhere": elsewhere,
        "pyarrow, chunked": pyarrow.chunked_array([table[:1], table[1:]]),
        "pyarrow's scalars": list(table),
        "polars": polars.Series(COLUMNS_NS).cast(polars.Datetime("ns", "UTC")),
    }


@pytest.mark.parametrize("maker", times_of_each_maker())
def test_nanoseconds_of_every_maker_of_times_are_kept(maker: str, manager: VisitManager) -> None:
    times = times_of_each_maker()[maker]
    ones = list(range(1, 5))
    manager.add_visit_columns(ones, ones, ["u"] * 4, ["t"] * 4, times)
    assert [visit.time_ns for visit in manager] == COLUMNS_NS
    for user, moment in zip((11, 12, 13, 14), times if maker != "polars" else COLUMNS_NS, strict=True):
        manager.add_visit(user, 1, "u", "t", moment)
    assert [manager.get_recent_visits(user)[0].time_ns for user in (11, 12, 13, 14)] == COLUMNS_NS


UNITS = {"us": 10**3, "25us": 25000, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "D": 86400 * 10**9}
UNITS["W"] = 7 * UNITS["D"]


@pytest.mark.parametrize("unit", UNITS)
def test_other_units_of_numpy_become_nanoseconds(unit: str, manager: VisitManager) -> None:
    values = numpy.array([3, -2], f"datetime64[{unit}]")
    manager.add_visit_columns([1, 2], [1, 1], ["u", "u"], ["t", "t"], values)
    manager.add_visit(3, 1, "u", "t", values[0])
    assert [visit.time_ns for visit in manager] == [3 * UNITS[unit], -2 * UNITS[unit], 3 * UNITS[unit]]


@pytest.mark.parametrize("unit", ["us", "ms"])
def test_other_units_of_tables_become_nanoseconds(unit: str, manager: VisitManager) -> None:
    values = numpy.array([3], f"datetime64[{unit}]")
    table = pyarrow.array([3], pyarrow.timestamp(unit, "UTC"))
    series = polars.Series(values).dt.replace_time_zone("UTC")
    for user, column in enumerate((table, series, [pandas.Timestamp(values[0], tz="UTC")], list(table)), start=1):
        manager.add_visit_columns([user], [1], ["u"], ["t"], column)
    assert [visit.time_ns for visit in manager] == [3 * UNITS[unit]] * 4


@pytest.mark.parametrize(
    ("times", "error", "words"),
    [
        (numpy.array([5, "NaT"], "datetime64[ns]"), ValueError, r"times\[1\]: NaT is no time"),
        (numpy.array(["NaT", "NaT"], "datetime64"), ValueError, r"times\[0\]: NaT is no time"),
        (numpy.array([0, 300 * 366], "datetime64[D]"), OverflowError, r"times\[1\]: .* is not between"),
        (numpy.array([0, -(2**63) + 1], "datetime64[ns]"), OverflowError, r"times\[1\]: .* is not between"),
        (numpy.array([0, 1], "datetime64[ps]"), ValueError, "the unit 'ps' is no fixed number"),
        (numpy.array([0, 1], "datetime64[M]"), ValueError, "the unit 'M' is no fixed number"),
        (numpy.array([[0, 1]], "datetime64[ns]"), ValueError, "an array of one dimension"),
        (pandas.Series([0, 1], dtype="datetime64[ns]"), ValueError, "has no time zone"),
        ([5, pandas.NaT], ValueError, r"times\[1\]: NaT is no time"),
        ([5, pandas.Timestamp("2300-01-01", tz="UTC")], OverflowError, r"times\[1\]: 2300-.* is not between"),
        (pyarrow.array([0, 1], pyarrow.timestamp("ns")), ValueError, "have no time zone"),
        (pyarrow.array([0, 2**62], pyarrow.timestamp("us", "UTC")), OverflowError, r"times\[1\]: .* is not between"),
        ([5, pyarrow.scalar(None, pyarrow.timestamp("ns", "UTC"))], ValueError, r"times\[1\]: null is no time"),
        (polars.Series([0, 1]).cast(polars.Datetime("ns")), ValueError, "have no time zone"),
    ],
)  # fmt: skip
def test_times_of_other_makers_that_cannot_be_are_refused(
    times: Any, error: type[Exception], words: str, manager: VisitManager
) -> None:
    with pytest.raises(error, match=words):
        manager.add_visit_columns([1, 2], [1, 1], ["u", "u"], ["t", "t"], times)
    assert list(manager) == []


def test_an_arrow_null_means_now_as_none_does(manager: VisitManager) -> None:
    before = time.time_ns()
    for user, times in enumerate((pyarrow.array([None], pyarrow.timestamp("ns", "UTC")), [None]), start=1):
        manager.add_visit_columns([user], [1], ["u"], ["t"], times)
    assert all(before <= visit.time_ns <= time.time_ns() for visit in manager)


def test_a_visit_is_made_of_a_timestamp_with_nanoseconds() -> None:
    exact = pandas.Timestamp(EXACT_NS, tz="UTC")
    assert Visit(1, "u", "t", exact).time_ns == EXACT_NS
    assert Visit(1, "u", "t", exact, EXACT_NS).time_ns == EXACT_NS
    with pytest.raises(ValueError, match="differ"):
        Visit(1, "u", "t", exact, EXACT_NS + 1)


def test_what_was_exported_and_added_again_is_equal(manager: VisitManager, tmp_path: Path) -> None:
    manager.add_visits([(user, i, f"/{i}", f"text {user}", EXACT_NS + 333 * i) for user in (1, 2) for i in range(3)])
    table = pyarrow.table(manager).combine_chunks()
    for name, frame in {"arrow": table, "polars": polars.from_arrow(table), "pandas": table.to_pandas()}.items():
        with VisitManager(tmp_path / name) as other:
            columns = [frame[column] for column in ("user_id", "visit_id", "url", "text", "time")]
            columns = [c.combine_chunks() if isinstance(c, pyarrow.ChunkedArray) else c for c in columns]
            other.add_visit_columns(*columns)
            assert [(v.user, *v.__reduce__()[1]) for v in other] == [(v.user, *v.__reduce__()[1]) for v in manager], (
                name
            )
