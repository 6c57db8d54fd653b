"""The parties of the attacks: real AutoGen workers that note what reaches them, and a client that says what it likes."""

import asyncio
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

import grpc
from autogen_core import AgentId, MessageContext, RoutedAgent, TopicId, TypeSubscription, event, rpc
from autogen_core import try_get_known_serializers_for_type
from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime
from autogen_ext.runtimes.grpc.protos import agent_worker_pb2 as pb
from autogen_ext.runtimes.grpc.protos import agent_worker_pb2_grpc, cloudevent_pb2
from messages import Blob

PATIENCE_S = 10


class Note(NamedTuple):
    """A message as an agent got it."""

    body: str
    sender: AgentId | None
    key: str


class Heard:
    """What came, in its order, and who waits for what."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self._more = asyncio.Condition()

    async def add(self, what: Any) -> None:
        async with self._more:
            self.all.append(what)
            self._more.notify_all()

    async def has(self, fits: Callable[[Any], bool], seconds: float = PATIENCE_S) -> bool:
        async def until() -> None:
            async with self._more:
                await self._more.wait_for(lambda: any(fits(what) for what in self.all))

        try:
            await asyncio.wait_for(until(), seconds)
        except asyncio.TimeoutError:
            return False
        return True


class Witness(RoutedAgent):
    """Notes, answers with its party's name, and where it was told to, waits before it answers."""

    def __init__(self, party: "Party") -> None:
        super().__init__("witness")
        self._party = party

    @rpc
    async def on_call(self, message: Blob, ctx: MessageContext) -> Blob:
        await self._party.notes.add(Note(message.body, ctx.sender, self.id.key))
        if message.body in self._party.gates:
            await self._party.gates[message.body].wait()
        return Blob(number=message.number, body=f"{self._party.name} answers {message.body}")

    @event
    async def on_event(self, message: Blob, ctx: MessageContext) -> None:
        await self._party.notes.add(Note(message.body, ctx.sender, self.id.key))


class Party:
    """One real worker with one agent, of the party's name, that hears the topic `NAME_mail`."""

    def __init__(self, address: str, name: str) -> None:
        self.name = name
        self.notes = Heard()
        # Messages as they come from the wire, whether an agent gets them or not.
        self.wire = Heard()
        self.gates: dict[str, asyncio.Event] = {}
        self.subscription = TypeSubscription(f"{name}_mail", name)
        self.runtime = GrpcWorkerAgentRuntime(address)

    @property
    def client_id(self) -> str:
        assert self.runtime._host_connection is not None
        return self.runtime._host_connection._client_id

    async def start(self) -> "Party":
        await self.runtime.start()
        assert self.runtime._host_connection is not None
        queue = self.runtime._host_connection._recv_queue
        put = queue.put

        async def note_and_put(message: pb.Message) -> None:
            await self.wire.add(message)
            await put(message)

        queue.put = note_and_put  # type: ignore[method-assign]
        self.runtime.add_message_serializer(try_get_known_serializers_for_type(Blob))
        await Witness.register(self.runtime, self.name, lambda: Witness(self))
        await self.runtime.add_subscription(self.subscription)
        return self

    async def call(self, to: str, body: str, seconds: float = PATIENCE_S) -> str:
        """The answer, or why there is none."""
        try:
            answer = await asyncio.wait_for(
                self.runtime.send_message(Blob(number=0, body=body), AgentId(to, "default")), seconds
            )
        except asyncio.TimeoutError:
            return "no answer"
        except Exception as error:
            return f"error: {error}"
        return str(answer.body)

    async def publish(self, topic: str, body: str) -> None:
        await self.runtime.publish_message(Blob(number=0, body=body), TopicId(topic, "default"))

    async def heard(self, body: str, seconds: float = PATIENCE_S) -> bool:
        return await self.notes.has(lambda note: note.body == body, seconds)

    async def stop(self) -> None:
        # Where a call was left without an answer, an orderly stop would wait for it.
        try:
            await asyncio.wait_for(self.runtime.stop(), 1)
        except (asyncio.TimeoutError, grpc.RpcError):
            pass


