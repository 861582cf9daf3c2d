"""One window per data folder: a second start hands its files to the first and ends.

A QLockFile on the folder is the guard; a QLocalServer, named after the user and the folder, takes the message: one
JSON line, `{"version": 1, "files": [...]}`. A first instance that does not answer within two seconds is said so.
"""

from __future__ import annotations

import getpass
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QLockFile, QObject, Signal
from PySide6.QtNetwork import QLocalServer, QLocalSocket

VERSION = 1
ANSWER_MS = 2_000
MOST_BYTES = 1_000_000


class Instance(QObject):
    """The presence of this window.

    Signals:
        handed(paths): another start of the program handed these files over; empty to come to the front only.
    """

    handed = Signal(list)

    def __init__(self, home: Path) -> None:
        super().__init__()
        self._name = server_name(home)
        self._lock = QLockFile(str(home / "window.lock"))
        self._lock.setStaleLockTime(0)  # a lock of a running program never goes stale; one of a dead program is seen
        self._server: QLocalServer | None = None

    def is_first(self) -> bool:
        """Become the one instance; False when there is one already."""
        if not self._lock.tryLock(0):
            return False
        QLocalServer.removeServer(self._name)  # what a crashed run left behind; the lock says nobody uses it
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._take)
        self._server.listen(self._name)
        return True

    def hand_over(self, files: Sequence[Path]) -> bool:
        """Give the files to the instance that runs. False when it does not answer."""
        socket = QLocalSocket()
        socket.connectToServer(self._name)
        if not socket.waitForConnected(ANSWER_MS):
            return False
        message = json.dumps({"version": VERSION, "files": [str(file.absolute()) for file in files]})
        socket.write(message.encode() + b"\n")
        socket.waitForBytesWritten(ANSWER_MS)
        answered = socket.waitForReadyRead(ANSWER_MS)
        socket.disconnectFromServer()
        return answered

    def leave(self) -> None:
        """Stop being the instance."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._lock.unlock()

    def _take(self) -> None:
        assert self._server is not None
        while (socket := self._server.nextPendingConnection()) is not None:
            socket.readyRead.connect(lambda s=socket: self._read(s))
            socket.disconnected.connect(socket.deleteLater)
            if socket.canReadLine():
                self._read(socket)

    def _read(self, socket: QLocalSocket) -> None:
        if socket.bytesAvailable() > MOST_BYTES:
            socket.abort()
            return
        if not socket.canReadLine():
            return
        files = parse(bytes(socket.readLine().data()))
        if files is not None:
            socket.write(b"ok\n")
            socket.flush()
            self.handed.emit(files)


def parse(line: bytes) -> list[Path] | None:
    """The files of a message, or None for anything that is not one of ours."""
    try:
        message = json.loads(line)
        if message["version"] != VERSION:
            return []  # another version at least wants the window
        return [Path(str(name)) for name in message["files"]]
    except (ValueError, KeyError, TypeError):
        return None


def server_name(home: Path) -> str:
    """The name of the socket: the same for the same user and folder, and short enough for every system."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = ""
    return "kameng-" + hashlib.sha256(f"{user}\n{home.absolute()}".encode()).hexdigest()[:24]
