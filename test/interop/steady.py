"""Steady load between two workers, counted and compared to the last message.

Usage: steady.py worker ADDRESS NAME            an echo, and a listener that keeps the order of what it hears
       steady.py driver ADDRESS WORKER NAME     calls and publishes until stdin closes, then says what became of it
"""

import asyncio
import hashlib
import random
import sys
import time

from autogen_core import AgentId, MessageContext, RoutedAgent, TopicId, TypeSubscription, event, rpc
from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime
from messages import Ask, Blob, Digests, digest, register_all, runner_is_done, say

CALLERS = 3
CALL_TIMEOUT_S = 60
# What is lost never comes: only so long is it waited for.
LAST_EVENT_TIMEOUT_S = 6


class Order:
    """What was published, or heard, as one running hash: so that an hour of it can be compared in one message."""

    def __init__(self) -> None:
        self.count = 0
        self.fault = ""
        self._hash = hashlib.sha256()

    def add(self, blob: Blob) -> None:
        if blob.number != self.count and not self.fault:
            self.fault = f"number {blob.number} where {self.count} was due"
        self.count += 1
        self._hash.update(f"{blob.number}:{digest(blob.body)}\n".encode())

    @property
    def values(self) -> list[str]:
        return [str(self.count), self.fault, self._hash.hexdigest()]


class Listener(RoutedAgent):
    """Hears events in their order; asked, it waits for so many at most a few seconds, and says what it heard."""

    heard = Order()
    warm = False

    def __init__(self, description: str) -> None:
        super().__init__(description)
        self._order = Listener.heard

    @event
    async def on_blob(self, message: Blob, ctx: MessageContext) -> None:
        if message.number < 0:
            Listener.warm = True
        else:
            self._order.add(message)

    @rpc
    async def on_ask(self, message: Ask, ctx: MessageContext) -> Digests:
        if message.topic == "warm":
            return Digests(values=["warm"] if Listener.warm else [])
        until = time.monotonic() + LAST_EVENT_TIMEOUT_S
        while self._order.count < message.count and time.monotonic() < until:
            await asyncio.sleep(0.05)
        return Digests(values=self._order.values)


async def worker(address: str, name: str) -> None:
    runtime = GrpcWorkerAgentRuntime(address)
    await runtime.start()
    await register_all(runtime, name)
    await Listener.register(runtime, f"{name}_listener", lambda: Listener("listens"))
    await runtime.add_subscription(TypeSubscription(f"{name}_steady", f"{name}_listener"))
    say(ready=True)
    await runner_is_done()
    # Where the wire is gone, nobody can ask it.
    say(done=True, heard=Listener.heard.values)
    await runtime.stop()


class Driver:
    def __init__(self, runtime: GrpcWorkerAgentRuntime, to: str) -> None:
        self._runtime = runtime
        self._to = to
        self._random = random.Random(1)
        self._published = Order()
        self._calls = 0
        self._faults: list[str] = []
        self._stopping = False

    async def warm_up(self) -> None:
        """Until a publish was heard: so that all that counts is heard by somebody."""
        agent = AgentId(f"{self._to}_listener", "default")
        while True:
            await self._runtime.publish_message(Blob(number=-1, body=""), TopicId(f"{self._to}_steady", "default"))
            answer = await asyncio.wait_for(self._runtime.send_message(Ask(topic="warm"), agent), CALL_TIMEOUT_S)
            if answer.values:
                return
            await asyncio.sleep(0.05)

    async def run(self) -> None:
        loads = [asyncio.create_task(self._call()) for _ in range(CALLERS)]
        loads.append(asyncio.create_task(self._publish()))
        await runner_is_done()
        self._stopping = True
        await asyncio.wait(loads, timeout=LAST_EVENT_TIMEOUT_S)
        unfinished = sum(not load.done() for load in loads)
        heard = await self._heard()
        say(
            done=True,
            calls=self._calls,
            published=self._published.count,
            heard=heard,
            same=heard == self._published.values,
            unfinished=unfinished,
            faults=self._faults,
        )

    async def _heard(self) -> list[str]:
        ask = Ask(count=self._published.count)
        agent = AgentId(f"{self._to}_listener", "default")
        try:
            answer = await asyncio.wait_for(self._runtime.send_message(ask, agent), LAST_EVENT_TIMEOUT_S + 2)
            return answer.values
        except Exception as error:
            return [f"asked in vain: {error!r}"]

    async def _call(self) -> None:
        agent = AgentId(f"{self._to}_echo", "default")
        while not self._stopping:
            self._calls += 1
            blob = self._blob(self._calls)
            started = time.time()
            try:
                answer = await asyncio.wait_for(self._runtime.send_message(blob, agent), CALL_TIMEOUT_S)
                if answer != blob:
                    self._faults.append(f"call {blob.number}: another answer")
            except Exception as error:
                self._faults.append(f"call {blob.number}: {error!r}")
            say(called=[started * 1000, time.time() * 1000])
            await asyncio.sleep(0.005)

    async def _publish(self) -> None:
        while not self._stopping:
            blob = self._blob(self._published.count)
            self._published.add(blob)
            try:
                await self._runtime.publish_message(blob, TopicId(f"{self._to}_steady", "default"))
            except Exception as error:
                self._faults.append(f"publish {blob.number}: {error!r}")
            await asyncio.sleep(0.01)

    def _blob(self, number: int) -> Blob:
        size = self._random.choice([1, 100, 1_000, 20_000])
        return Blob(number=number, body=self._random.randbytes(size // 2 + 1).hex())


async def driver(address: str, to: str, name: str) -> None:
    runtime = GrpcWorkerAgentRuntime(address)
    await runtime.start()
    await register_all(runtime, name)
    load = Driver(runtime, to)
    await load.warm_up()
    say(ready=True)
    await load.run()
    await runtime.stop()


if __name__ == "__main__":
    role, *arguments = sys.argv[1:]
    asyncio.run(worker(*arguments) if role == "worker" else driver(*arguments))
