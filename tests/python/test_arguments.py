"""What both layers refuse before C sees it, with the same words."""

from __future__ import annotations

import array
import mmap
from types import ModuleType
from typing import Any

import numpy
import pytest

import samebytes
from samebytes import TYPE_STRING, _layer_cffi, _layer_ctypes

CRC = 0xE3069283
DIGITS = b"123456789"


def buffers() -> list[Any]:
    mapped = mmap.mmap(-1, len(DIGITS))
    mapped[:] = DIGITS
    return [
        DIGITS,
        bytearray(DIGITS),
        memoryview(DIGITS),
        memoryview(b"x" + DIGITS + b"x")[1:-1],
        array.array("b", DIGITS),
        numpy.frombuffer(DIGITS, dtype="u1"),
        mapped,
        samebytes.View(DIGITS),
    ]


@pytest.mark.parametrize("data", buffers(), ids=lambda data: type(data).__name__)
def test_any_bytes_like_object_is_read(layer: ModuleType, data: Any) -> None:
    assert layer.sb_crc32c(0, data) == CRC


def test_items_wider_than_a_byte_count_by_their_bytes(layer: ModuleType) -> None:
    assert layer.sb_crc32c(0, array.array("h", [0x3231, 0x3433])) == layer.sb_crc32c(0, b"1234")
    assert layer.sb_crc32c(0, numpy.zeros((2, 3), dtype="i4")) == layer.sb_crc32c(0, bytes(24))


@pytest.mark.parametrize(
    "data", [b"", bytearray(), memoryview(b""), array.array("h")], ids=lambda data: type(data).__name__
)
def test_no_bytes_are_bytes(layer: ModuleType, data: Any) -> None:
    assert layer.sb_crc32c(7, data) == 7
    view = layer.sb_view_open(data)
    assert layer.sb_view_size(view) == 0
    layer.sb_view_read_bytes(view, bytearray())
    layer.sb_view_close(view)


def call(layer: ModuleType, name: str, *arguments: Any) -> BaseException:
    with pytest.raises(Exception) as caught:
        getattr(layer, name)(*arguments)
    return caught.value


VIEW = 4096  # an address that no call reaches
REFUSED = [
    ("a str is no bytes", "sb_crc32c", (0, "text"), TypeError, "data: a bytes-like object is needed, not str"),
    ("None is no bytes", "sb_crc32c", (0, None), TypeError, "data: a bytes-like object is needed, not NoneType"),
    ("a number is no bytes", "sb_crc32c", (0, 5), TypeError, "data: a bytes-like object is needed, not int"),
    ("scattered bytes", "sb_crc32c", (0, memoryview(b"abcd")[::2]), BufferError, "do not lie one behind the other"),
    ("a scattered array", "sb_crc32c", (0, numpy.zeros((4, 4))[:, 1]), BufferError, "do not lie one behind the other"),
    (
        "bytes cannot be written",
        "sb_view_read_bytes",
        (VIEW, b"abc"),
        BufferError,
        "data: bytes is read-only, and this call writes",
    ),
    ("nor a view of them", "sb_view_copy_bytes", (VIEW, 0, memoryview(b"a")), BufferError, "memoryview is read-only"),
    (
        "nor scattered memory",
        "sb_view_read_bytes",
        (VIEW, memoryview(bytearray(4))[::2]),
        BufferError,
        "one behind the other",
    ),
    ("a float is no integer", "sb_view_skip", (VIEW, 1.0), TypeError, "size: an integer is needed, not float"),
    ("None is no integer", "sb_view_skip", (VIEW, None), TypeError, "size: an integer is needed, not NoneType"),
    ("a size below 0", "sb_view_skip", (VIEW, -1), OverflowError, "size: -1 is not from 0 to 18446744073709551615"),
    ("a size above all", "sb_view_skip", (VIEW, 1 << 64), OverflowError, "size: 18446744073709551616 is not from 0"),
    ("a checksum of 33 bits", "sb_crc32c", (1 << 32, b""), OverflowError, "checksum: 4294967296 is not from 0 to"),
    ("an int8 of 128", "sb_pipeline_finish", (VIEW, 128), OverflowError, "sequence: 128 is not from -128 to 127"),
    ("a handle that is None", "sb_view_size", (None,), TypeError, "view: an address is needed, not NoneType"),
    ("a handle that is NULL", "sb_view_size", (0,), ValueError, "view: the address is 0 (NULL)"),
    ("a handle that is no number", "sb_view_size", ("7",), TypeError, "view: an address is needed, not str"),
    ("a handle below 0", "sb_view_size", (-1,), OverflowError, "view: -1 is no address"),
    ("a handle that is a bool", "sb_view_size", (True,), TypeError, "view: an address is needed, not bool"),
    ("bytes are no text", "sb_schema_open", (b"x", 0, 0, []), TypeError, "name: a str is needed, not bytes"),
    ("text with a NUL", "sb_schema_open", ("a\0b", 0, 0, []), ValueError, "name: the text has a NUL in it at 1"),
    ("a field with a NUL", "sb_schema_open", ("a", 0, 0, [("b\0", 1)]), ValueError, "name: the text has a NUL in it"),
    ("half a surrogate", "sb_schema_open", ("\ud800", 0, 0, []), ValueError, "surrogates not allowed"),
    ("fields that are a str", "sb_schema_open", ("a", 0, 0, "ab"), TypeError, "fields: a sequence is needed, not str"),
    (
        "fields that are None",
        "sb_schema_open",
        ("a", 0, 0, None),
        TypeError,
        "fields: a sequence is needed, not NoneType",
    ),
    ("a field that is a list", "sb_schema_open", ("a", 0, 0, [["b", 1]]), TypeError, "a SchemaField or a tuple"),
    ("a field of three", "sb_schema_open", ("a", 0, 0, [("b", 1, 2)]), TypeError, "positional arguments"),
    ("schemas that hold None", "sb_parser_open", ([None],), TypeError, "schemas[0]: an address is needed"),
    ("a number for a bool", "sb_parser_open", ([VIEW], (0, None, 0, 1)), TypeError, "accept_extra: True or False"),
    (
        "items out of range",
        "sb_echo_add_request",
        (VIEW, (0, b"", [1, 40000])),
        OverflowError,
        "metadata[1]: 40000 is not from",
    ),
    (
        "items that are bytes",
        "sb_echo_add_request",
        (VIEW, (0, b"", b"ab")),
        TypeError,
        "metadata: a sequence is needed",
    ),
    (
        "items that are floats",
        "sb_echo_add_request",
        (VIEW, (0, b"", [1.5])),
        TypeError,
        "metadata: integers are needed",
    ),
    ("a bytes field that is a str", "sb_echo_add_request", (VIEW, (0, "s")), TypeError, "subject: a bytes-like object"),
    ("a status that is a str", "sb_status_name", ("SB_OK",), TypeError, "status: an integer is needed, not str"),
]


