// nats.js over the Node transport against the server.

import assert from "node:assert/strict";
import { connect as connectNats, errors, headers as newHeaders } from "@nats-io/transport-node";

import { runAll, Server, STEP_MS, within } from "./harness.mjs";

const numbers = (from, to) => Array.from({ length: to - from }, (_, i) => String(from + i));

function connect(server, options = {}) {
  return connectNats({ servers: `127.0.0.1:${server.port}`, timeout: STEP_MS, ...options });
}

/** A subscription that keeps what it gets, and can be waited for. */
function collect(nc, subject, options = {}) {
  const got = [];
  let wake = () => {};
  const sub = nc.subscribe(subject, {
    ...options,
    callback: (error, message) => {
      if (error) throw error;
      got.push(message);
      wake();
    },
  });
  const reach = (count) =>
    within(STEP_MS, `${count} messages on ${subject}`, new Promise((resolve) => {
      wake = () => got.length >= count && resolve();
      wake();
    }));
  return { sub, got, reach, payloads: () => got.map((m) => m.string()) };
}

const flushed = (nc) => within(STEP_MS, "flush", nc.flush());

async function closeAll(...connections) {
  for (const nc of connections) await nc.close();
}

function hasNoResponders(nc, subject) {
  return nc.request(subject, "", { timeout: STEP_MS }).then(
    () => false,
    (error) => error instanceof errors.NoRespondersError
      || (error instanceof errors.RequestError && error.isNoResponders()),
  );
}

/** Waits for a status of the connection. */
function status(nc, type) {
  const found = (async () => {
    for await (const s of nc.status()) if (s.type === type) return s;
    throw new Error(`the connection closed before ${type}`);
  })();
  return within(STEP_MS, `status ${type}`, found);
}

async function server_info(server) {
  const nc = await connect(server);
  assert.equal(nc.info.version, "2.14.5");
  assert.equal(nc.info.proto, 1);
  assert.equal(nc.info.headers, true);
  assert.equal(nc.info.max_payload, 1_048_576);
  assert.equal(nc.info.port, server.port);
  assert.equal(nc.info.client_ip, "127.0.0.1");
  assert.ok(nc.info.client_id > 0);
  assert.ok((await nc.rtt()) >= 0);
  await closeAll(nc);
}

async function publish_subscribe(server) {
  const [publisher, subscriber] = [await connect(server), await connect(server)];
  const all = collect(subscriber, "greet");
  await flushed(subscriber);
  for (let i = 0; i < 10; i++) publisher.publish("greet", `hello ${i}`);
  publisher.publish("greet");
  await all.reach(11);
  assert.deepEqual(all.payloads(), [...numbers(0, 10).map((n) => `hello ${n}`), ""]);
  await closeAll(publisher, subscriber);
}

async function wildcards(server) {
  const nc = await connect(server);
  const star = collect(nc, "w.*.b");
  const rest = collect(nc, "w.>");
  const literal = collect(nc, "w.a.b");
  for (const subject of ["w.a.b", "w.x.b", "w.a", "w", "w.a.b.c"]) nc.publish(subject, subject);
  await flushed(nc);
  assert.deepEqual(star.payloads(), ["w.a.b", "w.x.b"]);
  assert.deepEqual(rest.payloads(), ["w.a.b", "w.x.b", "w.a", "w.a.b.c"]);
  assert.deepEqual(literal.got.map((m) => m.subject), ["w.a.b"]);
  await closeAll(nc);
}

async function queue_group(server) {
  const members = [await connect(server), await connect(server), await connect(server)];
  const shares = members.map((nc) => collect(nc, "work", { queue: "workers" }));
  const everything = collect(members[0], "work");
  for (const nc of members) await flushed(nc);
  const publisher = await connect(server);
  for (const n of numbers(0, 300)) publisher.publish("work", n);
  await flushed(publisher);
  for (const nc of members) await flushed(nc);
  for (const share of shares) assert.notEqual(share.got.length, 0);
  const taken = shares.flatMap((s) => s.payloads()).map(Number).sort((a, b) => a - b);
  assert.deepEqual(taken.map(String), numbers(0, 300));
  assert.deepEqual(everything.payloads(), numbers(0, 300));
  await closeAll(...members, publisher);
}

async function request_reply(server) {
  const [service, client] = [await connect(server), await connect(server)];
  service.subscribe("double", { callback: (_, m) => m.respond(m.string().repeat(2)) });
  await flushed(service);
  const asked = numbers(0, 50).map((n) => client.request("double", n, { timeout: STEP_MS }));
  const replies = await Promise.all(asked);
  assert.deepEqual(replies.map((m) => m.string()), numbers(0, 50).map((n) => n + n));
  const own = { timeout: STEP_MS, noMux: true };
  assert.equal((await client.request("double", "x", own)).string(), "xx");
  await closeAll(service, client);
}

