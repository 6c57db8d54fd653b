"""AutoGen's own host. Usage: host.py ADDRESS; port 0 takes a free one."""

import asyncio
import socket
import sys

from autogen_ext.runtimes.grpc import GrpcWorkerAgentRuntimeHost
from messages import runner_is_done, say


def with_port(address: str) -> str:
    """AutoGen's host does not tell which port it got, so a free one is looked up first."""
    if not address.endswith(":0") or address.startswith("unix:"):
        return address
    name = address.rsplit(":", 1)[0]
    with socket.socket() as probe:
        probe.bind((name, 0))
        return f"{name}:{probe.getsockname()[1]}"


async def main() -> None:
    address = with_port(sys.argv[1])
    # Without reuse, a port that another program took in between is an error and not a shared one.
    host = GrpcWorkerAgentRuntimeHost(address, extra_grpc_config=[("grpc.so_reuseport", 0)])
    host.start()
    say(ready=True, address=address)
    await runner_is_done()
    await host.stop(grace=0)


asyncio.run(main())
