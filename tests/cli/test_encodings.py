"""An output that takes no Unicode."""

import io
import json
import sys

import pytest

from devicesync.cli.outcome import Outcome, present


@pytest.mark.parametrize("as_json", [False, True])
def test_an_output_that_takes_no_unicode(monkeypatch: pytest.MonkeyPatch, as_json: bool) -> None:  # noqa: FBT001
    """People see escapes, and programs get JSON that says the same. It was a traceback."""
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, "ascii", write_through=True))
    present(Outcome({"city": "é😀"}, ["é😀…"]), as_json=as_json)
    written = output.getvalue()
    assert json.loads(written) == {"city": "é😀"} if as_json else written == b"\\xe9\\U0001f600\\u2026\n"
