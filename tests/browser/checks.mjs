// The status page in a real browser: it shows live figures, fits a phone, and asks nobody but the
// server it comes from.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import chromium from "@sparticuz/chromium";
import puppeteer from "puppeteer-core";

const DEADLINE_MS = 30_000;
const dir = mkdtempSync(path.join(os.tmpdir(), "status-page-"));
let passed = 0;
let failed = 0;

async function check(name, test) {
  try {
    await test();
    passed += 1;
    console.log(`ok   ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${name}: ${error.stack ?? error}`);
  }
}

function ensure(holds, what) {
  if (!holds) throw new Error(what);
}

// The server, and the ports that its log names.
function start(config) {
  const file = path.join(dir, "server.conf");
  writeFileSync(file, `listen: "127.0.0.1:-1"\nhttp: "127.0.0.1:-1"\n${config}\n`);
  const server = spawn(process.env.NATS_SERVER_BIN, ["-c", file], { stdio: ["ignore", "ignore", "pipe"] });
  return new Promise((resolve, reject) => {
    let log = "";
    const timer = setTimeout(() => reject(new Error(`no start:\n${log}`)), DEADLINE_MS);
    server.stderr.on("data", (chunk) => {
      log += chunk;
      if (!log.includes("Server is ready")) return;
      clearTimeout(timer);
      const port = (what) => Number(log.match(new RegExp(`${what} on 127\\.0\\.0\\.1:(\\d+)`))[1]);
      resolve({
        server,
        clients: port("Listening for client connections"),
        monitor: port("Starting http monitor"),
      });
    });
  });
}

function publisher(port) {
  const socket = net.connect(port, "127.0.0.1");
  socket.on("data", () => {});
  socket.write('CONNECT {"verbose":false,"name":"busy <b>client</b>"}\r\nSUB foo 1\r\n');
  const timer = setInterval(() => socket.write("PUB foo 5\r\nhello\r\n".repeat(100)), 50);
  return () => {
    clearInterval(timer);
    socket.destroy();
  };
}

const { server, clients, monitor } = await start("http_base_path: /nats");
const stop = publisher(clients);
const executablePath = await chromium.executablePath();
const browser = await puppeteer.launch({ args: chromium.args, executablePath, headless: "shell" });
const origin = `http://127.0.0.1:${monitor}`;
const page = await browser.newPage();
page.setDefaultTimeout(DEADLINE_MS);
const errors = [];
const elsewhere = [];
page.on("pageerror", (error) => errors.push(String(error)));
page.on("console", (line) => line.type() === "error" && errors.push(line.text()));
page.on("request", (request) => {
  if (!request.url().startsWith(`${origin}/nats`) && !request.url().endsWith("/favicon.ico")) {
    elsewhere.push(request.url());
  }
});
const text = (id) => page.$eval(`#${id}`, (element) => element.textContent);

await check("the page shows live figures", async () => {
  await page.goto(`${origin}/nats`);
  await page.waitForFunction(() => document.getElementById("state").textContent === "live");
  ensure((await text("connections")) === "1", "one connection");
  ensure(/\d/.test(await text("mem")), "memory");
  await page.waitForFunction(() => /[1-9]/.test(document.getElementById("in_msgs").textContent));
  ensure((await text("in_msgs")).endsWith("/s"), "a rate");
  await page.waitForFunction(() => document.getElementById("line_in").getAttribute("points"));
});

await check("names of clients are shown as text", async () => {
  const name = await page.$eval("#busiest tr td:nth-child(2)", (cell) => cell.textContent);
  ensure(name === "busy <b>client</b>", name);
});

await check("links lead to the documents", async () => {
  const links = await page.$$eval("ul a", (all) => all.map((a) => a.href));
  ensure(links.length === 12, `${links.length} links`);
  for (const link of links) {
    const { status } = await fetch(link);
    ensure(status === 200 || link.endsWith("/raftz"), `${link}: ${status}`);
  }
});

await check("the page fits a phone", async () => {
  await page.setViewport({ width: 360, height: 740, isMobile: true, hasTouch: true });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  ensure(wide <= 360, `${wide} pixels`);
  const size = await page.$eval("#connections", (b) => parseFloat(getComputedStyle(b).fontSize));
  ensure(size >= 14, `${size} pixels high`);
});

await check("nothing failed, and nobody else was asked", async () => {
  const real = errors.filter((error) => !error.includes("favicon"));
  ensure(elsewhere.length === 0, elsewhere.join("\n"));
  ensure(real.filter((error) => !error.includes("404")).length === 0, real.join("\n"));
});

await check("a server that stops is told of", async () => {
  stop();
  server.kill();
  await page.waitForFunction(() => document.getElementById("state").className === "bad");
});

await browser.close();
server.kill();
rmSync(dir, { recursive: true });
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
