"""What the interop programs send each other, and how they talk to the runner: one JSON object a line on stdout."""

import asyncio
import hashlib
import json
import sys
from typing import Any

from autogen_core import AgentRuntime, MessageContext, RoutedAgent, TopicId, TypeSubscription, event, rpc
from autogen_core import try_get_known_serializers_for_type
from google.protobuf.wrappers_pb2 import BytesValue
from pydantic import BaseModel


class Blob(BaseModel):
    number: int
    body: str


class Ask(BaseModel):
    """To a collector: wait for `count` events. To a publisher: publish so many on `topic`. To a relay: call `agent`."""

    count: int = 0
    topic: str = ""
    agent: str = ""


class Digests(BaseModel):
    """SHA-256 of each body, in hex, sorted."""

    values: list[str]


def digest(body: str | bytes) -> str:
    return hashlib.sha256(body.encode() if isinstance(body, str) else body).hexdigest()


def say(**fields: Any) -> None:
    print(json.dumps(fields), flush=True)


class Echo(RoutedAgent):
    @rpc
    async def on_blob(self, message: Blob, ctx: MessageContext) -> Blob:
        return message


class Failing(RoutedAgent):
    @rpc
    async def on_blob(self, message: Blob, ctx: MessageContext) -> Blob:
        raise ValueError("fails on purpose")


class Relay(RoutedAgent):
    """Calls another agent while it is being called."""

    @rpc
    async def on_ask(self, message: Ask, ctx: MessageContext) -> Blob:
        from autogen_core import AgentId

        return await self.send_message(Blob(number=1, body="round trip"), AgentId(message.agent, "default"))


class Publisher(RoutedAgent):
    @rpc
    async def on_ask(self, message: Ask, ctx: MessageContext) -> Digests:
        bodies = [f"event {i} of {message.topic} " * (1 + i % 50) for i in range(message.count)]
        for i, body in enumerate(bodies):
            await self.publish_message(Blob(number=i, body=body), TopicId(message.topic, "default"))
        return Digests(values=sorted(digest(b) for b in bodies))


class Collector(RoutedAgent):
    """Keeps the digest of every event, and gives them once as many as asked for have come."""

    def __init__(self, description: str) -> None:
        super().__init__(description)
        self._digests: list[str] = []
        self._more = asyncio.Condition()

    @event
    async def on_blob(self, message: Blob, ctx: MessageContext) -> None:
        await self._keep(digest(message.body))

    @event
    async def on_bytes(self, message: BytesValue, ctx: MessageContext) -> None:
        await self._keep(digest(message.value))

    @rpc
    async def on_ask(self, message: Ask, ctx: MessageContext) -> Digests:
        async with self._more:
            await self._more.wait_for(lambda: len(self._digests) >= message.count)
            taken, self._digests = self._digests, []
        return Digests(values=sorted(taken))

    async def _keep(self, value: str) -> None:
        async with self._more:
            self._digests.append(value)
            self._more.notify_all()


async def register_all(runtime: AgentRuntime, name: str) -> None:
    """Registers one agent type of each kind, `NAME_echo` and so on; the collector hears the topic `NAME_topic`."""
    for message in (Blob, Ask, Digests, BytesValue):
        runtime.add_message_serializer(try_get_known_serializers_for_type(message))
    for kind in (Echo, Failing, Relay, Publisher, Collector):
        agent_type = f"{name}_{kind.__name__.lower()}"
        await kind.register(runtime, agent_type, lambda kind=kind: kind(kind.__name__))
    await runtime.add_subscription(TypeSubscription(f"{name}_topic", f"{name}_collector"))


async def runner_is_done() -> str:
    """The runner closes stdin when it is done, or dies: either way no program outlives it. Gives what it said there."""
    return await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
