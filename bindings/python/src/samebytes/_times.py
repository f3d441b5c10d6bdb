"""Times as nanoseconds since the Unix epoch, however they come: datetime, pandas' Timestamp, numpy's datetime64, Arrow, Polars.

None is cut off to microseconds on the way, as their tolist() would do. A value's attributes tell whose it is; no package is imported.
A time without a zone is refused, as nobody knows when it was. numpy's datetime64 has no zones, and is UTC by its own definition.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from . import _arguments, _records

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INT64_MAX = 0x7FFFFFFFFFFFFFFF
NOT_A_TIME = -INT64_MAX - 1  # numpy's NaT
MICROSECOND = timedelta(microseconds=1)
NANOSECONDS = {
    "W": 7 * 86400 * 10**9,
    "D": 86400 * 10**9,
    "h": 3600 * 10**9,
    "m": 60 * 10**9,
    "s": 10**9,
    "ms": 10**6,
    "us": 10**3,
    "ns": 1,
}


def time_ns_of(time: Any, name: str = "time") -> int:
    """*time* in nanoseconds since the Unix epoch; an int is that already."""
    if isinstance(time, datetime):
        if time != time:
            raise ValueError(f"{name}: NaT is no time")
        if time.tzinfo is None:
            raise ValueError(f"{name}: {time.isoformat()} has no time zone; use datetime.now(UTC) or time.astimezone()")
        number = (time - EPOCH) // MICROSECOND * 1000
        return in_reach(number + getattr(time, "nanosecond", 0), name, time.isoformat())  # pandas' Timestamp has them
    if is_datetime64(time):
        return scaled(int(time.astype("int64")), datetime64_unit(time, name), name)
    if is_arrow(time):
        return scaled(time.value, zoned_unit(time.type.unit, time.type.tz, name), name)
    if isinstance(time, bool) or not hasattr(time, "__index__"):
        raise TypeError(f"{name}: a datetime, or an int of nanoseconds, is needed, not {_arguments.kind(time)}")
    return _arguments.integer(time, name, -INT64_MAX, INT64_MAX)


def times_column(values: Any) -> Sequence[int]:
    """A column of times in nanoseconds, None meaning now."""
    if is_datetime64(values):
        if values.ndim != 1:
            raise ValueError(f"times: an array of one dimension is needed, not of {values.ndim}")
        return scaled_all(values.astype("int64").tolist(), datetime64_unit(values, "times"))
    if is_arrow(values):
        return scaled_all(values.cast("int64").to_pylist(), zoned_unit(values.type.unit, values.type.tz, "times"))
    if is_polars(values):
        kind = values.dtype
        return scaled_all(values.to_physical().to_list(), zoned_unit(kind.time_unit, kind.time_zone, "times"))
    exact = _arguments.same_integers(values, _arguments.TYPECODES["int64_t"])
    if exact is not None:
        return exact
    items = enumerate(_arguments.plain(values))
    return array("q", [_records.VISIT_NOW if time is None else time_ns_of(time, f"times[{i}]") for i, time in items])


def in_reach(number: int, name: str, text: str) -> int:
    """*number*, which is not VISIT_NOW either: that is no time."""
    if not -INT64_MAX < number <= INT64_MAX:
        raise OverflowError(f"{name}: {text} is not between the years 1678 and 2262")
    return number


def scaled(number: int | None, factor: int, name: str) -> int:
    """*number* units of *factor* nanoseconds."""
    if number is None or number == NOT_A_TIME:
        raise ValueError(f"{name}: {'null' if number is None else 'NaT'} is no time")
    return in_reach(number * factor, name, f"{number} times {factor} ns since 1970")


def scaled_all(numbers: Iterable[int | None], factor: int) -> array[int]:
    items = enumerate(numbers)
    return array("q", [_records.VISIT_NOW if n is None else scaled(n, factor, f"times[{i}]") for i, n in items])


def unit_ns(unit: str, name: str) -> int:
    """How many nanoseconds a unit has."""
    if unit not in NANOSECONDS:
        raise ValueError(f"{name}: the unit {unit!r} is no fixed number of whole nanoseconds; use 'ns'")
    return NANOSECONDS[unit]


def zoned_unit(unit: str, zone: str | None, name: str) -> int:
    if zone is None:
        raise ValueError(f"{name}: the timestamps have no time zone; give them one, such as UTC")
    return unit_ns(unit, name)


def is_datetime64(value: Any) -> bool:
    """Whether *value* is numpy's: a datetime64, or an array of them."""
    of_numpy = type(value).__module__.partition(".")[0] == "numpy"
    return of_numpy and getattr(getattr(value, "dtype", None), "kind", None) == "M"


def datetime64_unit(value: Any, name: str) -> int:
    """Nanoseconds of a step, as of 25 us; a NaT may have no unit."""
    found = re.fullmatch(r"datetime64(?:\[(\d*)(\w+)\])?", value.dtype.name)
    assert found is not None
    return 1 if found[2] is None else int(found[1] or 1) * unit_ns(found[2], name)


def is_arrow(value: Any) -> bool:
    """Whether *value* is pyarrow's: a timestamp, an array or a chunked array of them."""
    of_arrow = type(value).__module__.partition(".")[0] == "pyarrow"
    return of_arrow and hasattr(getattr(value, "type", None), "tz")


def is_polars(value: Any) -> bool:
    """Whether *value* is a Series of Polars with times."""
    of_polars = type(value).__module__.partition(".")[0] == "polars"
    return of_polars and hasattr(getattr(value, "dtype", None), "time_zone")
