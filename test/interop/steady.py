"""Steady load between two workers, in which each message says by itself what it must be.

Usage: steady.py worker ADDRESS NAME            an echo, and a listener that counts what it hears
       steady.py driver ADDRESS WORKER NAME     calls and publishes until stdin closes, then says what became of it

A worker may be told on stdin, before it closes, how many events it should have heard: for the last it waits a moment.
"""

import asyncio
import random
import sys
import time

from autogen_core import AgentId, MessageContext, RoutedAgent, TopicId, TypeSubscription, event
from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime
from messages import Blob, register_all, runner_is_done, say

CALLERS = 3
CALL_TIMEOUT_S = 60
# What is lost never comes: only so long is it waited for.
LAST_TIMEOUT_S = 6


def numbered(number: int) -> Blob:
    """The message of that number: whoever receives it knows what it must be."""
    own = random.Random(number)
    size = own.choice([1, 100, 1_000, 20_000])
    return Blob(number=number, body=own.randbytes(size // 2 + 1).hex())


class Listener(RoutedAgent):
    """Hears events, and keeps the first that was not the one due: lost, doubled, swapped or altered, it shows."""

    count = 0
    fault = ""
    more = asyncio.Condition()

    @event
    async def on_blob(self, message: Blob, ctx: MessageContext) -> None:
        due = Listener.count
        if message != numbered(due) and not Listener.fault:
            other = "another body" if message.number == due else f"number {message.number}"
            Listener.fault = f"{other} where number {due} was due"
        async with Listener.more:
            Listener.count += 1
            Listener.more.notify_all()

    @staticmethod
    async def has_heard(count: int) -> None:
        async with Listener.more:
            await Listener.more.wait_for(lambda: Listener.count >= count)


async def worker(address: str, name: str) -> None:
    runtime = GrpcWorkerAgentRuntime(address)
    await runtime.start()
    await register_all(runtime, name)
    await Listener.register(runtime, f"{name}_listener", lambda: Listener("listens"))
    await runtime.add_subscription(TypeSubscription(f"{name}_steady", f"{name}_listener"))
    say(ready=True)
    expected = int(await runner_is_done() or 0)
    try:
        await asyncio.wait_for(Listener.has_heard(expected), LAST_TIMEOUT_S)
    except asyncio.TimeoutError:
        pass  # the count says it
    # Where the wire is gone, nobody can ask it.
    say(done=True, heard=Listener.count, fault=Listener.fault)
    await runtime.stop()


class Driver:
    def __init__(self, runtime: GrpcWorkerAgentRuntime, to: str) -> None:
        self._runtime = runtime
        self._to = to
        self._calls = 0
        self._published = 0
        self._faults: list[str] = []
        self._stopping = False

    async def run(self) -> None:
        loads = [asyncio.create_task(self._call()) for _ in range(CALLERS)]
        loads.append(asyncio.create_task(self._publish()))
        await runner_is_done()
        self._stopping = True
        await asyncio.wait(loads, timeout=LAST_TIMEOUT_S)
        say(
            done=True,
            calls=self._calls,
            published=self._published,
            unfinished=sum(not load.done() for load in loads),
            faults=self._faults,
        )

    async def _call(self) -> None:
        agent = AgentId(f"{self._to}_echo", "default")
        while not self._stopping:
            blob = numbered(self._calls)
            self._calls += 1
            # What was published before a call goes before it, all the way: once it is answered, that was heard.
            published = self._published
            started = time.time()
            try:
                answer = await asyncio.wait_for(self._runtime.send_message(blob, agent), CALL_TIMEOUT_S)
                if answer != blob:
                    self._faults.append(f"call {blob.number}: another answer")
                say(called=[started * 1000, time.time() * 1000], published=published)
            except Exception as error:
                self._faults.append(f"call {blob.number}: {error!r}")
            await asyncio.sleep(0.005)

    async def _publish(self) -> None:
        topic = TopicId(f"{self._to}_steady", "default")
        while not self._stopping:
            try:
                await self._runtime.publish_message(numbered(self._published), topic)
            except Exception as error:
                self._faults.append(f"publish {self._published}: {error!r}")
            self._published += 1
            await asyncio.sleep(0.01)


async def driver(address: str, to: str, name: str) -> None:
    runtime = GrpcWorkerAgentRuntime(address)
    await runtime.start()
    await register_all(runtime, name)
    say(ready=True)
    await Driver(runtime, to).run()
    await runtime.stop()


if __name__ == "__main__":
    role, *arguments = sys.argv[1:]
    asyncio.run(worker(*arguments) if role == "worker" else driver(*arguments))
