"""nats-py against the server."""

import asyncio
import sys
import urllib.request

import nats
from nats import errors

from harness import STEP_SECONDS, Server, run_all


async def quiet(_):
    """Errors that matter show in what a scenario checks."""


def connect(server, **options):
    options.setdefault("error_cb", quiet)
    options.setdefault("connect_timeout", STEP_SECONDS)
    return nats.connect(server.url, **options)


def payloads(messages):
    return [m.data.decode() for m in messages]


async def settle(nc):
    """Returns when the server has processed all that this connection sent, and this connection has
    received all that was sent to it before. A message to oneself: `flush` of this library writes
    its PING at once, before the commands that it still holds."""
    inbox = nc.new_inbox()
    sub = await nc.subscribe(inbox)
    await nc.publish(inbox, b"settled")
    await take(sub, 1)
    await sub.unsubscribe()


async def take(sub, count):
    return [await sub.next_msg(timeout=STEP_SECONDS) for _ in range(count)]


async def eventually(what, condition):
    """Polls a condition that another party makes true, up to a limit."""
    async def poll():
        while not await condition():
            await asyncio.sleep(0.02)
    try:
        await asyncio.wait_for(poll(), STEP_SECONDS)
    except asyncio.TimeoutError:
        raise AssertionError(f"never happened: {what}") from None


async def has_no_responders(nc, subject):
    try:
        await nc.request(subject, b"", timeout=STEP_SECONDS)
    except errors.NoRespondersError:
        return True
    return False


async def server_info(server):
    nc = await connect(server, name="info")
    await nc.flush()
    version = nc.connected_server_version
    assert (version.major, version.minor, version.patch) == (2, 14, 5), version
    assert nc.max_payload == 1_048_576, nc.max_payload
    assert nc.client_id > 0
    assert nc.client_ip == "127.0.0.1", nc.client_ip
    assert 0 < await nc.rtt() < STEP_SECONDS
    await nc.close()


async def publish_subscribe(server):
    publisher, subscriber = await connect(server), await connect(server)
    sub = await subscriber.subscribe("greet")
    await settle(subscriber)
    for i in range(10):
        await publisher.publish("greet", f"hello {i}".encode())
    await publisher.publish("greet", b"")
    assert payloads(await take(sub, 11)) == [f"hello {i}" for i in range(10)] + [""]
    await publisher.close()
    await subscriber.close()


async def wildcards(server):
    nc = await connect(server)
    star = await nc.subscribe("w.*.b")
    rest = await nc.subscribe("w.>")
    literal = await nc.subscribe("w.a.b")
    for subject in ("w.a.b", "w.x.b", "w.a", "w", "w.a.b.c"):
        await nc.publish(subject, subject.encode())
    await settle(nc)
    assert star.pending_msgs == 2 and rest.pending_msgs == 4 and literal.pending_msgs == 1
    assert payloads(await take(star, 2)) == ["w.a.b", "w.x.b"]
    assert payloads(await take(rest, 4)) == ["w.a.b", "w.x.b", "w.a", "w.a.b.c"]
    assert [m.subject for m in await take(literal, 1)] == ["w.a.b"]
    await nc.close()


async def queue_group(server):
    members = [await connect(server) for _ in range(3)]
    subs = [await nc.subscribe("work", queue="workers") for nc in members]
    everything = await members[0].subscribe("work")
    for nc in members:
        await settle(nc)
    publisher = await connect(server)
    for i in range(300):
        await publisher.publish("work", str(i).encode())
    await settle(publisher)
    for nc in members:
        await settle(nc)
    shares = [sub.pending_msgs for sub in subs]
    assert all(shares), shares
    taken = [p for sub, n in zip(subs, shares) for p in payloads(await take(sub, n))]
    assert sorted(map(int, taken)) == list(range(300)), shares
    assert payloads(await take(everything, 300)) == [str(i) for i in range(300)]
    for nc in [*members, publisher]:
        await nc.close()


async def request_reply(server):
    service, client = await connect(server), await connect(server)

    async def double(message):
        await message.respond(message.data * 2)

    await service.subscribe("double", cb=double)
    await settle(service)
    replies = await asyncio.gather(
        *(client.request("double", str(i).encode(), timeout=STEP_SECONDS) for i in range(50)))
    assert payloads(replies) == [str(i) * 2 for i in range(50)]
    old = await client.request("double", b"x", timeout=STEP_SECONDS, old_style=True)
    assert old.data == b"xx"
    await service.close()
    await client.close()


async def no_responders(server):
    nc = await connect(server)
    assert await has_no_responders(nc, "nobody.here")
    await nc.close()


