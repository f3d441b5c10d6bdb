"""Visits exported to Arrow, as pyarrow, Polars and DuckDB read them."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars
import pyarrow
import pyarrow.parquet
import pytest

import samebytes

from .conftest import ROOT

NS = 1_000_000_000


def columns(text: pyarrow.DataType) -> pyarrow.Schema:
    types = [pyarrow.uint32(), pyarrow.uint32(), text, text, pyarrow.timestamp("ns", "UTC")]
    names = ["user_id", "visit_id", "url", "text", "time"]
    return pyarrow.schema([pyarrow.field(name, type_, False) for name, type_ in zip(names, types, strict=True)])


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[samebytes.VisitManager]:
    with samebytes.VisitManager(tmp_path / "visits") as manager:
        manager.add_visit(9, 4, "/a", "text ä", NS + 1)
        manager.add_visit(9, 5, "/b", "", 2 * NS)
        manager.add_visit(2**32 - 1, 2**32 - 1, "/c", "old", -1)
        yield manager


ROWS = [
    (9, 5, "/b", "", 2 * NS),
    (9, 4, "/a", "text ä", NS + 1),
    (2**32 - 1, 2**32 - 1, "/c", "old", -1),
]


def rows_of(table: pyarrow.Table) -> list[tuple[object, ...]]:
    plain = table.set_column(4, "time", table["time"].cast(pyarrow.int64()))
    return [tuple(row.values()) for row in plain.to_pylist()]


def test_pyarrow_reads_all_visits_and_finds_them_valid(manager: samebytes.VisitManager) -> None:
    table = pyarrow.table(manager)
    table.validate(full=True)
    assert table.schema == columns(pyarrow.string())
    assert rows_of(table) == ROWS


def test_what_was_exported_outlives_the_manager(manager: samebytes.VisitManager) -> None:
    reader = pyarrow.RecordBatchReader.from_stream(manager)
    manager.close()
    table = reader.read_all()
    table.validate(full=True)
    assert rows_of(table) == ROWS
    with pytest.raises(samebytes.ClosedError):
        pyarrow.table(manager)


def test_polars_reads_them(manager: samebytes.VisitManager) -> None:
    frame = polars.DataFrame(manager.arrow())
    assert frame.schema["time"] == polars.Datetime("ns", "UTC")
    assert frame["visit_id"].to_list() == [5, 4, 2**32 - 1]
    assert frame["time"][0] == datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC)


def test_duckdb_reads_them(manager: samebytes.VisitManager) -> None:
    visits = manager.arrow()  # noqa: F841  # DuckDB finds the variable by its name
    query = "select user_id, count(*), max(text) from visits group by user_id order by user_id"
    assert duckdb.sql(query).fetchall() == [(9, 2, "text ä"), (2**32 - 1, 1, "old")]


def test_it_is_exported_anew_each_time(manager: samebytes.VisitManager) -> None:
    exported = manager.arrow()
    assert pyarrow.table(exported).num_rows == 3
    manager.clear_user(9)
    assert pyarrow.table(exported).num_rows == 1


def test_an_empty_store_is_a_table_without_rows(tmp_path: Path) -> None:
    with samebytes.VisitManager(tmp_path / "visits") as manager:
        table = pyarrow.table(manager)
        table.validate(full=True)
        assert (table.num_rows, table.schema) == (0, columns(pyarrow.string()))
        assert polars.DataFrame(manager.arrow()).shape == (0, 5)
        empty = manager.arrow()  # noqa: F841  # DuckDB finds the variable by its name
        assert duckdb.sql("select count(*) from empty").fetchall() == [(0,)]
        assert list(manager.scan().arrow()) == []


def test_arrays_have_at_most_so_many_rows(tmp_path: Path) -> None:
    count = samebytes.ARROW_ROWS_MAX + 5000
    with samebytes.VisitManager(tmp_path / "visits") as manager:
        manager.add_visits([(i, i % 7, "/", "x", i + 1) for i in range(count)])
        reader = pyarrow.RecordBatchReader.from_stream(manager)
        lengths = []
        for batch in reader:
            batch.validate(full=True)
            assert batch["user_id"][0].as_py() == sum(lengths)
            lengths.append(batch.num_rows)
    assert sum(lengths) == count
    assert len(lengths) == 2
    assert max(lengths) <= samebytes.ARROW_ROWS_MAX


def test_a_reader_may_stop_before_the_end(tmp_path: Path) -> None:
    with samebytes.VisitManager(tmp_path / "visits") as manager:
        manager.add_visits([(i, 1, "/", "x", i + 1) for i in range(samebytes.ARROW_ROWS_MAX * 2)])
        reader = pyarrow.RecordBatchReader.from_stream(manager)
        first = reader.read_next_batch()
        del reader
        assert first["user_id"].to_pylist() == list(range(first.num_rows))
        manager.__arrow_c_stream__()  # nobody reads it: the capsule frees what it holds


def test_pieces_of_a_walk_need_no_more_memory_than_a_piece(manager: samebytes.VisitManager) -> None:
    with manager.scan() as scan:
        pieces = [pyarrow.table(piece) for piece in scan.arrow(1)]
    assert [piece.num_rows for piece in pieces] == [2, 1]
    assert rows_of(pyarrow.concat_tables(pieces)) == ROWS
    binary = [pyarrow.table(piece) for piece in manager.scan().arrow(strings="binary")]
    assert [piece.schema for piece in binary] == [columns(pyarrow.binary())]


def test_text_that_is_not_utf8_is_told_with_its_visit_or_exported_as_binary(manager: samebytes.VisitManager) -> None:
    manager.add_visit(7, 12, "/", b"bad\xff", 5)
    for wrong in manager, manager.arrow(), next(manager.scan().arrow()):
        with pytest.raises(samebytes.InvalidArgumentError, match="text of visit 12 of user 7 is not UTF-8 from byte 3"):
            pyarrow.table(wrong)
    table = pyarrow.table(manager.arrow(strings="binary"))
    assert table.schema == columns(pyarrow.binary())
    assert table["text"].to_pylist()[0] == b"bad\xff"
    with pytest.raises(samebytes.InvalidArgumentError, match="strings: 'ascii' is none of binary, utf8"):
        manager.arrow(strings="ascii")


def test_another_thread_may_read_and_free(manager: samebytes.VisitManager) -> None:
    found: list[pyarrow.Table] = []
    reader = pyarrow.RecordBatchReader.from_stream(manager)
    thread = threading.Thread(target=lambda reader: found.append(reader.read_all()), args=(reader,))
    del reader
    manager.close()
    thread.start()
    thread.join()
    assert rows_of(found.pop()) == ROWS


def test_visits_are_added_while_others_are_exported(tmp_path: Path) -> None:
    stop = threading.Event()
    with samebytes.VisitManager(tmp_path / "visits") as manager:

        def add() -> None:
            for i in range(1_000_000):
                if stop.is_set():
                    return
                manager.add_visit(i % 50, i, "/", "x")

        thread = threading.Thread(target=add)
        thread.start()
        try:
            for _ in range(20):
                table = pyarrow.table(manager)
                table.validate(full=True)
                users = table["user_id"].to_pylist()
                assert users == sorted(users)
        finally:
            stop.set()
            thread.join()


def test_the_example_writes_parquet(manager: samebytes.VisitManager, tmp_path: Path) -> None:
    manager.sync()
    example, target = ROOT / "examples/python/visits_to_parquet.py", tmp_path / "visits.parquet"
    command = [sys.executable, str(example), str(tmp_path / "visits"), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "3 visits\n", "")
    table = pyarrow.parquet.read_table(target)
    assert (table.schema.remove_metadata(), rows_of(table)) == (columns(pyarrow.string()), ROWS)
    done = subprocess.run(
        [*command[:2], str(tmp_path / "missing"), str(target)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1 and "missing" in done.stderr and "Traceback" not in done.stderr
