"""Load whose host comes and goes: what became of each message is counted, by its number.

Usage: heal.py worker ADDRESS NAME       an agent NAME that echoes, and hears the topic `NAME_numbers`
       heal.py driver ADDRESS WORKER     calls and publishes until stdin closes, then says what became of it
"""

import asyncio
import sys
import time
from collections import Counter

from autogen_core import AgentId, MessageContext, RoutedAgent, TopicId, TypeSubscription, event, rpc
from autogen_core import try_get_known_serializers_for_type
from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime
from messages import Blob, runner_is_done, say

CALLERS = 3
# So large that what is held for a host that stays away reaches its bound.
EVENT_BODY = "e" * 8_192
# A call that has neither an answer nor an error by then hangs.
CALL_BOUND_S = 20
BETWEEN_PUBLISHES_S = 0.005
# The last event may still be on its way.
LAST_S = 1.5


class Counting(RoutedAgent):
    calls: Counter[int] = Counter()
    events: Counter[int] = Counter()

    @rpc
    async def on_call(self, message: Blob, ctx: MessageContext) -> Blob:
        Counting.calls[message.number] += 1
        return message

    @event
    async def on_event(self, message: Blob, ctx: MessageContext) -> None:
        Counting.events[message.number] += 1


async def worker(address: str, name: str) -> None:
    runtime = GrpcWorkerAgentRuntime(address)
    await runtime.start()
    runtime.add_message_serializer(try_get_known_serializers_for_type(Blob))
    await Counting.register(runtime, name, lambda: Counting("counts"))
    await runtime.add_subscription(TypeSubscription(f"{name}_numbers", name))
    say(ready=True)
    await runner_is_done()
    await asyncio.sleep(LAST_S)
    say(
        done=True,
        executed=sorted(Counting.calls),
        doubledCalls=sum(1 for times in Counting.calls.values() if times > 1),
        heard=len(Counting.events),
        doubled=sum(1 for times in Counting.events.values() if times > 1),
    )
    await runtime.stop()


class Driver:
    def __init__(self, runtime: GrpcWorkerAgentRuntime, to: str) -> None:
        self._runtime = runtime
        self._to = to
        self._calls = 0
        self._published = 0
        self._answered: list[int] = []
        self._errors: list[tuple[int, str]] = []
        self._hung = 0
        self._stopping = False

    async def run(self) -> None:
        loads = [asyncio.create_task(self._call()) for _ in range(CALLERS)]
        loads.append(asyncio.create_task(self._publish()))
        await runner_is_done()
        self._stopping = True
        await asyncio.gather(*loads)
        say(
            done=True,
            calls=self._calls,
            answered=self._answered,
            errors=self._errors,
            hung=self._hung,
            published=self._published,
        )

    async def _call(self) -> None:
        while not self._stopping:
            number = self._calls
            self._calls += 1
            sent = Blob(number=number, body=str(number))
            began = time.time() * 1000
            try:
                answer = await asyncio.wait_for(
                    self._runtime.send_message(sent, AgentId(self._to, "default")), CALL_BOUND_S
                )
            except asyncio.TimeoutError:
                self._hung += 1
            except Exception as error:
                self._errors.append((number, str(error)))
                # A refusal comes at once: without a pause this would be a flood.
                await asyncio.sleep(0.05)
            else:
                assert answer == sent
                self._answered.append(number)
                say(called=(began, time.time() * 1000))

    async def _publish(self) -> None:
        while not self._stopping:
            sent = Blob(number=self._published, body=EVENT_BODY)
            await self._runtime.publish_message(sent, TopicId(f"{self._to}_numbers", "default"))
            self._published += 1
            await asyncio.sleep(BETWEEN_PUBLISHES_S)


async def driver(address: str, to: str) -> None:
    runtime = GrpcWorkerAgentRuntime(address)
    await runtime.start()
    runtime.add_message_serializer(try_get_known_serializers_for_type(Blob))
    say(ready=True)
    await Driver(runtime, to).run()
    await runtime.stop()


asyncio.run({"worker": worker, "driver": driver}[sys.argv[1]](*sys.argv[2:]))