async def headers(server):
    publisher, subscriber = await connect(server), await connect(server)
    sub = await subscriber.subscribe("headers")
    await settle(subscriber)
    await publisher.publish("headers", b"body", headers={"X-Case": "Upper", "x-case": "lower", "Utf": "grün"})
    await publisher.publish("headers", b"", headers={"Only": "header"})
    await publisher.publish("headers", b"plain")
    first, second, third = await take(sub, 3)
    assert first.data == b"body"
    assert first.headers == {"X-Case": "Upper", "x-case": "lower", "Utf": "grün"}, first.headers
    assert (second.data, second.headers) == (b"", {"Only": "header"})
    assert (third.data, third.headers) == (b"plain", None)
    # This library sends one value per name and keeps the last one it gets.
    block = b"NATS/1.0\r\nMany: one\r\nMany: two\r\n\r\n"
    await server.raw_publish(b"HPUB headers %d %d\r\n%sok\r\n" % (len(block), len(block) + 2, block))
    (many,) = await take(sub, 1)
    assert (many.data, many.headers) == (b"ok", {"Many": "two"})
    await publisher.close()
    await subscriber.close()


async def drain_subscription(server):
    publisher, subscriber = await connect(server), await connect(server)
    got = []

    async def slowly(message):
        await asyncio.sleep(0)
        got.append(message.data.decode())

    sub = await subscriber.subscribe("drain.sub", cb=slowly)
    await settle(subscriber)
    for i in range(500):
        await publisher.publish("drain.sub", str(i).encode())
    await settle(publisher)
    await sub.drain()
    assert got == [str(i) for i in range(500)], len(got)
    assert await has_no_responders(publisher, "drain.sub")
    assert subscriber.is_connected
    await publisher.close()
    await subscriber.close()


async def drain_connection(server):
    publisher, worker, listener = [await connect(server) for _ in range(3)]

    async def answer(message):
        await asyncio.sleep(0)
        await worker.publish("drain.done", message.data)

    await worker.subscribe("drain.work", cb=answer)
    done = await listener.subscribe("drain.done")
    await settle(worker)
    await settle(listener)
    for i in range(500):
        await publisher.publish("drain.work", str(i).encode())
    await settle(publisher)
    await worker.drain()
    assert worker.is_closed
    assert payloads(await take(done, 500)) == [str(i) for i in range(500)]
    await publisher.close()
    await listener.close()


async def reconnect(_):
    async with Server() as server:
        disconnected, reconnected = asyncio.Event(), asyncio.Event()

        async def note_disconnect():
            disconnected.set()

        async def note_reconnect():
            reconnected.set()

        nc = await connect(
            server, reconnect_time_wait=0.1, max_reconnect_attempts=-1,
            disconnected_cb=note_disconnect, reconnected_cb=note_reconnect)
        plain = await nc.subscribe("again.plain")
        wild = await nc.subscribe("again.*")
        member = await nc.subscribe("again.plain", queue="q")
        limited = await nc.subscribe("again.plain")
        await limited.unsubscribe(limit=3)
        await nc.publish("again.plain", b"before")
        for sub in (plain, wild, member, limited):
            assert payloads(await take(sub, 1)) == ["before"]
        await server.kill()
        await asyncio.wait_for(disconnected.wait(), STEP_SECONDS)
        await server.start()
        await asyncio.wait_for(reconnected.wait(), STEP_SECONDS)
        await settle(nc)
        other = await connect(server)
        for i in range(5):
            await other.publish("again.plain", str(i).encode())
        await settle(other)
        await settle(nc)
        for sub in (plain, wild, member):
            assert payloads(await take(sub, 5)) == list("01234")
            assert sub.pending_msgs == 0
        # One of its three messages came before the restart.
        assert payloads(await take(limited, 2)) == ["0", "1"]
        assert limited.pending_msgs == 0
        await nc.publish("again.plain", b"mine")
        assert payloads(await take(plain, 1)) == ["mine"]
        await nc.close()
        await other.close()


async def auto_unsubscribe(server):
    publisher, subscriber = await connect(server), await connect(server)
    at_once = await subscriber.subscribe("limited.a")
    await at_once.unsubscribe(limit=10)
    later = await subscriber.subscribe("limited.b")
    await settle(subscriber)
    for i in range(3):
        await publisher.publish("limited.b", str(i).encode())
    await settle(publisher)
    await settle(subscriber)
    await later.unsubscribe(limit=5)
    await settle(subscriber)
    for i in range(25):
        await publisher.publish("limited.a", str(i).encode())
        await publisher.publish("limited.b", str(i + 3).encode())
    await settle(publisher)
    await settle(subscriber)
    assert at_once.pending_msgs == 10 and later.pending_msgs == 5
    assert payloads(await take(at_once, 10)) == [str(i) for i in range(10)]
    assert payloads(await take(later, 5)) == [str(i) for i in range(5)]
    assert await has_no_responders(publisher, "limited.a")
    assert await has_no_responders(publisher, "limited.b")
    await publisher.close()
    await subscriber.close()


