"""A server process for the checks, a raw connection to it, and the runner of the scenarios."""

import asyncio
import os
import re
import signal
import sys
import time
import traceback

SCENARIO_SECONDS = 40
STEP_SECONDS = 15


class Server:
    """A server on a port of its own, which it keeps when it is started again."""

    def __init__(self, *args):
        self.args = args
        self.port = -1
        self.monitor_port = None
        self.process = None
        self.drain = None

    async def __aenter__(self):
        await self.start()
        return self

    async def __aexit__(self, *_):
        await self.kill()

    async def start(self):
        """Starts the server and waits until it says that it is ready."""
        self.process = await asyncio.create_subprocess_exec(
            os.environ["NATS_SERVER_BIN"], "-a", "127.0.0.1", *self.args, "-p", str(self.port),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            await asyncio.wait_for(self._read_until_ready(), STEP_SECONDS)
        except BaseException:
            await self.kill()
            raise
        # The pipe is emptied, or else the server would wait for us when it logs much.
        self.drain = asyncio.create_task(self._read_to_end())

    async def _read_until_ready(self):
        lines = []
        while True:
            line = (await self.process.stderr.readline()).decode(errors="replace")
            if not line:
                raise RuntimeError("the server ended: " + "".join(lines))
            lines.append(line)
            if found := re.search(r"Listening for client connections on \S*:(\d+)", line):
                self.port = int(found[1])
            if found := re.search(r"Starting http monitor on \S*:(\d+)", line):
                self.monitor_port = int(found[1])
            if "Server is ready" in line:
                return

    async def _read_to_end(self):
        while await self.process.stderr.read(65536):
            pass

    async def kill(self):
        """Ends the server at once, as a crash would."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
        if self.process is not None:
            await asyncio.wait_for(self.process.wait(), STEP_SECONDS)
        if self.drain is not None:
            self.drain.cancel()

    def lame_duck(self):
        """Asks the server to leave gracefully."""
        self.process.send_signal(signal.SIGUSR2)

    @property
    def url(self):
        return f"nats://127.0.0.1:{self.port}"

    async def raw(self, data):
        """Sends bytes over a plain socket and returns what comes back until the server closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            return await asyncio.wait_for(reader.read(), STEP_SECONDS)
        finally:
            writer.close()

    async def raw_publish(self, command):
        """Sends protocol bytes and returns once the server has processed them."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(b'CONNECT {"verbose":false,"headers":true}\r\n' + command + b"PING\r\n")
            while True:
                line = await asyncio.wait_for(reader.readline(), STEP_SECONDS)
                if line == b"PONG\r\n":
                    return
                assert line.startswith(b"INFO "), line
        finally:
            writer.close()


async def run_all(language, scenarios):
    """Runs every scenario against one shared server and reports; returns the exit code."""
    passed = failed = 0
    async with Server("-m", "-1") as server:
        for scenario in scenarios:
            name = scenario.__name__
            began = time.monotonic()
            try:
                await asyncio.wait_for(scenario(server), SCENARIO_SECONDS)
            except Exception as error:
                failed += 1
                print(f"not ok {language} {name}: {type(error).__name__}: {error}")
                traceback.print_exc(file=sys.stdout)
            else:
                passed += 1
                print(f"ok {language} {name} ({(time.monotonic() - began) * 1000:.0f} ms)")
            sys.stdout.flush()
    print(f"{language}: {passed} passed, {failed} failed")
    return 1 if failed else 0
