"""Two AutoGen workers meet through the wire: an RPC, then a publish.

    pip install "autogen-core==0.7.5" "autogen-ext[grpc]==0.7.5"
    python examples/hello.py [ADDRESS]      # 127.0.0.1:50051, or unix:/path

It is plain AutoGen: nothing in it knows of Lockwire.
"""

import asyncio
import sys
from dataclasses import dataclass

from autogen_core import AgentId, MessageContext, RoutedAgent, TopicId, TypeSubscription
from autogen_core import event, rpc, try_get_known_serializers_for_type
from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime


@dataclass
class Hello:
    text: str


class Greeter(RoutedAgent):
    @rpc
    async def greet(self, message: Hello, ctx: MessageContext) -> Hello:
        return Hello(f"{message.text}, and hello to you")


class Listener(RoutedAgent):
    heard: "asyncio.Queue[str]" = asyncio.Queue()

    @event
    async def hear(self, message: Hello, ctx: MessageContext) -> None:
        await Listener.heard.put(message.text)


async def worker(address: str) -> GrpcWorkerAgentRuntime:
    runtime = GrpcWorkerAgentRuntime(address)
    await runtime.start()
    runtime.add_message_serializer(try_get_known_serializers_for_type(Hello))
    return runtime


async def main() -> None:
    address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50051"
    alice, bob = await worker(address), await worker(address)

    await Greeter.register(bob, "greeter", lambda: Greeter("greets whoever calls"))
    answer = await alice.send_message(Hello("hello from alice"), AgentId("greeter", "default"))
    print(f"RPC answered: {answer.text}")

    await Listener.register(bob, "listener", lambda: Listener("listens to news"))
    await bob.add_subscription(TypeSubscription("news", "listener"))
    await alice.publish_message(Hello("news from alice"), TopicId("news", "default"))
    print(f"published and heard: {await Listener.heard.get()}")

    await alice.stop()
    await bob.stop()


asyncio.run(main())
