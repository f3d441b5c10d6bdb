"""Pools and their blocks: got and released without Python code, and every fault an error."""

from __future__ import annotations

import gc
import re
import sys
import threading
import weakref
from typing import Any

import pytest

import samebytes

CLASSES = [(512, 100), (4096, 100)]


def outstanding(pool: samebytes.Pool) -> int:
    return pool.get_stats().outstanding


def test_a_block_is_put_when_it_is_released_or_closed() -> None:
    with samebytes.Pool(classes=CLASSES) as pool:
        block = pool.get_block(100)
        assert type(block) is samebytes.Block
        assert (len(block), outstanding(pool)) == (512, 1)
        memoryview(block)[:5] = b"hello"
        assert bytes(block)[:5] == b"hello"
        del block
        assert outstanding(pool) == 0
        again = pool.get_block(100)
        again.close()
        again.close()
        assert (again.closed, outstanding(pool)) == (True, 0)
        assert pool.get_class_stats(0).misses == 1
        with pytest.raises(samebytes.ClosedError, match="this Block has been closed"):
            memoryview(again)
        with pool.get_block(1) as within:
            assert not within.closed
        assert within.closed


def test_a_block_that_is_seen_is_busy() -> None:
    with samebytes.Pool(classes=CLASSES) as pool:
        block = pool.get_block(100)
        view = memoryview(block)[10:20]
        with pytest.raises(samebytes.BusyError, match="1 memoryview in use"):
            block.close()
        with pytest.raises(BufferError):
            block.detach()
        del block
        assert outstanding(pool) == 1  # the memoryview keeps it
        view[0] = 1
        view.release()
        assert outstanding(pool) == 0


@pytest.mark.parametrize("size", [0, -1, 2**32, 2**63, 2**64, -(2**70), 1.5, "1", None, True])
def test_wrong_sizes_are_refused(size: Any) -> None:
    with samebytes.Pool(classes=CLASSES) as pool:
        error: type[Exception] = TypeError
        if isinstance(size, int):
            error = OverflowError if not 0 <= size < 2**64 else samebytes.InvalidArgumentError
        if size is True:
            assert len(pool.get_block(size)) == 512  # an index, as everywhere in Python
            return
        for get in (pool.get_block, pool.get, lambda size: pool.get_many(size, 2)):
            with pytest.raises(error):
                get(size)
        assert outstanding(pool) == 0


def test_a_limit_and_a_closed_pool_are_said() -> None:
    pool = samebytes.Pool(classes=CLASSES, bytes_max=1024)
    blocks = [pool.get_block(512), pool.get_block(512)]
    for get in (pool.get_block, pool.get, lambda size: pool.get_many(size, 1)):
        with pytest.raises(samebytes.NoMemoryError, match="sb_pool_get"):
            get(512)
    pool.close()
    with pytest.raises(samebytes.ClosedError, match="this Pool has been closed"):
        pool.get_block(512)
    live = samebytes.memory_live_blocks()
    memoryview(blocks[0])[511] = 1  # still valid
    blocks.clear()
    assert samebytes.memory_live_blocks() == live - 2


def test_many_addresses_come_and_go_together() -> None:
    with samebytes.Pool(classes=CLASSES) as pool:
        blocks = pool.get_many(100, 50)
        assert len(set(blocks)) == outstanding(pool) == 50
        assert pool.get_many(100, 0) == []
        for wrong in ([*blocks, blocks[0]], [*blocks[:5], 64], [*blocks, blocks[0] + 8]):
            with pytest.raises(samebytes.InvalidArgumentError):
                pool.put_many(wrong)
        assert outstanding(pool) == 50
        pool.put_many(blocks)
        with pytest.raises(samebytes.InvalidArgumentError):
            pool.put_many(blocks)
        with pytest.raises(samebytes.InvalidArgumentError):
            pool.get_many(100, samebytes.POOL_MANY_MAX + 1)
        for count in (-1, 2**17, 2**70):
            with pytest.raises(OverflowError, match="count"):
                pool.get_many(100, count)
        assert outstanding(pool) == 0


