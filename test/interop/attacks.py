"""Bob attacks Alice in each way that AutoGen's host lets him; after each, and before, both do their honest work.

Usage: attacks.py bare|wired ALICE_ADDRESS BOB_ADDRESS ALICE_AGAIN_ADDRESS
Bare: what the host does alone; the honest work is not tried after an attack that may have broken it.
"""

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from autogen_core import AgentId
from messages import say
from party import PATIENCE_S, Party, Raw, publish, request

UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")
# What never comes is waited for so long; through a wire that must deliver it, the full patience.
NEVER_S = 1.5

wired = sys.argv[1] == "wired"
alice_address, bob_address, alice_again_address = sys.argv[2:5]
answer_s = PATIENCE_S if wired else NEVER_S


class Scene:
    """Alice and Bob, fresh for each attack."""

    def __init__(self, number: int, stack: AsyncExitStack) -> None:
        self._number = number
        self._stack = stack
        self.detail = ""

    async def begin(self) -> None:
        self.alice = await self.party(alice_address, "alice")
        self.bob = await self.party(bob_address, "bob")

    async def party(self, address: str, name: str) -> Party:
        party = await Party(address, f"{name}_{self._number}").start()
        self._stack.push_async_callback(party.stop)
        return party

    def raw(self, address: str, client_id: str | None = None) -> Raw:
        raw = Raw(address, client_id)
        self._stack.push_async_callback(raw.close)
        return raw

    async def stranger(self, address: str, client_id: str | None = None) -> tuple[Raw, str]:
        """A raw client with an open channel and an agent type of its own."""
        raw = self.raw(address, client_id)
        await raw.open()
        name = f"stranger_{self._number}"
        self.detail = await raw.register(name)
        return raw, name

    async def honest(self, when: str) -> str:
        """Both call each other and publish to each other. '' where all of it works."""
        faults: list[str] = []
        for one, other in ((self.alice, self.bob), (self.bob, self.alice)):
            answer = await one.call(other.name, when)
            if answer != f"{other.name} answers {when}":
                faults.append(f"{one.name} calls {other.name}: {answer}")
            body = f"mail {when} from {one.name}"
            await one.publish(f"{other.name}_mail", body)
            if not await other.heard(body):
                faults.append(f"{other.name} does not hear {one.name}")
        return "; ".join(faults)


async def collision(scene: Scene, first_first: bool) -> bool:
    """Two callers of one agent, whose request ids are the same number."""
    alice, bob = scene.alice, scene.bob
    carol = await scene.party(bob_address, "carol")
    for body in ("of alice", "of bob"):
        carol.gates[body] = asyncio.Event()
    assert alice.runtime._next_request_id == bob.runtime._next_request_id
    hers = asyncio.create_task(alice.call(carol.name, "of alice", answer_s))
    await carol.heard("of alice")
    his = asyncio.create_task(bob.call(carol.name, "of bob", answer_s))
    await carol.heard("of bob")
    order = [("of alice", hers), ("of bob", his)]
    for body, _ in order if first_first else reversed(order):
        carol.gates[body].set()
        # So that the host has the one answer before the other.
        await asyncio.wait([hers, his], return_when=asyncio.FIRST_COMPLETED)
    answers = (await hers, await his)
    scene.detail = f"alice: {answers[0]}, bob: {answers[1]}"
    return answers != (f"{carol.name} answers of alice", f"{carol.name} answers of bob")


async def takes_channel(scene: Scene, address: str) -> bool:
    raw, name = await scene.stranger(address, scene.alice.client_id)
    answer = await scene.bob.call(scene.alice.name, "secret", answer_s)
    fence = asyncio.create_task(scene.bob.call(name, "fence", answer_s))
    reached = await raw.wire.has(lambda m: b'"fence"' in m.request.payload.data)
    fence.cancel()
    stolen = any(b'"secret"' in m.request.payload.data for m in raw.wire.all)
    scene.detail += f"; bob got: {answer}; the stranger {'hears' if reached else 'hears nothing'}"
    if wired and not reached:
        raise AssertionError("the second client did not get its own messages")
    return stolen


async def registers_in_her_name(scene: Scene) -> bool:
    raw = scene.raw(bob_address, scene.alice.client_id)
    ghost = f"{scene.alice.name}_ghost"
    told = await raw.register(ghost)
    answer = await scene.bob.call(ghost, "boo", answer_s)
    scene.detail = f"{told}; bob got: {answer}"
    return any(m.request.target.type == ghost for m in scene.alice.wire.all)


async def is_fed(scene: Scene, raw: Raw) -> bool:
    """Her agent type is subscribed to a topic that she never asked for."""
    bait = f"{scene.bob.name}_bait"
    scene.detail = await raw.subscribe(bait, scene.alice.name)
    await scene.bob.publish(bait, "junk")
    await scene.bob.publish(f"{scene.alice.name}_mail", "fence")
    assert await scene.alice.heard("fence")
    return any(m.cloudEvent.type == bait for m in scene.alice.wire.all)


