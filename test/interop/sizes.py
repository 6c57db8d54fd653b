"""Messages of 3, 5 and 20 MiB between two real workers, each way, by RPC, publish and unary call, with small ones between.

Usage: sizes.py bare ADDRESS                        what becomes of a worker that sends 5 MiB to AutoGen's host
       sizes.py wired WORKER_ADDRESS OWN_ADDRESS    the limit of 4 MiB is answered, and nothing ends
"""

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable

from autogen_core import AgentId, MessageContext, RoutedAgent, TopicId, TypeSubscription, event, rpc
from autogen_core import try_get_known_serializers_for_type
from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime
from messages import Ask, Blob, say
from party import Heard, Raw

MIB = 1024 * 1024
LIMIT = 4 * MIB
STEP_S = 30
NEVER_S = 3
BOTH_NUMBERS = re.compile(r"the message is (\d+) bytes long, the most is (\d+)")
NAME_NUMBERS = re.compile(r"type of (\d+) bytes, limit (\d+)")
# Three names of 1,000 B each: the list of so many is 3 MiB.
SUBSCRIPTIONS = 1_000
AT_ONCE = 16


class Sizer(RoutedAgent):
    """Says how much it was sent, sends as much as it is asked for, and notes the sizes of events."""

    heard = Heard()

    @rpc
    async def on_blob(self, message: Blob, ctx: MessageContext) -> Blob:
        return Blob(number=len(message.body), body="")

    @rpc
    async def on_ask(self, message: Ask, ctx: MessageContext) -> Blob:
        return Blob(number=0, body="a" * message.count)

    @event
    async def on_event(self, message: Blob, ctx: MessageContext) -> None:
        await Sizer.heard.add((message.number, len(message.body)))


async def start(address: str) -> GrpcWorkerAgentRuntime:
    runtime = GrpcWorkerAgentRuntime(address)
    await runtime.start()
    for kind in (Blob, Ask):
        runtime.add_message_serializer(try_get_known_serializers_for_type(kind))
    return runtime


async def start_sizer(address: str) -> GrpcWorkerAgentRuntime:
    runtime = await start(address)
    await Sizer.register(runtime, "sizer", lambda: Sizer("sizes"))
    await runtime.add_subscription(TypeSubscription("sizes", "sizer"))
    return runtime


async def call(runtime: GrpcWorkerAgentRuntime, message: Blob | Ask, seconds: float = STEP_S) -> Blob:
    return await asyncio.wait_for(runtime.send_message(message, AgentId("sizer", "default")), seconds)


async def check(name: str, work: Callable[[], Awaitable[None]]) -> None:
    try:
        await work()
    except Exception as error:  # the check's verdict, whatever it was
        say(check=name, ok=False, detail=f"{type(error).__name__}: {str(error)[:500]}")
    else:
        say(check=name, ok=True)


def names_both(text: str, size: int, limit: int = LIMIT, pattern: re.Pattern[str] = BOTH_NUMBERS) -> None:
    numbers = pattern.search(text)
    assert numbers is not None, text
    said = (int(numbers[1]), int(numbers[2]))
    assert size <= said[0] < size + 2_000 and said[1] == limit, text


async def bare(address: str) -> None:
    await start_sizer(address)
    runtime = await start(address)

    async def passes() -> None:
        assert (await call(runtime, Blob(number=0, body="a" * 3 * MIB))).number == 3 * MIB

    async def hangs(message: Blob) -> None:
        try:
            await call(runtime, message, NEVER_S)
        except asyncio.TimeoutError:
            return
        raise AssertionError("it was answered")

    await check("3 MiB pass", passes)
    await check("5 MiB hang", lambda: hangs(Blob(number=0, body="a" * 5 * MIB)))
    await check("after that a small one hangs", lambda: hangs(Blob(number=0, body="a")))


class Wired:
    def __init__(self, runtime: GrpcWorkerAgentRuntime, raw: Raw) -> None:
        self._runtime = runtime
        self._raw = raw
        self._small = 0

    async def small(self) -> None:
        self._small += 1
        assert (await call(self._runtime, Blob(number=0, body="abc"))).number == 3
        await self._runtime.publish_message(Blob(number=self._small, body="abc"), TopicId("sizes", "default"))
        assert await Sizer.heard.has(lambda what: what == (self._small, 3))
        assert await self._raw.register(f"small_{self._small}") == "ok"

    async def request(self, size: int) -> None:
        try:
            answer = await call(self._runtime, Blob(number=0, body="a" * size))
        except Exception as error:
            assert size > LIMIT
            return names_both(str(error), size)
        assert size < LIMIT and answer.number == size

    async def response(self, size: int) -> None:
        try:
            answer = await call(self._runtime, Ask(count=size))
        except Exception as error:
            assert size > LIMIT
            return names_both(str(error), size)
        assert size < LIMIT and len(answer.body) == size

    async def publish(self, size: int) -> None:
        await self._runtime.publish_message(Blob(number=0, body="a" * size), TopicId("sizes", "default"))
        if size < LIMIT:
            assert await Sizer.heard.has(lambda what: what == (0, size))
        else:
            await self.small()  # it comes after what is not there
            assert (0, size) not in Sizer.heard.all

    async def unary(self, size: int) -> None:
        told = await self._raw.register("a" * size)
        if size < LIMIT:
            assert told.startswith("INVALID_ARGUMENT"), told
            return names_both(told, size, 1_024, NAME_NUMBERS)
        assert told.startswith("RESOURCE_EXHAUSTED"), told
        names_both(told, size)

    async def answer(self) -> None:
        """What the gateway answers by itself is bounded by what a worker may register: 1,024 subscriptions."""
        agent_type = "b" * 1_000
        assert await self._raw.register(agent_type) == "ok"
        for first in range(0, SUBSCRIPTIONS, AT_ONCE):
            some = range(first, min(first + AT_ONCE, SUBSCRIPTIONS))
            told = [self._raw.subscribe(f"{i:04}{'c' * 996}", agent_type, f"{i:04}{'d' * 996}") for i in some]
            assert set(await asyncio.gather(*told)) == {"ok"}
        size = sum(subscription.ByteSize() for subscription in await self._raw.list())
        assert size > 2.8 * MIB, f"{size}"


async def wired(worker_address: str, own_address: str) -> None:
    await start_sizer(worker_address)
    runtime = await start(own_address)
    raw = Raw(own_address)
    await raw.open()
    work = Wired(runtime, raw)
    await check("small ones pass", work.small)
    for mib in (3, 5, 20):
        size = mib * MIB
        fate = "passes" if size < LIMIT else "is answered with both numbers"
        await check(f"an RPC of {mib} MiB {fate}", lambda: work.request(size))
        await check(f"an answer of {mib} MiB {fate}", lambda: work.response(size))
        dropped = "is heard" if size < LIMIT else "is dropped"
        await check(f"a publish of {mib} MiB {dropped}", lambda: work.publish(size))
        await check(f"a unary call of {mib} MiB is answered with both numbers", lambda: work.unary(size))
        await check(f"after {mib} MiB small ones go on", work.small)
    await check(f"a unary answer of 3 MiB, {SUBSCRIPTIONS} subscriptions, passes", work.answer)


async def main() -> None:
    await {"bare": bare, "wired": wired}[sys.argv[1]](*sys.argv[2:])
    say(done=True)


asyncio.run(main())