def test_leaks_name_file_and_line() -> None:
    with samebytes.Pool(classes=CLASSES, trace=True) as pool:
        assert pool.leaks() == []
        block = pool.get_block(100)
        address = pool.get(4000)
        many = pool.get_many(100, 3)
        first = sys._getframe().f_lineno - 3
        leaks = pool.leaks()
        assert [(re.sub(r".*/", "", leak.tag), leak.blocks, leak.bytes) for leak in leaks] == [
            (f"test_pool.py:{first}", 1, 512),
            (f"test_pool.py:{first + 1}", 1, 4096),
            (f"test_pool.py:{first + 2}", 3, 1536),
        ]
        pool.tag(address, "mine")
        assert pool.leaks()[-1].tag == "mine"
        block.close()
        pool.put(address)
        pool.put_many(many)
        assert pool.leaks() == []
    with samebytes.Pool() as plain, pytest.raises(samebytes.UnsupportedError):
        plain.leaks()


def test_blocks_whose_tag_failed_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    with samebytes.Pool(classes=CLASSES, trace=True) as pool:
        left = 1

        def tag(self: samebytes.Pool, data: int, tag: str) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt

        monkeypatch.setattr(samebytes.Pool, "tag", tag)
        with pytest.raises(KeyboardInterrupt):
            pool.get_many(100, 3)
        assert outstanding(pool) == 0
        with pytest.raises(KeyboardInterrupt):
            pool.get(100)
        assert outstanding(pool) == 0


def test_handles_are_numbers_that_cannot_dangle() -> None:
    pool = samebytes.Pool(classes=CLASSES)
    handle = pool.handle()
    address = samebytes.pool_handle_get(handle, 100)
    samebytes.pool_handle_put(handle, address)
    with pytest.raises(samebytes.InvalidArgumentError):
        samebytes.pool_handle_put(handle, address)
    pool.close()
    with pytest.raises(samebytes.ClosedError):
        samebytes.pool_handle_get(handle, 100)
    samebytes.pool_handle_free(handle)
    for wrong in (handle, 0, 2**64 - 1):
        with pytest.raises(samebytes.NotFoundError):
            samebytes.pool_handle_get(wrong, 100)


def test_blocks_have_no_attributes_but_can_be_weakly_referred_to() -> None:
    with samebytes.Pool(classes=CLASSES) as pool:
        block = pool.get_block(1)
        with pytest.raises(AttributeError):
            block.mine = 1  # type: ignore[attr-defined]
        gone: list[int] = []
        reference = weakref.ref(block, lambda _: gone.append(1))
        assert reference() is block
        del block
        assert (gone, reference()) == ([1], None)


class Own(samebytes.Block):
    """A class of a program's own, with attributes."""


def test_a_class_of_ones_own_works_too() -> None:
    with samebytes.Pool(classes=CLASSES) as pool:
        block = Own.adopt(pool.get_block(1).detach())
        block.mine = block  # type: ignore[attr-defined]
        assert outstanding(pool) == 1
        del block
        gc.collect()
        assert outstanding(pool) == 0


def test_many_more_blocks_than_are_kept_as_objects() -> None:
    with samebytes.Pool(classes=CLASSES) as pool:
        for _ in range(3):
            blocks = [pool.get_block(1) for _ in range(1000)]
            assert len({block.address for block in blocks}) == 1000
            blocks.clear()
        assert outstanding(pool) == 0


def test_threads_get_release_and_close_at_once() -> None:
    pool = samebytes.Pool(classes=CLASSES)
    shared: list[samebytes.Block] = []
    problems: list[BaseException] = []

    def work() -> None:
        try:
            for index in range(2000):
                block = pool.get_block(1 + index % 4000)
                memoryview(block)[0] = 1
                shared.append(block)
                other = shared.pop(0) if len(shared) > 8 else block
                try:
                    other.size()
                    other.close()
                except samebytes.ClosedError:
                    pass  # another thread was first
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shared.clear()
    assert problems == []
    assert outstanding(pool) == 0
    pool.close()