async def subscribes_in_her_name(scene: Scene) -> bool:
    return await is_fed(scene, scene.raw(bob_address, scene.alice.client_id))


async def is_told_her_id(scene: Scene) -> bool:
    told = await scene.raw(bob_address).register(scene.alice.name)
    scene.detail = told
    assert told != "ok"
    return scene.alice.client_id in told or UUID.search(told) is not None


async def calls_as_her(scene: Scene) -> bool:
    raw, name = await scene.stranger(bob_address)
    await raw.send(request(scene.alice.name, "forged", AgentId(scene.alice.name, "boss")))
    await raw.send(request(scene.alice.name, "own", AgentId(name, "default")))
    assert await scene.alice.heard("own")
    assert await raw.wire.has(lambda m: b"answers own" in m.response.payload.data)
    return any(n.body == "forged" and n.sender and n.sender.type == scene.alice.name for n in scene.alice.notes.all)


async def publishes_as_her(scene: Scene) -> bool:
    raw, name = await scene.stranger(bob_address)
    mail = f"{scene.alice.name}_mail"
    await raw.send(publish(mail, "forged", AgentId(scene.alice.name, "boss")))
    await raw.send(publish(mail, "own", AgentId(name, "default")))
    assert await scene.alice.heard("own")
    return any(n.body == "forged" and n.sender and n.sender.type == scene.alice.name for n in scene.alice.notes.all)


async def publishes_to_her_key(scene: Scene) -> bool:
    """An event's source chooses the agent's key: here, the one that the policy keeps for Alice."""
    raw, name = await scene.stranger(bob_address)
    mail = f"{scene.alice.name}_mail"
    await raw.send(publish(mail, "forged", AgentId(name, "default"), source="alice-only"))
    await raw.send(publish(mail, "own", AgentId(name, "default")))
    assert await scene.alice.heard("own")
    return any(n.body == "forged" and n.key == "alice-only" for n in scene.alice.notes.all)


async def lists_hers(scene: Scene) -> bool:
    listed = await scene.raw(bob_address, scene.bob.client_id).list()
    types = {s.typeSubscription.agent_type for s in listed}
    scene.detail = f"{len(listed)} listed"
    assert scene.bob.name in types, "his own are not listed"
    return scene.alice.name in types


async def removes_hers(scene: Scene) -> bool:
    scene.detail = await scene.raw(bob_address, scene.bob.client_id).unsubscribe(scene.alice.subscription.id)
    await scene.bob.publish(f"{scene.alice.name}_mail", "after")
    return not await scene.alice.heard("after", answer_s)


async def feeds_her(scene: Scene) -> bool:
    return await is_fed(scene, scene.raw(bob_address, scene.bob.client_id))


async def hears_everything(scene: Scene) -> bool:
    raw, name = await scene.stranger(bob_address)
    scene.detail = await raw.subscribe_prefix("", name)
    assert await raw.subscribe(f"{name}_fence", name) == "ok"
    await scene.alice.publish(f"{scene.alice.name}_private", "secret")
    await scene.alice.publish(f"{name}_fence", "fence")
    assert await raw.wire.has(lambda m: m.cloudEvent.type == f"{name}_fence")
    return any(m.cloudEvent.type == f"{scene.alice.name}_private" for m in raw.wire.all)


ATTACKS: dict[str, Callable[[Scene], Awaitable[bool]]] = {
    "one's answer reaches another, the first request answered first": lambda scene: collision(scene, True),
    "one's answer reaches nobody, the last request answered first": lambda scene: collision(scene, False),
    "a second OpenChannel with her client-id gets her messages": lambda scene: takes_channel(scene, bob_address),
    "RegisterAgent with her client-id hands her another's calls": registers_in_her_name,
    "AddSubscription with her client-id hands her another's events": subscribes_in_her_name,
    "an error text tells her client-id": is_told_her_id,
    "an RPC's source names her agent": calls_as_her,
    "an event's sender names her agent": publishes_as_her,
    "an event's source reaches the key that is hers": publishes_to_her_key,
    "GetSubscriptions lists hers": lists_hers,
    "RemoveSubscription removes hers": removes_hers,
    "AddSubscription feeds her agent": feeds_her,
    'the prefix "" hears everything': hears_everything,
    "her own second session takes her client-id over": lambda scene: takes_channel(scene, alice_again_address),
}


async def main() -> None:
    for number, (name, attack) in enumerate(ATTACKS.items()):
        async with AsyncExitStack() as stack:
            scene = Scene(number, stack)
            try:
                await scene.begin()
                before = await scene.honest("before")
                succeeded = await attack(scene)
                after = await scene.honest("after") if wired else ""
            except Exception as error:
                say(check=name, ok=False, detail=f"{type(error).__name__}: {error} ({scene.detail})")
            else:
                say(check=name, ok=True, succeeded=succeeded, honest=before or after, detail=scene.detail)
    say(done=True)


asyncio.run(main())
