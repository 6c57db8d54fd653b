"""The three parts of a real AutoGen, as the benchmark needs them. Each says that it is ready, and ends when its stdin does.

Usage: autogen.py host                  AutoGen's own host, on a free port of loopback
       autogen.py worker ADDRESS        has an agent that gives back what it gets
       autogen.py caller ADDRESS        calls it as its stdin says: a line of JSON an order, then `go` when it is warm
"""

import asyncio
import json
import socket
import statistics
import sys
import time
from typing import Any

from autogen_core import AgentId, MessageContext, RoutedAgent, rpc, try_get_known_serializers_for_type
from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime, GrpcWorkerAgentRuntimeHost
from pydantic import BaseModel


class Blob(BaseModel):
    body: str


ENVELOPE_BYTES = len(Blob(body="").model_dump_json())


class Echo(RoutedAgent):
    @rpc
    async def on_blob(self, message: Blob, ctx: MessageContext) -> Blob:
        return message


def say(text: str) -> None:
    print(text, flush=True)


async def lines() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def host() -> None:
    # It does not tell which port it got, so a free one is looked up first. Without reuse, a port that another program
    # took in between is an error and not a shared one.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    runtime = GrpcWorkerAgentRuntimeHost(address, extra_grpc_config=[("grpc.so_reuseport", 0)])
    runtime.start()
    say(f"ready on {address}")
    await (await lines()).read()
    await runtime.stop(grace=0)


async def registered(address: str, agent_type: str) -> GrpcWorkerAgentRuntime:
    runtime = GrpcWorkerAgentRuntime(address)
    await runtime.start()
    runtime.add_message_serializer(try_get_known_serializers_for_type(Blob))
    await Echo.register(runtime, agent_type, lambda: Echo("gives back what it gets"))
    return runtime


async def worker(address: str) -> None:
    runtime = await registered(address, "callee")
    say("ready")
    await (await lines()).read()
    await runtime.stop()


class Caller:
    def __init__(self, runtime: GrpcWorkerAgentRuntime, message_bytes: int) -> None:
        self._runtime = runtime
        self._blob = Blob(body="x" * (message_bytes - ENVELOPE_BYTES))

    async def calls(self, amount: int, depth: int, limit_ms: float) -> list[int]:
        """Nanoseconds of each call, `depth` of them in flight, until there are `amount` or the time is over."""
        times: list[int] = []
        begun = 0
        until = time.perf_counter_ns() + limit_ms * 1e6

        async def one_after_the_other() -> None:
            nonlocal begun
            while begun < amount and time.perf_counter_ns() < until:
                begun += 1
                times.append(await self._call())

        await asyncio.gather(*(one_after_the_other() for _ in range(depth)))
        return times

    async def _call(self) -> int:
        to, sender = AgentId("callee", "default"), AgentId("caller", "default")
        started = time.perf_counter_ns()
        answer = await self._runtime.send_message(self._blob, to, sender=sender)
        spent = time.perf_counter_ns() - started
        if answer != self._blob:
            raise ValueError("another answer than was due")
        return spent


async def obey(runtime: GrpcWorkerAgentRuntime, order: dict[str, Any], orders: asyncio.StreamReader) -> None:
    number, depth, limit_ms = order["number"], order["depth"], order["limitMs"]
    try:
        caller = Caller(runtime, order["messageBytes"])
        await caller.calls(order["warmUp"], depth, limit_ms)
        say(f"warm {number}")
        await orders.readline()
        started = time.perf_counter_ns()
        times = await caller.calls(order["amount"], depth, limit_ms)
        spent_ns = time.perf_counter_ns() - started
        shares = statistics.quantiles(times, n=100, method="inclusive")
        result = {
            "amount": len(times),
            "milliseconds": spent_ns / 1e6,
            "p50Ms": shares[49] / 1e6,
            "p99Ms": shares[98] / 1e6,
        }
        say(f"done {number} {json.dumps(result)}")
    except Exception as error:  # the order's end, whatever it was
        say(f"failed {number} {error!r}"[:1000].replace("\n", " "))


async def caller(address: str) -> None:
    runtime = await registered(address, "caller")
    say("ready")
    orders = await lines()
    while order := await orders.readline():
        await obey(runtime, json.loads(order), orders)
    await runtime.stop()


if __name__ == "__main__":
    roles = {"host": host, "worker": worker, "caller": caller}
    asyncio.run(roles[sys.argv[1]](*sys.argv[2:]))
