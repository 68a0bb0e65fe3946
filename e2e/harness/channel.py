# SPDX-License-Identifier: Apache-2.0
"""The host's end of the agent's protocol (described in guest/agent): commands in the guest, several
at once."""

import base64
import json
import socket
import struct
import threading


class ChannelClosed(Exception):
    """The guest's agent is gone: the machine has ended or its kernel does not answer."""


class Command:
    """One command in the guest. Its output grows while it runs; threads may wait for it at the same
    time."""

    def __init__(self, channel, number, argv):
        self.argv = argv
        self.rc = None
        self.timed_out = False
        self.error = None
        self._channel = channel
        self._number = number
        self._output = {"stdout": b"", "stderr": b""}
        self._changed = threading.Condition()
        self._ended = False

    @property
    def stdout(self):
        """What it has written so far, as text."""
        return self._output["stdout"].decode(errors="replace")

    @property
    def stdout_bytes(self):
        """The same as bytes."""
        return self._output["stdout"]

    @property
    def stderr(self):
        """What it has complained so far, as text."""
        return self._output["stderr"].decode(errors="replace")

    @property
    def ended(self):
        """True once its exit status is known or it can never be."""
        return self._ended

    def write(self, data, end=False):
        """Sends `data` (bytes) to its standard input; `end` closes that."""
        self._channel.send(op="input",
                           id=self._number,
                           data=base64.b64encode(data).decode(),
                           end=end)

    def signal(self, number):
        """Sends a signal to it and to what it started."""
        self._channel.send(op="signal", id=self._number, signal=number)

    def wait(self, timeout):
        """Waits at most `timeout` seconds for its end; false if it still runs."""
        with self._changed:
            return self._changed.wait_for(lambda: self._ended, timeout * self._channel.patience)

    def wait_output(self, text, timeout):
        """Waits until `text` has appeared on its standard output; false if it has not, or it ended
        without."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or text in self.stdout, timeout * self._channel.patience)
            return text in self.stdout

    def happened(self, message):
        """Takes in what the agent says about it."""
        with self._changed:
            if message["event"] == "output":
                self._output[message["stream"]] += base64.b64decode(message["data"])
            elif message["event"] == "exit":
                self.rc, self.timed_out, self._ended = message["rc"], message["timed_out"], True
            elif message["event"] == "failed":
                self.error, self._ended = message["error"], True
            self._changed.notify_all()


class Channel:
    """A unix socket QEMU connects to; frames both ways. All timeouts of commands are multiplied by `patience`."""

    def __init__(self, path, patience=1):
        self.patience = patience
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._socket = None
        self._lock = threading.Lock()
        self._commands = {}
        self._next = 0
        self._ready = threading.Event()
        self.closed = threading.Event()
        self.release = None
        self._reader = threading.Thread(target=self._read_all, daemon=True)
        self._reader.start()

    def wait_ready(self, timeout):
        """Waits for the agent's first word; false if it has not come."""
        return self._ready.wait(timeout)

    def start(self, argv, timeout, cwd=None, env=None, stdin=None):
        """Starts a command; `stdin` (bytes) is all of its input, b"" an open pipe, None nothing."""
        with self._lock:
            self._next += 1
            number = self._next
            command = self._commands[number] = Command(self, number, argv)
        self.send(op="start",
                  id=number,
                  argv=argv,
                  cwd=cwd,
                  env=env or {},
                  timeout=timeout * self.patience,
                  stdin=stdin is not None)
        if stdin:
            command.write(stdin, end=True)
        return command

    def send(self, **message):
        """Sends one frame; ChannelClosed if there is nobody to take it."""
        data = json.dumps(message).encode()
        if self._socket is None or self.closed.is_set():
            raise ChannelClosed("the guest's agent is not there")
        try:
            with self._lock:
                self._socket.sendall(struct.pack(">I", len(data)) + data)
        except OSError as error:
            raise ChannelClosed(f"the guest's agent has gone: {error}") from error

    def close(self):
        """Ends the connection; commands still running will never end."""
        self._listener.close()
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the other end was first

    def _read_all(self):
        try:
            self._socket, _ = self._listener.accept()
            while True:
                size = struct.unpack(">I", self._read(4))[0]
                self._take(json.loads(self._read(size)))
        except (OSError, EOFError):
            pass  # QEMU has ended; whoever waits is told below
        self.closed.set()
        for command in list(self._commands.values()):
            if not command.ended:
                command.happened(
                    {"event": "failed", "error": "the guest ended before the command did"})

    def _read(self, size):
        data = b""
        while len(data) < size:
            part = self._socket.recv(min(size - len(data), 1 << 20))
            if not part:
                raise EOFError
            data += part
        return data

    def _take(self, message):
        if message["event"] == "ready":
            self.release = message["release"]
            self._ready.set()
        elif message["id"] in self._commands:
            self._commands[message["id"]].happened(message)
