"""An answer beyond the bound is refused before it fills the memory: measured in a process of its own."""

from __future__ import annotations

import gzip
import subprocess
import sys
import zlib

import pytest
from api_parts import PASSWORD, USERNAME, logging_in

ASKER = """
import sys, tracemalloc
from climkit_pipeline.api.client import ClimkitClient
from climkit_pipeline.errors import UnexpectedPayloadError

class NoPacer:
    def wait(self):
        pass

    sent = wait

base_url, username, password = sys.argv[1:]
with ClimkitClient(base_url=base_url, username=username, password=password, pacer=NoPacer()) as client:
    client.authenticate()
    tracemalloc.start()  # the kernel's figure for a child begins with its parent's
    try:
        client.installations()
    except UnexpectedPayloadError as error:
        print(tracemalloc.get_traced_memory()[1] // 2**20, error)
"""
MB = 1024 * 1024


def packed_spaces(blocks: int) -> bytes:
    """A gzip text of ``blocks`` times 16 MB of spaces, made from one block: its flushes let it be repeated."""
    packer = zlib.compressobj(9, wbits=31)
    head = packer.compress(b"[") + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(b" " * 16 * MB) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + block * blocks


def send_plain(request) -> None:
    """A gigabyte, or as much as is taken."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n[" % (1024 * MB))
    for _ in range(1024):
        request.wfile.write(b" " * MB)


def send_packed(request) -> None:
    request.answer(200, packed_spaces(64), {"Content-Encoding": "gzip"})


def send_packed_twice(request) -> None:
    request.answer(200, gzip.compress(packed_spaces(64)), {"Content-Encoding": "gzip, gzip"})


@pytest.mark.parametrize(
    ("send", "reason"),
    [(send_plain, "larger than 64 MB"), (send_packed, "larger than 64 MB"), (send_packed_twice, "more than once")],
)
def test_an_answer_of_a_gigabyte_is_refused_without_filling_memory(script, send, reason):
    """Packed, a gigabyte comes in one megabyte; packed twice, in a few kilobytes that unpack at once."""
    server = script(logging_in(send))
    command = [sys.executable, "-c", ASKER, server.base_url, USERNAME, PASSWORD]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    grown, _, message = done.stdout.partition(" ")
    assert reason in message
    assert int(grown) < 3 * 64, f"{grown} MB"
    assert server.paths == ["/auth", "/all_installations"]