def request(target: str, body: str, source: AgentId | None = None) -> pb.Message:
    payload = pb.Payload(
        data_type="Blob", data_content_type="application/json", data=Blob(number=0, body=body).model_dump_json().encode()
    )
    told = pb.RpcRequest(request_id=uuid.uuid4().hex, target=pb.AgentId(type=target, key="default"), payload=payload)
    if source is not None:
        told.source.CopyFrom(pb.AgentId(type=source.type, key=source.key))
    return pb.Message(request=told)


def publish(topic: str, body: str, sender: AgentId, source: str = "default") -> pb.Message:
    text = cloudevent_pb2.CloudEvent.CloudEventAttributeValue
    attributes = {
        "datacontenttype": text(ce_string="application/json"),
        "dataschema": text(ce_string="Blob"),
        "agagentsendertype": text(ce_string=sender.type),
        "agagentsenderkey": text(ce_string=sender.key),
        "agmsgkind": text(ce_string="publish"),
    }
    told = cloudevent_pb2.CloudEvent(id=str(uuid.uuid4()), spec_version="1.0", type=topic, source=source)
    for name, value in attributes.items():
        told.attributes[name].CopyFrom(value)
    told.binary_data = Blob(number=0, body=body).model_dump_json().encode()
    return pb.Message(cloudEvent=told)


class Raw:
    """A client of AutoGen's protocol without AutoGen's manners, on a connection of its own."""

    def __init__(self, address: str, client_id: str | None = None) -> None:
        self._channel = grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
        self._stub: Any = agent_worker_pb2_grpc.AgentRpcStub(self._channel)
        self._metadata = (("client-id", client_id or str(uuid.uuid4())),)
        self._call: Any = None
        self._reading: asyncio.Task[None] | None = None
        self.wire = Heard()

    async def open(self, reads: bool = True) -> None:
        self._call = self._stub.OpenChannel(metadata=self._metadata)
        await self._call.wait_for_connection()
        if reads:
            self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            while (message := await self._call.read()) is not grpc.aio.EOF:
                await self.wire.add(message)
        except grpc.RpcError:
            pass  # refused or cut: it hears no more

    async def send(self, message: pb.Message) -> None:
        await self._call.write(message)

    async def register(self, agent_type: str) -> str:
        return await self._ask(self._stub.RegisterAgent, pb.RegisterAgentTypeRequest(type=agent_type))

    async def subscribe(self, topic: str, agent_type: str, subscription_id: str | None = None) -> str:
        told = pb.Subscription(
            id=subscription_id or str(uuid.uuid4()),
            typeSubscription=pb.TypeSubscription(topic_type=topic, agent_type=agent_type),
        )
        return await self._ask(self._stub.AddSubscription, pb.AddSubscriptionRequest(subscription=told))

    async def subscribe_prefix(self, prefix: str, agent_type: str) -> str:
        told = pb.Subscription(
            id=str(uuid.uuid4()),
            typePrefixSubscription=pb.TypePrefixSubscription(topic_type_prefix=prefix, agent_type=agent_type),
        )
        return await self._ask(self._stub.AddSubscription, pb.AddSubscriptionRequest(subscription=told))

    async def unsubscribe(self, subscription_id: str) -> str:
        return await self._ask(self._stub.RemoveSubscription, pb.RemoveSubscriptionRequest(id=subscription_id))

    async def list(self) -> list[pb.Subscription]:
        answer = await self._stub.GetSubscriptions(pb.GetSubscriptionsRequest(), metadata=self._metadata, timeout=PATIENCE_S)
        return list(answer.subscriptions)

    async def _ask(self, method: Any, told: Any) -> str:
        """`ok`, or how it was refused."""
        try:
            await method(told, metadata=self._metadata, timeout=PATIENCE_S)
        except grpc.aio.AioRpcError as error:
            return f"{error.code().name}: {error.details()}"
        return "ok"

    async def close(self) -> None:
        if self._call is not None:
            self._call.cancel()
        if self._reading is not None:
            self._reading.cancel()
        await self._channel.close()
