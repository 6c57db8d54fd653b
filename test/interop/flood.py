"""A flood of publishes, one of whose subscribers takes nothing; another publisher, and a listener, beside it.

Usage: flood.py FLOODER_ADDRESS LISTENER_ADDRESS FROZEN_ADDRESS SECONDS
Says `phase` at the end of each: `warm` (a flood before the frozen one is there), `frozen`.
"""

import asyncio
import sys
import time

import grpc
from autogen_core import AgentId
from messages import say
from party import Party, Raw, publish

WARM_S = 1
# The last of a flood, in which it has come to rest.
REST_S = 2
BODY = "x" * 8_192
BETWEEN_QUIET_S = 0.02


class Flood:
    def __init__(self, raw: Raw, topic: str, sender: str) -> None:
        self._raw = raw
        self._topic = topic
        self._sender = AgentId(sender, "default")
        self.published = 0

    async def run(self) -> None:
        while True:
            # Waits for the window: what it has sent is what it was let.
            await self._raw.send(publish(self._topic, BODY, self._sender))
            self.published += 1

    async def runs(self, seconds: float) -> float:
        """Messages a second of the last REST_S."""
        task = asyncio.create_task(self.run())
        await asyncio.sleep(seconds - REST_S)
        before = self.published
        await asyncio.sleep(REST_S)
        rate = (self.published - before) / REST_S
        task.cancel()
        try:
            await task
        except (asyncio.CancelledError, grpc.RpcError):
            pass
        return rate


async def flooder(address: str, name: str, topic: str) -> Flood:
    raw = Raw(address)
    await raw.open()
    assert await raw.register(name) == "ok"
    return Flood(raw, topic, name)


async def main() -> None:
    flooder_address, listener_address, frozen_address, seconds = sys.argv[1:5]
    listener = await Party(listener_address, "listener").start()
    caller = await Party(flooder_address, "caller").start()
    say(ready=True)

    warm = await (await flooder(flooder_address, "warm", "listener_mail")).runs(WARM_S + REST_S)
    say(phase="warm", rate=warm)

    frozen = Raw(frozen_address)
    await frozen.open(reads=False)
    assert await frozen.register("frozen") == "ok"
    assert await frozen.subscribe("flood", "frozen") == "ok"
    flood = await flooder(flooder_address, "flooder", "flood")
    task = asyncio.create_task(flood.runs(float(seconds)))
    quiet = 0
    slowest = 0.0
    answered = 0
    while not task.done():
        # From another worker of the same connection, to one that takes what it is sent.
        await caller.publish("listener_mail", f"quiet {quiet}")
        quiet += 1
        began = time.monotonic()
        if await caller.call("listener", "call") == "listener answers call":
            answered += 1
        slowest = max(slowest, time.monotonic() - began)
        await asyncio.sleep(BETWEEN_QUIET_S)
    say(phase="frozen", rate=await task, published=flood.published)
    heard = await listener.heard(f"quiet {quiet - 1}")
    bodies = [note.body for note in listener.notes.all if note.body.startswith("quiet")]
    in_order = bodies == [f"quiet {i}" for i in range(quiet)]
    say(check="all heard", ok=heard and in_order and answered == quiet, detail=f"{quiet} published, {len(bodies)} heard, {answered} answered, the slowest after {slowest:.2f} s")
    say(done=True)


asyncio.run(main())