@pytest.mark.parametrize(("name", "arguments", "kind", "words"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_wrong_arguments_are_refused_with_the_same_words(
    name: str, arguments: tuple[Any, ...], kind: type[Exception], words: str
) -> None:
    by_cffi, by_ctypes = (call(layer, name, *arguments) for layer in (_layer_cffi, _layer_ctypes))
    assert type(by_cffi) is type(by_ctypes)
    assert isinstance(by_cffi, kind)
    assert not isinstance(by_cffi, samebytes.SamebytesError)
    assert words in str(by_cffi)
    assert str(by_cffi) == str(by_ctypes)


def test_the_place_in_a_sequence_is_a_note(layer: ModuleType) -> None:
    error = call(layer, "sb_schema_open", "Event", 0, 0, [("good", TYPE_STRING), ("bad", "string")])
    assert str(error) == "type: an integer is needed, not str"
    assert error.__notes__ == ["in fields[1]"]


def test_whatever_is_an_index_is_an_integer(layer: ModuleType) -> None:
    assert layer.sb_crc32c(numpy.uint32(0), DIGITS) == CRC


def test_no_lock_stays_on_a_bytearray(layer: ModuleType) -> None:
    data = bytearray(DIGITS)
    layer.sb_crc32c(0, data)
    data.extend(b"more")
    view = layer.sb_view_open(data)
    small, large = bytearray(3), bytearray(1000)
    layer.sb_view_copy_bytes(view, 0, small)
    small.append(0)
    with pytest.raises(samebytes.OutOfRangeError) as caught:
        layer.sb_view_copy_bytes(view, 0, large)
    large.append(0)  # while the exception is alive
    assert caught.value.status == samebytes.OUT_OF_RANGE
    builder = layer.sb_builder_open()
    layer.sb_echo_add_request(builder, (0, data, [1], data))
    with pytest.raises(TypeError):
        layer.sb_echo_add_request(builder, (0, data, [1], "text"))
    data.clear()
    layer.sb_builder_close(builder)
    layer.sb_view_close(view)


def test_outputs_are_untouched_by_a_call_that_fails(layer: ModuleType) -> None:
    view = layer.sb_view_open(b"abc")
    room = bytearray(b"....")
    with pytest.raises(samebytes.OutOfRangeError):
        layer.sb_view_read_bytes(view, room)
    assert room == b"...."
    assert layer.sb_view_size(view) == 3
    layer.sb_view_close(view)


def test_null_is_taken_where_the_headers_allow_it(layer: ModuleType) -> None:
    for memory in (None, 0):
        view = layer.sb_view_open(None, memory)
        assert layer.sb_view_size(view) == 0
        layer.sb_view_close(view)
    layer.sb_view_close(None)
    layer.sb_view_close()
    layer.sb_pool_close(layer.sb_pool_open(None))


def test_memory_at_an_address_is_read_and_written(layer: ModuleType) -> None:
    data = b"some bytes"
    assert layer.read_bytes(layer.address_of(data), 4) == b"some"
    assert layer.read_bytes(0, 0) == b""
    with pytest.raises(ValueError, match="NULL"):
        layer.read_bytes(0, 1)
    with pytest.raises(TypeError, match="bytes are needed, not bytearray"):
        layer.address_of(bytearray(3))
