"""One end of an exchange, in Python: worker.py ROLE DESCRIPTOR. See worker.c."""

from __future__ import annotations

import os
import signal
import sys

import samebytes

WHOLE = 1 << 20
BLOCK = 1 << 16
WAIT_MS = 20_000
PATTERN = bytes((i * 7 + i // 251) & 0xFF for i in range(WHOLE))


def need(condition: bool, what: str) -> None:
    if not condition:
        raise AssertionError(what)


def expect_text(channel: samebytes.Channel, wanted_tag: int, text: bytes) -> None:
    view, tag = channel.receive(WAIT_MS)
    with view:
        need((bytes(view), tag) == (text, wanted_tag), f"{text!r} is to come")


def send_text(channel: samebytes.Channel, memory: samebytes.Memory, tag: int, text: bytes) -> None:
    with samebytes.View(text, memory) as view:
        channel.send_view(view, tag, WAIT_MS)


def send(channel: samebytes.Channel, memory: samebytes.Memory) -> None:
    with samebytes.View(b"head:", memory) as head, samebytes.View(PATTERN, memory) as whole:
        head.append(whole)
        channel.send_view(head, 1, WAIT_MS)
    with memory.get_block(BLOCK) as block, memoryview(block) as data:
        data[:] = b"S" * len(data)
        channel.send_block(block, BLOCK, 2, WAIT_MS)
        expect_text(channel, 3, b"written")
        need(data[:BLOCK] == b"R" * BLOCK, "the receiver wrote")
        data[:5] = b"again"
        send_text(channel, memory, 4, b"look")
        channel.wait_done(WAIT_MS)
        need(data[:4] == b"last", "the receiver wrote last")


def receive(channel: samebytes.Channel, memory: samebytes.Memory) -> None:
    with channel.receive_view(WAIT_MS) as whole:
        need(bytes(whole) == b"head:" + PATTERN, "the bytes are those that were sent")
    with channel.receive_block(WAIT_MS) as block, memoryview(block) as data:
        need(bytes(data) == b"S" * BLOCK, "the block is as it was sent")
        data[:] = b"R" * BLOCK
        send_text(channel, memory, 3, b"written")
        expect_text(channel, 4, b"look")
        need(data[:5] == b"again", "the sender wrote")
        data[:4] = b"last"
    channel.wait_done(WAIT_MS)


def lose(channel: samebytes.Channel, memory: samebytes.Memory) -> None:
    send_text(channel, memory, 1, PATTERN)
    try:
        channel.wait_done(WAIT_MS)
    except samebytes.UnavailableError:
        pass
    else:
        raise AssertionError("the receiver died, and is said to be done")
    need(memory.get_stats().live_bytes == 0 and channel.pin_count() == 0, "the pins are free")


def die(channel: samebytes.Channel, memory: samebytes.Memory) -> None:
    del memory
    kept = channel.receive_view(WAIT_MS)
    os.kill(os.getpid(), signal.SIGKILL)
    kept.close()


def main() -> None:
    descriptor = int(sys.argv[2])
    with samebytes.Channel(descriptor) as channel, samebytes.Memory.open_shared(0, 0) as memory:
        os.close(descriptor)
        {"send": send, "receive": receive, "lose": lose, "die": die}[sys.argv[1]](channel, memory)
    need(samebytes.memory_live_blocks() == 0, "nothing leaks")
    print("ok")


main()
