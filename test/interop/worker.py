"""A worker process with one agent of each kind. Usage: worker.py ADDRESS NAME."""

import asyncio
import sys

from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntime
from messages import register_all, runner_is_done, say


async def main() -> None:
    address, name = sys.argv[1:3]
    runtime = GrpcWorkerAgentRuntime(address)
    await runtime.start()
    await register_all(runtime, name)
    say(ready=True)
    await runner_is_done()
    await runtime.stop()


asyncio.run(main())
