"""gRPC's 14 standard interop cases over C-core, all on one channel: each must leave the connection useful.

Prints a line of JSON a case: {"check": name, "ok": bool, "detail": what was wrong}.
"""

import argparse
import json
import queue
import sys
import threading
from pathlib import Path

import grpc

messages, services = grpc.protos_and_services("testing.proto")

# A case that hangs fails.
LIMIT_S = 10

PING_PONG = [(27182, 31415), (8, 9), (1828, 2653), (45904, 58979)]


def payload(size):
    return messages.Payload(body=bytes(size))


def duplex_request(size, response_size):
    parameters = [messages.ResponseParameters(size=response_size)]
    return messages.StreamingOutputCallRequest(response_parameters=parameters, payload=payload(size))


def expect(what, got, wanted):
    if got != wanted:
        raise AssertionError(f"{what}: got {got!r}, expected {wanted!r}")


class Duplex:
    """A FullDuplexCall that sends when it is told to."""

    def __init__(self, stub, timeout=LIMIT_S, **options):
        self.requests = queue.SimpleQueue()
        self.call = stub.FullDuplexCall(iter(self.requests.get, None), timeout=timeout, **options)

    def send(self, request):
        self.requests.put(request)

    def half_close(self):
        self.requests.put(None)

    def expect_size(self, size):
        expect("length of the response", len(next(self.call).payload.body), size)

    def expect_end(self):
        expect("what came after the last response", next(self.call, "the end"), "the end")


def status_of(answer):
    try:
        answer()
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def expect_status(code, details, answer):
    """`answer` must fail with this status; `details` None is any."""
    try:
        got = answer()
    except grpc.RpcError as error:
        expect("status", error.code(), code)
        if details is not None:
            expect("message", error.details(), details)
    except grpc.FutureCancelledError:
        expect("status", grpc.StatusCode.CANCELLED, code)
    else:
        raise AssertionError(f"got {got!r}, expected {code}")


def empty_unary(stub):
    expect("response", stub.EmptyCall(messages.Empty(), timeout=LIMIT_S), messages.Empty())


def large_unary(stub):
    request = messages.SimpleRequest(response_size=314159, payload=payload(271828))
    response = stub.UnaryCall(request, timeout=LIMIT_S)
    expect("body is 314,159 zeros", response.payload.body == bytes(314159), True)


def client_streaming(stub):
    requests = (messages.StreamingInputCallRequest(payload=payload(size)) for size in (27182, 8, 1828, 45904))
    response = stub.StreamingInputCall(requests, timeout=LIMIT_S)
    expect("sum of the lengths", response.aggregated_payload_size, 74922)


def server_streaming(stub):
    sizes = [31415, 9, 2653, 58979]
    parameters = [messages.ResponseParameters(size=size) for size in sizes]
    request = messages.StreamingOutputCallRequest(response_parameters=parameters)
    responses = stub.StreamingOutputCall(request, timeout=LIMIT_S)
    expect("lengths", [len(response.payload.body) for response in responses], sizes)


def ping_pong(stub):
    duplex = Duplex(stub)
    for size, response_size in PING_PONG:
        duplex.send(duplex_request(size, response_size))
        duplex.expect_size(response_size)
    duplex.half_close()
    duplex.expect_end()


def empty_stream(stub):
    duplex = Duplex(stub)
    duplex.half_close()
    duplex.expect_end()


def timeout_on_sleeping_server(stub):
    # The server knows the deadline too, and may reset the stream with CANCEL a moment before C-core's own timer
    # fires; C-core calls that CANCELLED. Seen with nothing but grpc-go behind it, once in some hundred tries.
    for _ in range(5):
        duplex = Duplex(stub, timeout=0.001)
        duplex.send(messages.StreamingOutputCallRequest(payload=payload(27182)))
        status = status_of(lambda: next(duplex.call))
        duplex.half_close()
        if status != grpc.StatusCode.CANCELLED:
            break
    expect("status", status, grpc.StatusCode.DEADLINE_EXCEEDED)


def cancel_after_begin(stub):
    never = threading.Event()

    def requests():
        never.wait(LIMIT_S)
        yield from ()

    future = stub.StreamingInputCall.future(requests(), timeout=LIMIT_S)
    future.cancel()
    expect("cancelled", future.cancelled(), True)
    expect_status(grpc.StatusCode.CANCELLED, None, future.result)
    expect("status", future.code(), grpc.StatusCode.CANCELLED)
    never.set()


