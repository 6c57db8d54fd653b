"""The same two workers, straight at a gateway: TLS and a token, with no connect beside them.

    python examples/direct.py HOST:PORT TOKEN_FILE [CA_FILE]

AutoGen's Python runtime knows plain channels only; `over_tls` gives it one over TLS. It reads the token anew for each
call, so that one which is renewed in its file is used by what begins then.
"""

import pathlib
import runpy
import sys

import grpc


class TokenFile(grpc.AuthMetadataPlugin):
    def __init__(self, path: str) -> None:
        self._path = pathlib.Path(path)

    def __call__(self, context: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:
        callback((("authorization", f"Bearer {self._path.read_text().strip()}"),), None)


def over_tls(token_file: str, ca_file: str | None = None) -> None:
    roots = pathlib.Path(ca_file).read_bytes() if ca_file else None
    credentials = grpc.composite_channel_credentials(
        grpc.ssl_channel_credentials(roots), grpc.metadata_call_credentials(TokenFile(token_file))
    )

    def secure_channel(target, options=None, compression=None, interceptors=None):
        return grpc.aio.secure_channel(target, credentials, options, compression, interceptors)

    grpc.aio.insecure_channel = secure_channel


if __name__ == "__main__":
    address, token_file, *ca = sys.argv[1:]
    over_tls(token_file, *ca)
    sys.argv = ["hello.py", address]
    runpy.run_path(str(pathlib.Path(__file__).with_name("hello.py")), run_name="__main__")
