"""An Echo client: sends COUNT requests, pipelined, and checks every response.

python echo_client.py PORT COUNT [SUBJECT]

Ends with exit 0 and the number of responses, or with exit 1 and what went wrong.
"""

import asyncio
import random
import sys

import samebytes
from samebytes import aio


async def main(port: int, count: int, subject: bytes) -> None:
    generator = random.Random(count)
    bodies = [generator.randbytes(generator.choice((0, 1, 100, 20_000))) for _ in range(count)]
    async with await aio.connect("127.0.0.1", port, aio.Pair.open_echo(), timeout=60) as client:
        many = ([index, subject, [index % 1000], body] for index, body in enumerate(bodies))
        expected = 0
        async for response in client.call_many(many):
            wanted = (expected, expected, subject, bodies[expected])
            if (response.id, response.timestamp, response.subject, response.body) != wanted:
                sys.exit(f"response {expected} differs from its request")
            expected += 1
        await client.finish()
    print(f"{expected} responses")


try:
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), b" ".join(word.encode() for word in sys.argv[3:])))
except (samebytes.SamebytesError, OSError) as error:
    sys.exit(f"echo_client.py: {error}")
