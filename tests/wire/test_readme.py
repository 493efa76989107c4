from __future__ import annotations

import re
import socket
import threading
from pathlib import Path

import pytest

from kbroker_wire.framing import FrameBuffer
from kbroker_wire.headers import decode_request_header, encode_response_header
from kbroker_wire.messages.metadata import MetadataBroker, MetadataRequest, MetadataResponse

README = Path(__file__).parents[2] / "wire" / "README.md"


def answer_one_request(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        frames = FrameBuffer(limit=1 << 20)
        while (frame := frames.take()) is None:
            frames.feed(connection.recv(65536))
        header, position = decode_request_header(frame)
        assert MetadataRequest.decode(frame, header.api_version, position).topics is None
        response = MetadataResponse(brokers=[MetadataBroker(node_id=7, host="broker", port=9092)], topics=[])
        head = encode_response_header(header.api_key, header.api_version, header.correlation_id)
        answer = head + response.encode(header.api_version)
        connection.sendall(len(answer).to_bytes(4) + answer)


def test_the_client_in_the_readme_works(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=answer_one_request, args=(listener,), daemon=True)
        server.start()
        exec(example.replace("9092", str(listener.getsockname()[1])), {})
        server.join()
    assert capsys.readouterr().out == "7 broker 9092\n"
