from __future__ import annotations

import os

import pytest

from spacec.diagnostics.model import SpacecError
from spacec.syntax.read import MAX_BYTES, decoded, source_from_path


def code(path) -> str:
    with pytest.raises(SpacecError) as caught:
        source_from_path(path)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.span is None
    return diagnostic.code


def test_a_file_is_its_name_and_text(tmp_path):
    path = tmp_path / "a.space"
    path.write_bytes("net = caf\u00e9\r\n".encode())
    source = source_from_path(path)
    assert (source.name, source.text) == (str(path), "net = caf\u00e9\r\n")


def test_what_is_no_file(tmp_path):
    assert code(tmp_path / "missing.space") == "E0801"
    assert code(tmp_path / "missing" / "x.space") == "E0801"
    assert code(tmp_path) == "E0802"
    assert code("a\0b.space") == "E0803"
    (tmp_path / "file").write_text("")
    assert code(tmp_path / "file" / "x.space") == "E0803"
    assert code(tmp_path / ("x" * 5000)) == "E0803"
    os.mkfifo(tmp_path / "pipe")
    assert code(tmp_path / "pipe") == "E0802"


def test_too_large(tmp_path):
    path = tmp_path / "large.space"
    path.write_bytes(b" " * MAX_BYTES)
    assert len(source_from_path(path).text) == MAX_BYTES
    path.write_bytes(b" " * (MAX_BYTES + 1))
    assert code(path) == "E0805"


def test_bytes_that_are_no_text():
    with pytest.raises(SpacecError) as caught:
        decoded("a.space", "caf\u00e9\nx = ".encode() + b"\xff\xfe rest")
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "E0804"
    assert diagnostic.span is not None
    assert diagnostic.span.source.position(diagnostic.span.start) == (2, 5)
    assert "0xFF at offset 10" in diagnostic.headline
