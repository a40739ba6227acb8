"""What a trainer tells a running exercise, over a socket that the run's folder names: who may read the folder may direct."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import zmq

from sim.desk_words import refused
from wire.settings import SettingsError

ANSWER_WITHIN_MS = 5_000
LINK = "director.sock"          # in the run's folder: where the socket is, which may not be as deep as the folder


class OrderSocket:
    """The director's end. `turn` answers what has come."""

    def __init__(self, run: Path) -> None:
        # A socket's name may have 107 bytes; a run's folder may be deeper.
        self._folder = Path(tempfile.mkdtemp(prefix="tw-"))
        where = self._folder / "d"
        self._link = run / LINK
        self._link.write_text(f"ipc://{where}\n", encoding="utf-8")
        self._link.chmod(0o600)
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.REP)
        self._socket.bind(f"ipc://{where}")

    def turn(self, wait_ms: int, do: Callable[[str], str]) -> None:
        """Wait a little; do what is told, and answer in a line."""
        if not self._socket.poll(wait_ms):
            return
        order = self._socket.recv().decode("utf-8", "replace").strip()
        try:
            answer = do(order)
        except SettingsError as error:
            answer = f"refused: {error}"
        self._socket.send(answer.encode("utf-8"))

    def close(self) -> None:
        self._context.destroy(linger=200)
        self._link.unlink(missing_ok=True)
        for name in self._folder.glob("*"):
            name.unlink(missing_ok=True)
        self._folder.rmdir()


def tell(run: Path, order: str, within_ms: int = ANSWER_WITHIN_MS) -> str:
    """Tell an exercise something, and return its answer. Raises SettingsError where nobody listens or it refuses."""
    link = run / LINK
    try:
        where = link.read_text(encoding="utf-8").strip()
    except OSError:
        raise refused("not_there", link=str(link)) from None
    context = zmq.Context()
    try:
        socket = context.socket(zmq.REQ)
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(where)
        socket.send(order.encode("utf-8"))
        if not socket.poll(within_ms):
            raise refused("no_answer", run=str(run))
        answer = socket.recv().decode("utf-8", "replace")
    finally:
        context.destroy(linger=0)
    if answer.startswith("refused: "):
        raise SettingsError(f"exercise say {order}: {answer.removeprefix('refused: ')}")
    return answer
