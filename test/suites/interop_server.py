"""gRPC's interop service over C-core, on loopback ports that the system chooses: one plain, one TLS.

Says where in a line of JSON, and ends when its standard input does.
"""

import argparse
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

messages, services = grpc.protos_and_services("testing.proto")
codes = {code.value[0]: code for code in grpc.StatusCode}

ECHO_INITIAL = "x-grpc-test-echo-initial"
ECHO_TRAILING = "x-grpc-test-echo-trailing-bin"


def echo_metadata(context):
    metadata = dict(context.invocation_metadata())
    if ECHO_INITIAL in metadata:
        context.send_initial_metadata([(ECHO_INITIAL, metadata[ECHO_INITIAL])])
    if ECHO_TRAILING in metadata:
        context.set_trailing_metadata([(ECHO_TRAILING, metadata[ECHO_TRAILING])])


def abort_if_asked(request, context):
    if request.response_status.code:
        context.abort(codes[request.response_status.code], request.response_status.message)


def payload(size):
    return messages.Payload(body=bytes(size))


class TestService(services.TestServiceServicer):
    def EmptyCall(self, request, context):
        return messages.Empty()

    def UnaryCall(self, request, context):
        echo_metadata(context)
        abort_if_asked(request, context)
        return messages.SimpleResponse(payload=payload(request.response_size))

    def StreamingOutputCall(self, request, context):
        for part in request.response_parameters:
            yield messages.StreamingOutputCallResponse(payload=payload(part.size))

    def StreamingInputCall(self, requests, context):
        total = sum(len(request.payload.body) for request in requests)
        return messages.StreamingInputCallResponse(aggregated_payload_size=total)

    def FullDuplexCall(self, requests, context):
        echo_metadata(context)
        for request in requests:
            abort_if_asked(request, context)
            yield from self.StreamingOutputCall(request, context)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cert", required=True, type=Path)
    parser.add_argument("--key", required=True, type=Path)
    args = parser.parse_args()
    server = grpc.server(ThreadPoolExecutor(32))
    services.add_TestServiceServicer_to_server(TestService(), server)
    pair = (args.key.read_bytes(), args.cert.read_bytes())
    plain = server.add_insecure_port("127.0.0.1:0")
    tls = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    server.start()
    print(json.dumps({"ready": True, "plain": f"127.0.0.1:{plain}", "tls": f"127.0.0.1:{tls}"}), flush=True)
    sys.stdin.read()
    server.stop(None)


if __name__ == "__main__":
    main()