async function no_responders(server) {
  const nc = await connect(server);
  assert.ok(await hasNoResponders(nc, "nobody.here"));
  await closeAll(nc);
}

async function headers(server) {
  const [publisher, subscriber] = [await connect(server), await connect(server)];
  const all = collect(subscriber, "headers");
  await flushed(subscriber);
  const sent = newHeaders();
  sent.append("Many", "one");
  sent.append("Many", "two");
  sent.append("X-Case", "upper");
  sent.append("x-case", "lower");
  sent.append("Utf", "grün");
  publisher.publish("headers", "body", { headers: sent });
  const only = newHeaders();
  only.set("Only", "header");
  publisher.publish("headers", "", { headers: only });
  publisher.publish("headers", "plain");
  await all.reach(3);
  const [first, second, third] = all.got;
  assert.equal(first.string(), "body");
  assert.deepEqual(first.headers.values("Many"), ["one", "two"]);
  assert.deepEqual(first.headers.values("X-Case"), ["upper"]);
  assert.deepEqual(first.headers.values("x-case"), ["lower"]);
  assert.equal(first.headers.get("Utf"), "grün");
  assert.equal(second.string(), "");
  assert.equal(second.headers.get("Only"), "header");
  assert.equal(third.string(), "plain");
  assert.equal(third.headers, undefined);
  await closeAll(publisher, subscriber);
}

async function drain_subscription(server) {
  const [publisher, subscriber] = [await connect(server), await connect(server)];
  const sub = subscriber.subscribe("drain.sub");
  await flushed(subscriber);
  const got = [];
  let begun;
  const first = new Promise((resolve) => (begun = resolve));
  const worked = (async () => {
    for await (const m of sub) {
      got.push(m.string());
      begun();
      await null;
    }
  })();
  for (const n of numbers(0, 500)) publisher.publish("drain.sub", n);
  await flushed(publisher);
  await within(STEP_MS, "first message", first);
  await within(STEP_MS, "drain", sub.drain());
  await within(STEP_MS, "end of the subscription", worked);
  assert.deepEqual(got, numbers(0, 500));
  assert.ok(await hasNoResponders(publisher, "drain.sub"));
  await flushed(subscriber);
  await closeAll(publisher, subscriber);
}

async function drain_connection(server) {
  const [publisher, worker, listener] = [
    await connect(server), await connect(server), await connect(server),
  ];
  worker.subscribe("drain.work", { callback: (_, m) => worker.publish("drain.done", m.data) });
  const done = collect(listener, "drain.done");
  await flushed(worker);
  await flushed(listener);
  for (const n of numbers(0, 500)) publisher.publish("drain.work", n);
  await flushed(publisher);
  await within(STEP_MS, "drain", worker.drain());
  assert.ok(worker.isClosed());
  await done.reach(500);
  assert.deepEqual(done.payloads(), numbers(0, 500));
  await closeAll(publisher, listener);
}

async function reconnect() {
  await Server.with([], async (server) => {
    const nc = await connect(server, {
      reconnectTimeWait: 100, reconnectJitter: 0, maxReconnectAttempts: -1,
    });
    const plain = collect(nc, "again.plain");
    const wild = collect(nc, "again.*");
    const member = collect(nc, "again.plain", { queue: "q" });
    nc.publish("again.plain", "before");
    await flushed(nc);
    for (const sub of [plain, wild, member]) assert.deepEqual(sub.payloads(), ["before"]);
    const disconnected = status(nc, "disconnect");
    const reconnected = status(nc, "reconnect");
    reconnected.catch(() => {});
    await server.kill();
    await disconnected;
    await server.start();
    await reconnected;
    await flushed(nc);
    const other = await connect(server);
    for (const n of numbers(0, 5)) other.publish("again.plain", n);
    await flushed(other);
    await flushed(nc);
    const expected = ["before", ...numbers(0, 5)];
    for (const sub of [plain, wild, member]) assert.deepEqual(sub.payloads(), expected);
    nc.publish("again.plain", "mine");
    await plain.reach(7);
    assert.equal(plain.got[6].string(), "mine");
    await closeAll(nc, other);
  });
}

async function auto_unsubscribe(server) {
  const [publisher, subscriber] = [await connect(server), await connect(server)];
  const atOnce = collect(subscriber, "limited.a", { max: 10 });
  const later = collect(subscriber, "limited.b");
  await flushed(subscriber);
  for (const n of numbers(0, 3)) publisher.publish("limited.b", n);
  await flushed(publisher);
  await flushed(subscriber);
  later.sub.unsubscribe(5);
  await flushed(subscriber);
  for (const n of numbers(0, 25)) {
    publisher.publish("limited.a", n);
    publisher.publish("limited.b", String(Number(n) + 3));
  }
  await flushed(publisher);
  await flushed(subscriber);
  assert.deepEqual(atOnce.payloads(), numbers(0, 10));
  assert.deepEqual(later.payloads(), numbers(0, 5));
  assert.ok(await hasNoResponders(publisher, "limited.a"));
  assert.ok(await hasNoResponders(publisher, "limited.b"));
  await closeAll(publisher, subscriber);
}

