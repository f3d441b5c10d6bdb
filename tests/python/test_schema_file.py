"""Schema files, as Python loads them."""

from __future__ import annotations

from pathlib import Path

import pytest

import samebytes

TEXT = b"""# what a sensor says
message Reading request 7 { time int64; values array<int32>; }
message Stored response 7 {}
"""


def test_loaded_schemas_are_those_of_the_file_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "sensors.schema"
    path.write_bytes(TEXT)
    schemas = samebytes.load_schemas(path)
    assert list(schemas) == ["Reading", "Stored"]
    assert samebytes.load_schemas(str(path)).keys() == schemas.keys()
    assert [tuple(field) for field in schemas["Reading"].fields] == [
        ("time", samebytes.TYPE_INT64),
        ("values", samebytes.TYPE_ARRAY_INT32),
    ]
    assert schemas["Stored"].direction() == samebytes.DIRECTION_RESPONSE
    with samebytes.Builder() as builder:
        builder.add(schemas["Reading"], 1, [5, [1, 2]])
        assert builder.size() == 24


def test_a_wrong_file_is_refused_with_its_name_and_line(tmp_path: Path) -> None:
    path = tmp_path / "wrong.schema"
    path.write_bytes(TEXT + b"message Again request 7 {}\n")
    with pytest.raises(samebytes.InvalidArgumentError, match=r"wrong\.schema:4: messages Reading and Again") as raised:
        samebytes.load_schemas(path)
    assert isinstance(raised.value, ValueError)
    assert raised.value.stream_offset == len(TEXT) + len(b"message Again request ")


def test_a_file_that_is_too_long_or_missing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "long.schema"
    path.write_bytes(b"\n" * (samebytes.SCHEMA_FILE_SIZE_MAX + 1))
    with pytest.raises(samebytes.TooLargeError):
        samebytes.load_schemas(path)
    with pytest.raises(FileNotFoundError):
        samebytes.load_schemas(tmp_path / "missing.schema")


def test_the_schemas_of_a_text_outlive_it() -> None:
    with samebytes.SchemaFile(TEXT, "text") as file:
        assert file.count() == 2
        reading = file.find("Reading")
        with pytest.raises(samebytes.NotFoundError):
            file.find("reading")
        with pytest.raises(samebytes.OutOfRangeError):
            file.get(2)
    assert isinstance(reading, samebytes.Schema)
    assert reading.name() == "Reading"