async def max_payload_in_client(server):
    nc = await connect(server)
    try:
        await nc.publish("big", b"x" * (nc.max_payload + 1))
    except errors.MaxPayloadError:
        pass
    else:
        raise AssertionError("a payload above the limit was accepted")
    await settle(nc)
    await nc.close()


async def max_payload_in_server(server):
    answer = await server.raw(b'CONNECT {"verbose":false}\r\nPUB big 1048577\r\n')
    assert answer.startswith(b"INFO ")
    assert answer.endswith(b"-ERR 'Maximum Payload Violation'\r\n"), answer[-80:]


async def large_payload(server):
    service, client = await connect(server), await connect(server)

    async def echo(message):
        await message.respond(message.data)

    await service.subscribe("echo.large", cb=echo)
    await settle(service)
    body = bytes(i * 7 % 251 for i in range(client.max_payload))
    for _ in range(5):
        reply = await client.request("echo.large", body, timeout=STEP_SECONDS)
        assert reply.data == body
    await service.close()
    await client.close()


async def fan_out(server):
    receivers = [await connect(server) for _ in range(50)]
    subs = [await nc.subscribe("fan.out") for nc in receivers]
    for nc in receivers:
        await settle(nc)
    publisher = await connect(server)
    for i in range(1000):
        await publisher.publish("fan.out", b"%d" % i)
    await settle(publisher)
    for nc, sub in zip(receivers, subs):
        await settle(nc)
        assert sub.pending_msgs == 1000, sub.pending_msgs
        queue = sub._pending_queue
        assert [int(queue.get_nowait().data) for _ in range(1000)] == list(range(1000))
    for nc in [*receivers, publisher]:
        await nc.close()


async def flush_orders(server):
    publisher, subscriber = await connect(server), await connect(server)
    sub = await subscriber.subscribe("flushed")
    await settle(subscriber)
    expected = 0
    for _ in range(20):
        for _ in range(100):
            await publisher.publish("flushed", b"x")
        # What was processed for the publisher is on its way to the subscriber before anything
        # that the subscriber asks for afterwards.
        await settle(publisher)
        await settle(subscriber)
        expected += 100
        assert sub.pending_msgs == expected, (sub.pending_msgs, expected)
    await publisher.close()
    await subscriber.close()


async def refused(server, **options):
    """Whether the server turns these credentials away."""
    try:
        nc = await connect(server, allow_reconnect=False, max_reconnect_attempts=1, **options)
    except (errors.Error, OSError) as error:
        return "Authorization Violation" in str(error) or isinstance(error, errors.AuthorizationError)
    await nc.close()
    return False


async def round_trip(nc):
    sub = await nc.subscribe("own")
    await nc.publish("own", b"mine")
    assert payloads(await take(sub, 1)) == ["mine"]
    await nc.close()


async def user_and_password(_):
    async with Server("--user", "derek", "--pass", "s3cr3t") as server:
        await round_trip(await connect(server, user="derek", password="s3cr3t"))
        assert await refused(server, user="derek", password="wrong")
        assert await refused(server, user="other", password="s3cr3t")
        assert await refused(server)


async def token(_):
    async with Server("--auth", "t0k3n") as server:
        await round_trip(await connect(server, token="t0k3n"))
        assert await refused(server, token="wrong")
        assert await refused(server)


async def lame_duck(_):
    async with Server() as server:
        told = asyncio.Event()

        async def note():
            told.set()

        nc = await connect(server, lame_duck_mode_cb=note)
        server.lame_duck()
        await asyncio.wait_for(told.wait(), STEP_SECONDS)
        # The connection serves until the server ends it.
        sub = await nc.subscribe("still")
        await nc.publish("still", b"here")
        assert payloads(await take(sub, 1)) == ["here"]
        await nc.close()


async def name_in_connz(server):
    nc = await connect(server, name="python sees itself")
    url = f"http://127.0.0.1:{server.monitor_port}/connz"

    async def listed():
        body = await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=STEP_SECONDS).read())
        return b'"name": "python sees itself"' in body and b'"lang": "python3"' in body

    await eventually("the connection is in connz", listed)
    await nc.close()


SCENARIOS = [
    server_info, publish_subscribe, wildcards, queue_group, request_reply, no_responders, headers,
    drain_subscription, drain_connection, reconnect, auto_unsubscribe, max_payload_in_client,
    max_payload_in_server, large_payload, fan_out, flush_orders, user_and_password, token,
    lame_duck, name_in_connz,
]

if __name__ == "__main__":
    sys.exit(asyncio.run(run_all("python", SCENARIOS)))
