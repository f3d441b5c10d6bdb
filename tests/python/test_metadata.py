"""Metadata of blocks in every slice, bufs from blocks, and the memory that objects tell."""

from __future__ import annotations

import pytest

import samebytes


def test_metadata_travels_with_every_slice() -> None:
    with samebytes.Memory.open_fixed(4) as memory:
        blocks = [memory.get_block(4), memory.get_block(4)]
        for key, block in enumerate(blocks, 1):
            assert block.get_metadata() == (0, 0)
            block.set_metadata(key, 0x1000 * key)
            assert block.get_metadata() == (key, 0x1000 * key)
        with samebytes.Buf.from_blocks(blocks, memory) as buf:
            assert all(block.closed for block in blocks)
            assert buf.room() == 8
            buf.put(b"01234567")
            with buf.take(8) as view, view[3:6] as middle:
                assert bytes(middle) == b"345"
                for each in (view, middle):
                    assert [each.span_metadata(i) for i in range(2)] == [(1, 0x1000), (2, 0x2000)]
                with pytest.raises(samebytes.OutOfRangeError):
                    view.span_metadata(2)


def test_blocks_that_cannot_be_a_buf_stay_open() -> None:
    with samebytes.Memory.open_heap() as memory, memory.get_block(8) as first, memory.get_block(8) as second:
        with second.retain(), pytest.raises(samebytes.BusyError):
            samebytes.Buf.from_blocks([first, second])
        with memoryview(first), pytest.raises(samebytes.BusyError, match="1 memoryview in use"):
            samebytes.Buf.from_blocks([first])
        with pytest.raises(samebytes.InvalidArgumentError):
            samebytes.Buf.from_blocks([first, second, first])
        with pytest.raises(TypeError, match=r"blocks\[1\]: a Block is needed, not int"):
            samebytes.Buf.from_blocks([first, 7])  # type: ignore[list-item]
        assert not first.closed
        assert not second.closed
        with samebytes.Buf.from_blocks([first, second]) as buf:
            assert buf.room() == 16


def test_metadata_of_a_shared_block_does_not_change() -> None:
    with samebytes.Memory.open_heap() as memory, memory.get_block(8) as block, block.retain() as other:
        with pytest.raises(samebytes.BusyError):
            other.set_metadata(1)
        assert block.get_metadata() == (0, 0)


def test_what_holds_memory_tells_its_provider() -> None:
    with samebytes.Memory.open_heap() as heap, samebytes.Memory.open_tracing(heap) as memory:
        with memory.get_block(1) as block, block.memory() as found:
            assert found.address == memory.address
        with samebytes.Builder(memory) as builder, builder.memory() as found:
            assert found.address == memory.address
        with samebytes.Parser([samebytes.echo_request_schema()], memory=memory) as parser, parser.memory() as found:
            assert found.address == memory.address
    with samebytes.Builder() as builder, builder.memory() as found, samebytes.Memory.open_default() as default:
        assert found.address == default.address
