// A server process for the checks, a raw connection to it, and the runner of the scenarios.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect as connectSocket } from "node:net";
import { createInterface } from "node:readline";

const SCENARIO_MS = 40_000;
export const STEP_MS = 15_000;

/** Rejects when `promise` has not settled within `ms`. */
export async function within(ms, what, promise) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`took too long: ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
  }
}

/** A server on a port of its own, which it keeps when it is started again. */
export class Server {
  port = -1;
  monitorPort = undefined;
  #args;
  #child;

  constructor(...args) {
    this.#args = args;
  }

  /** Starts a server, runs `body` with it and ends it. */
  static async with(args, body) {
    const server = new Server(...args);
    try {
      await server.start();
      return await body(server);
    } finally {
      await server.kill();
    }
  }

  /** Starts the server and waits until it says that it is ready. */
  async start() {
    const args = ["-a", "127.0.0.1", ...this.#args, "-p", String(this.port)];
    const child = spawn(process.env.NATS_SERVER_BIN, args, {
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#child = child;
    const ready = new Promise((resolve, reject) => {
      const seen = [];
      let isReady = false;
      child.once("error", reject);
      child.once("exit", () => reject(new Error(`the server ended: ${seen.join("\n")}`)));
      // Reading goes on after that, or else the server would wait for us when it logs much.
      createInterface({ input: child.stderr }).on("line", (line) => {
        if (isReady) return;
        seen.push(line);
        const client = /Listening for client connections on \S*:(\d+)/.exec(line);
        if (client) this.port = Number(client[1]);
        const monitor = /Starting http monitor on \S*:(\d+)/.exec(line);
        if (monitor) this.monitorPort = Number(monitor[1]);
        if (line.includes("Server is ready")) {
          isReady = true;
          resolve();
        }
      });
    });
    await within(STEP_MS, "start of the server", ready);
  }

  /** Ends the server at once, as a crash would. */
  async kill() {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, "exit");
    child.kill("SIGKILL");
    await within(STEP_MS, "end of the server", exit);
  }

  /** Asks the server to leave gracefully. */
  lameDuck() {
    this.#child.kill("SIGUSR2");
  }

  /** Sends bytes over a plain socket and returns what comes back until the server closes. */
  raw(data) {
    const answer = new Promise((resolve, reject) => {
      const socket = connectSocket(this.port, "127.0.0.1", () => socket.write(data));
      const chunks = [];
      socket.on("data", (chunk) => chunks.push(chunk));
      socket.on("error", reject);
      socket.on("close", () => resolve(Buffer.concat(chunks).toString()));
    });
    return within(STEP_MS, "close of a raw connection", answer);
  }
}

/** Runs every scenario against one shared server and reports; returns the exit code. */
export async function runAll(language, scenarios) {
  let passed = 0;
  let failed = 0;
  await Server.with(["-m", "-1"], async (server) => {
    for (const [name, scenario] of Object.entries(scenarios)) {
      const began = performance.now();
      try {
        await within(SCENARIO_MS, name, scenario(server));
        passed += 1;
        console.log(`ok ${language} ${name} (${Math.round(performance.now() - began)} ms)`);
      } catch (error) {
        failed += 1;
        console.log(`not ok ${language} ${name}: ${error?.message}`);
        console.log(error?.stack);
      }
    }
  });
  console.log(`${language}: ${passed} passed, ${failed} failed`);
  return failed ? 1 : 0;
}