async function max_payload_in_client(server) {
  const nc = await connect(server);
  const tooBig = new Uint8Array(nc.info.max_payload + 1);
  assert.throws(() => nc.publish("big", tooBig), /max_payload/);
  await flushed(nc);
  await closeAll(nc);
}

async function max_payload_in_server(server) {
  const answer = await server.raw('CONNECT {"verbose":false}\r\nPUB big 1048577\r\n');
  assert.match(answer, /^INFO /);
  assert.ok(answer.endsWith("-ERR 'Maximum Payload Violation'\r\n"), answer.slice(-80));
}

async function large_payload(server) {
  const [service, client] = [await connect(server), await connect(server)];
  service.subscribe("echo.large", { callback: (_, m) => m.respond(m.data) });
  await flushed(service);
  const body = new Uint8Array(client.info.max_payload).map((_, i) => (i * 7) % 251);
  for (let i = 0; i < 5; i++) {
    const reply = await client.request("echo.large", body, { timeout: STEP_MS });
    assert.ok(Buffer.from(body).equals(reply.data));
  }
  await closeAll(service, client);
}

async function fan_out(server) {
  const receivers = await Promise.all(numbers(0, 50).map(() => connect(server)));
  const subs = receivers.map((nc) => collect(nc, "fan.out"));
  for (const nc of receivers) await flushed(nc);
  const publisher = await connect(server);
  for (const n of numbers(0, 1000)) publisher.publish("fan.out", n);
  await flushed(publisher);
  for (const nc of receivers) await flushed(nc);
  for (const sub of subs) assert.deepEqual(sub.payloads(), numbers(0, 1000));
  await closeAll(...receivers, publisher);
}

async function flush_orders(server) {
  const [publisher, subscriber] = [await connect(server), await connect(server)];
  const all = collect(subscriber, "flushed");
  await flushed(subscriber);
  for (let round = 1; round <= 20; round++) {
    for (let i = 0; i < 100; i++) publisher.publish("flushed", "x");
    // What was published before a flush is on its way to the subscriber before its own flush.
    await flushed(publisher);
    await flushed(subscriber);
    assert.equal(all.got.length, round * 100);
  }
  await closeAll(publisher, subscriber);
}

/** The server turns these credentials away. */
async function refused(server, options = {}) {
  const isRefusal = (error) => error instanceof errors.AuthorizationError;
  await assert.rejects(connect(server, { reconnect: false, ...options }), isRefusal);
}

async function roundTrip(nc) {
  const own = collect(nc, "own");
  nc.publish("own", "mine");
  await own.reach(1);
  assert.deepEqual(own.payloads(), ["mine"]);
  await closeAll(nc);
}

async function user_and_password() {
  await Server.with(["--user", "derek", "--pass", "s3cr3t"], async (server) => {
    await roundTrip(await connect(server, { user: "derek", pass: "s3cr3t" }));
    await refused(server, { user: "derek", pass: "wrong" });
    await refused(server, { user: "other", pass: "s3cr3t" });
    await refused(server);
  });
}

async function token() {
  await Server.with(["--auth", "t0k3n"], async (server) => {
    await roundTrip(await connect(server, { token: "t0k3n" }));
    await refused(server, { token: "wrong" });
    await refused(server);
  });
}

async function lame_duck() {
  await Server.with([], async (server) => {
    const nc = await connect(server);
    const told = status(nc, "ldm");
    server.lameDuck();
    await told;
    // The connection serves until the server ends it.
    await roundTrip(nc);
  });
}

async function name_in_connz(server) {
  const nc = await connect(server, { name: "node sees itself" });
  await flushed(nc);
  const url = `http://127.0.0.1:${server.monitorPort}/connz`;
  const response = await fetch(url, { signal: AbortSignal.timeout(STEP_MS) });
  const { connections } = await response.json();
  const found = connections.filter((c) => c.name === "node sees itself");
  assert.equal(found.length, 1);
  assert.equal(found[0].cid, nc.info.client_id);
  assert.equal(found[0].lang, "nats.js");
  await closeAll(nc);
}

process.exit(
  await runAll("node", {
    server_info, publish_subscribe, wildcards, queue_group, request_reply, no_responders, headers,
    drain_subscription, drain_connection, reconnect, auto_unsubscribe, max_payload_in_client,
    max_payload_in_server, large_payload, fan_out, flush_orders, user_and_password, token,
    lame_duck, name_in_connz,
  }),
);
