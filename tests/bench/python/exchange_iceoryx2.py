"""iceoryx2 between two Python processes: `connect` starts the other one, and returns what receives one buffer from it."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import iceoryx2 as iox2


def services(name: str) -> tuple[Any, Any, Any, Any]:
    iox2.set_log_level(iox2.LogLevel.Error)
    node = iox2.NodeBuilder.new().create(iox2.ServiceType.Ipc)
    bytes_service = (
        node.service_builder(iox2.ServiceName.new(f"{name}/bytes"))
        .publish_subscribe(iox2.Slice[ctypes.c_uint8])
        .open_or_create()
    )
    asks = node.service_builder(iox2.ServiceName.new(f"{name}/asks")).event().open_or_create()
    answers = node.service_builder(iox2.ServiceName.new(f"{name}/answers")).event().open_or_create()
    return node, bytes_service, asks, answers


def connect(size: int) -> Callable[[], None]:
    name = f"samebytes-bench-{os.getpid()}"
    kept, bytes_service, asks, answers = services(name)
    subscriber = bytes_service.subscriber_builder().create()
    ask, listen = asks.notifier_builder().create(), answers.listener_builder().create()
    child = subprocess.Popen([sys.executable, __file__, name, str(size)], stdout=subprocess.PIPE)
    if child.stdout is None or child.stdout.readline() != b"ready\n":
        raise SystemExit("iceoryx2: the other process does not start")

    def once() -> None:
        ask.notify()
        listen.blocking_wait()
        sample = subscriber.receive()
        data = sample.payload()
        if data[0] != data[size - 1] or kept is None:
            raise SystemExit("iceoryx2: the bytes are wrong")
        sample.delete()

    return once


def serve(name: str, size: int) -> None:
    kept, bytes_service, asks, answers = services(name)
    publisher = bytes_service.publisher_builder().initial_max_slice_len(size).create()
    answer, listen = answers.notifier_builder().create(), asks.listener_builder().create()
    print("ready", flush=True)
    parent = os.getppid()
    while os.getppid() == parent and kept is not None:
        if not listen.timed_wait(iox2.Duration.from_secs(1)):
            continue
        sample = publisher.loan_slice_uninit(size)
        data = sample.payload()
        data[0] = data[size - 1] = 1
        sample.assume_init().send()
        answer.notify()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
