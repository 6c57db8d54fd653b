"""Drives a worker that is already there, from a process and a connection of its own, and says what held.

Usage: driver.py ADDRESS WORKER_NAME OWN_NAME
"""

import asyncio
import os
import random
import sys
from collections.abc import Awaitable, Callable

from autogen_core import PROTOBUF_DATA_CONTENT_TYPE, AgentId, AgentRuntime, TopicId
from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime
from google.protobuf.wrappers_pb2 import BytesValue
from messages import Ask, Blob, Digests, digest, register_all, say

STEP_SECONDS = 60
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .,"
# What JSON escapes, what UTF-8 makes long, and what ends a line somewhere.
HARD_TEXT = '"\\/\b\f\n\r\t\x00\x1f<&é€漢字😀\u2028\u2029'

rng = random.Random(20_771)


def text(size: int, alphabet: str = ALPHABET) -> str:
    return "".join(rng.choices(alphabet, k=size))


async def check(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """One check: it holds, or the reason why not is told. Silence is bounded."""
    try:
        await asyncio.wait_for(work(), STEP_SECONDS)
    except asyncio.TimeoutError:
        say(check=name, ok=False, detail=f"no answer within {STEP_SECONDS} s")
    except Exception as error:  # the check's verdict, whatever it was
        say(check=name, ok=False, detail=f"{type(error).__name__}: {str(error)[:500]}")
    else:
        say(check=name, ok=True)


def same(found: object, wanted: object) -> None:
    if found != wanted:
        raise AssertionError(f"{str(found)[:200]} is not {str(wanted)[:200]}")


async def echoes(runtime: AgentRuntime, agent_type: str, body: str, number: int = 7) -> None:
    answer = await runtime.send_message(Blob(number=number, body=body), AgentId(agent_type, "default"))
    if answer.body != body or answer.number != number:
        raise AssertionError(f"sent {len(body)} characters, received {len(answer.body)} that differ")


async def collected(runtime: AgentRuntime, name: str, count: int) -> list[str]:
    answer = await runtime.send_message(Ask(count=count), AgentId(f"{name}_collector", "default"))
    assert isinstance(answer, Digests)
    return answer.values


async def publishes(runtime: AgentRuntime, asker: AgentRuntime, name: str, bodies: list[str]) -> None:
    for i, body in enumerate(bodies):
        await runtime.publish_message(Blob(number=i, body=body), TopicId(f"{name}_topic", "default"))
    same(await collected(asker, name, len(bodies)), sorted(digest(b) for b in bodies))


async def refused(runtime: AgentRuntime, name: str) -> None:
    try:
        await register_all(runtime, name)
    except Exception as error:
        if "registered" not in str(error):
            raise
        return
    raise AssertionError("an agent type was registered twice")


async def fails(runtime: AgentRuntime, name: str) -> None:
    try:
        await echoes(runtime, f"{name}_failing", "x")
    except Exception as error:
        same(str(error), "fails on purpose")
        return
    raise AssertionError("no error came")


def connections_to(port: int) -> int:
    """TCP connections of this process to a port of this machine, from the kernel's own tables."""
    inodes = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            link = os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:
            continue  # the listing's own descriptor
        if link.startswith("socket:["):
            inodes.add(link[len("socket:[") : -1])
    rows = []
    for table in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):  # gRPC dials 127.0.0.1 from an IPv6 socket
        with open(table) as lines:
            rows += [line.split() for line in lines.readlines()[1:]]
    established = [r for r in rows if r[3] == "01" and int(r[2].split(":")[1], 16) == port]
    return sum(1 for row in established if row[9] in inodes)


async def two_processes(runtime: AgentRuntime, worker: str, own: str) -> None:
    for size in (1, 1024, 64 * 1024, 1024 * 1024, 3 * 1024 * 1024):
        body = text(size)
        await check(f"an RPC of {size} B comes back the same", lambda: echoes(runtime, f"{worker}_echo", body))
    hard = text(16 * 1024, HARD_TEXT)
    await check("an RPC of 16 Ki characters of hard text", lambda: echoes(runtime, f"{worker}_echo", hard))

    async def at_once() -> None:
        await asyncio.gather(*(echoes(runtime, f"{worker}_echo", text(100 * i), i) for i in range(1, 33)))

    await check("32 RPCs at once each get their own answer", at_once)
    await check("an agent's exception reaches its caller", lambda: fails(runtime, worker))

    async def relayed() -> None:
        ask = Ask(agent=f"{own}_echo")
        same(await runtime.send_message(ask, AgentId(f"{worker}_relay", "default")), Blob(number=1, body="round trip"))

    await check("an agent calls back while it is called", relayed)
    bodies = [text(1 + (i * 331) % 20_000) for i in range(200)]
    await check("200 publishes of up to 20 kB arrive once each", lambda: publishes(runtime, runtime, worker, bodies))

    async def the_other_way() -> None:
        ask = Ask(count=100, topic=f"{own}_topic")
        sent = await runtime.send_message(ask, AgentId(f"{worker}_publisher", "default"))
        same(await collected(runtime, own, 100), sent.values)

    await check("100 publishes of the other worker arrive once each", the_other_way)
    await check("an agent type of another worker is refused", lambda: refused(runtime, worker))


async def one_process(address: str, runtime: AgentRuntime, own: str) -> None:
    """A second worker in this process: gRPC puts both on one connection."""
    second_name = f"{own}_second"
    second = GrpcWorkerAgentRuntime(address, payload_serialization_format=PROTOBUF_DATA_CONTENT_TYPE)
    await second.start()
    await register_all(second, second_name)
    if not address.startswith("unix:") and os.path.exists("/proc/self/net/tcp6"):
        dialled = os.environ.get("grpc_proxy", address)
        port = int(dialled.rsplit(":", 1)[1])

        async def one() -> None:
            same(connections_to(port), 1)

        await check("two workers of one process share one connection", one)
    body = text(256 * 1024)
    await check("the first calls the second", lambda: echoes(runtime, f"{second_name}_echo", body))
    await check("the second calls the first", lambda: echoes(second, f"{own}_echo", body))
    bodies = [text(i * 10) for i in range(1, 51)]
    await check("50 publishes from the first to the second", lambda: publishes(runtime, runtime, second_name, bodies))

    async def protobuf() -> None:
        values = [rng.randbytes(1 + i * 401) for i in range(30)]
        for value in values:
            await second.publish_message(BytesValue(value=value), TopicId(f"{own}_topic", "default"))
        same(await collected(runtime, own, len(values)), sorted(digest(v) for v in values))

    await check("30 protobuf publishes of random bytes from the second to the first", protobuf)
    await second.stop()

    async def first_lives() -> None:
        await echoes(runtime, f"{own}_echo", "still here")

    await check("when the second leaves, the first goes on", first_lives)


async def main() -> None:
    address, worker, own = sys.argv[1:4]
    runtime = GrpcWorkerAgentRuntime(address)
    await runtime.start()
    await register_all(runtime, own)
    await two_processes(runtime, worker, own)
    await one_process(address, runtime, own)
    await runtime.stop()
    say(done=True)


asyncio.run(main())
