"""What an editor shows: the shipped schemas in a real YAML language server, as examples/README.md sets it up.

Needs `yaml-language-server` (npm) on the PATH, or its path in `PAYCORDON_YAML_LANGUAGE_SERVER`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paycordon.schemas import FOR_EDITORS, shipped

SERVER = os.environ.get("PAYCORDON_YAML_LANGUAGE_SERVER") or shutil.which("yaml-language-server")
EXAMPLES = Path(__file__).parents[2] / "examples" / "policies"
WRONG = """\
# yaml-language-server: $schema=../.schemas/policy.v1.json
policy: p
version: 1
on_error: hold
rules:
  - id: r
    on: [payout.requestd]
    when: "true"
    thn: hold
"""

pytestmark = pytest.mark.skipif(SERVER is None, reason="yaml-language-server is not installed")


class Editor:
    """The few messages of the language server protocol that an editor sends."""

    def __init__(self, root: Path) -> None:
        self._server = subprocess.Popen([str(SERVER), "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._stop = threading.Timer(60, self._server.kill)  # a server that never answers ends the test
        self._stop.start()
        self._ids = iter(range(1, 1_000))
        self.request("initialize", processId=os.getpid(), rootUri=root.as_uri(), capabilities={})
        self.tell("initialized")

    def close(self) -> None:
        self._stop.cancel()
        self._server.kill()
        self._server.wait()
        for pipe in (self._server.stdin, self._server.stdout):
            assert pipe is not None
            pipe.close()

    def tell(self, method: str, **params: Any) -> None:
        self._send({"method": method, "params": params})

    def request(self, method: str, **params: Any) -> Any:
        number = next(self._ids)
        self._send({"id": number, "method": method, "params": params})
        while True:
            message = self._receive()
            if message.get("id") == number and "method" not in message:
                return message["result"]

    def open(self, path: Path) -> list[dict[str, Any]]:
        """Open a file and return what the server complains of."""
        document = {"uri": path.as_uri(), "languageId": "yaml", "version": 1, "text": path.read_text()}
        self.tell("textDocument/didOpen", textDocument=document)
        while True:
            message = self._receive()
            if message.get("method") == "textDocument/publishDiagnostics" and message["params"]["uri"] == path.as_uri():
                found: list[dict[str, Any]] = message["params"]["diagnostics"]
                return found

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._server.stdin is not None
        self._server.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._server.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        assert self._server.stdout is not None
        length = 0
        while header := self._server.stdout.readline().strip():
            if header.lower().startswith(b"content-length:"):
                length = int(header.split(b":")[1])
        if not length:
            raise EOFError("the language server has ended")
        message: dict[str, Any] = json.loads(self._server.stdout.read(length))
        if "method" in message and "id" in message:  # it asks for the editor's settings; there are none
            self._send({"id": message["id"], "result": [None] * 10})
        return message


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in FOR_EDITORS:
        (tmp_path / ".schemas").mkdir(exist_ok=True)
        (tmp_path / ".schemas" / name).write_text(json.dumps(shipped(name)))
    (tmp_path / "policies").mkdir()
    return tmp_path


@pytest.fixture
def editor(project: Path) -> Iterator[Editor]:
    opened = Editor(project)
    yield opened
    opened.close()


def test_it_complains_of_what_the_policy_loader_would(editor: Editor, project: Path) -> None:
    path = project / "policies" / "p.yaml"
    path.write_text(WRONG)

    found = editor.open(path)

    places = {(each["range"]["start"]["line"] + 1, each["message"].split("\n")[0]) for each in found}
    assert any(line == 7 and "Value is not accepted" in message for line, message in places), places
    assert any(line == 9 and "Property thn is not allowed" in message for line, message in places), places


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.yaml")))
def test_it_has_nothing_against_the_examples(editor: Editor, project: Path, name: str) -> None:
    kind = "bindings" if name == "bindings.yaml" else "test" if name.endswith(".test.yaml") else "policy"
    path = project / "policies" / name
    path.write_text(f"# yaml-language-server: $schema=../.schemas/{kind}.v1.json\n" + (EXAMPLES / name).read_text())

    assert editor.open(path) == []


def test_it_completes_and_explains(editor: Editor, project: Path) -> None:
    path = project / "policies" / "p.yaml"
    path.write_text(WRONG.replace("    thn: hold\n", "    \n"))
    editor.open(path)
    here = {"textDocument": {"uri": path.as_uri()}}

    offered = editor.request("textDocument/completion", **here, position={"line": 8, "character": 4})
    shown = editor.request("textDocument/hover", **here, position={"line": 3, "character": 2})

    assert {"then", "unless", "review_after"} <= {item["label"] for item in offered["items"]}
    assert "a failed check" in json.dumps(shown)