def cancel_after_first_response(stub):
    duplex = Duplex(stub)
    duplex.send(duplex_request(27182, 31415))
    duplex.expect_size(31415)
    duplex.call.cancel()
    expect_status(grpc.StatusCode.CANCELLED, None, lambda: next(duplex.call))
    duplex.half_close()


def status_code_and_message(stub):
    status = messages.EchoStatus(code=2, message="test status message")
    request = messages.SimpleRequest(response_status=status)
    expect_status(grpc.StatusCode.UNKNOWN, status.message, lambda: stub.UnaryCall(request, timeout=LIMIT_S))
    duplex = Duplex(stub)
    duplex.send(messages.StreamingOutputCallRequest(response_status=status))
    duplex.half_close()
    expect_status(grpc.StatusCode.UNKNOWN, status.message, lambda: next(duplex.call))


def special_status_message(stub):
    message = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n"
    status = messages.EchoStatus(code=2, message=message)
    request = messages.SimpleRequest(response_status=status)
    expect_status(grpc.StatusCode.UNKNOWN, message, lambda: stub.UnaryCall(request, timeout=LIMIT_S))


def unimplemented_method(stub):
    expect_status(
        grpc.StatusCode.UNIMPLEMENTED,
        None,
        lambda: stub.UnimplementedCall(messages.Empty(), timeout=LIMIT_S),
    )


def unimplemented_service(stub):
    expect_status(
        grpc.StatusCode.UNIMPLEMENTED,
        None,
        lambda: stub.other.UnimplementedCall(messages.Empty(), timeout=LIMIT_S),
    )


def custom_metadata(stub):
    initial = ("x-grpc-test-echo-initial", "test_initial_metadata_value")
    trailing = ("x-grpc-test-echo-trailing-bin", b"\xab\xab\xab")

    def expect_echo(call):
        expect("initial metadata", [pair for pair in call.initial_metadata() if pair[0] == initial[0]], [initial])
        expect("trailing metadata", [pair for pair in call.trailing_metadata() if pair[0] == trailing[0]], [trailing])

    request = messages.SimpleRequest(response_size=314159, payload=payload(271828))
    response, call = stub.UnaryCall.with_call(request, timeout=LIMIT_S, metadata=(initial, trailing))
    expect("length of the response", len(response.payload.body), 314159)
    expect_echo(call)
    duplex = Duplex(stub, metadata=(initial, trailing))
    duplex.send(duplex_request(271828, 314159))
    duplex.expect_size(314159)
    duplex.half_close()
    duplex.expect_end()
    expect_echo(duplex.call)


CASES = [
    empty_unary,
    large_unary,
    client_streaming,
    server_streaming,
    ping_pong,
    empty_stream,
    timeout_on_sleeping_server,
    cancel_after_begin,
    cancel_after_first_response,
    status_code_and_message,
    special_status_message,
    unimplemented_method,
    unimplemented_service,
    custom_metadata,
]


def open_channel(args):
    if args.ca is None:
        return grpc.insecure_channel(args.address)
    credentials = grpc.ssl_channel_credentials(args.ca.read_bytes())
    if args.token_file is not None:
        token = grpc.access_token_call_credentials(args.token_file.read_text().strip())
        credentials = grpc.composite_channel_credentials(credentials, token)
    return grpc.secure_channel(
        args.address, credentials, options=[("grpc.ssl_target_name_override", args.server_name)]
    )


def describe(error):
    if isinstance(error, grpc.RpcError):
        return f"{error.code()}: {error.details()}"
    return f"{type(error).__name__}: {error}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("--ca", type=Path)
    parser.add_argument("--server-name")
    parser.add_argument("--token-file", type=Path)
    with open_channel(parser.parse_args()) as channel:
        stub = services.TestServiceStub(channel)
        stub.other = services.UnimplementedServiceStub(channel)
        for case in CASES:
            try:
                case(stub)
                line = {"check": case.__name__, "ok": True}
            except Exception as error:  # Whatever it was, the case failed and the next one is tried.
                line = {"check": case.__name__, "ok": False, "detail": describe(error)}
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    sys.exit(main())
