"""An Echo server: answers each request with the number of requests with that subject before it, and its timestamp, subject and body.

python echo_server.py [PORT]

Without PORT the system chooses one. The first line on stdout says which; SIGINT or SIGTERM ends the server.
"""

import asyncio
import collections
import signal
import sys

from samebytes import aio


async def main(port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    counts: collections.Counter[bytes] = collections.Counter()

    def answer(request):
        # The subject says who asks, so that each client's requests are counted for themselves.
        id = counts[request.subject]
        counts[request.subject] += 1
        return {"id": id, "timestamp": request.timestamp, "subject": request.subject, "body": request.body}

    async with await aio.serve(answer, "127.0.0.1", port, aio.Pair.open_echo()) as server:
        print(f"listening on 127.0.0.1 {server.port}", flush=True)
        await stop.wait()


asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
