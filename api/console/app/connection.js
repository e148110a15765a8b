// The live connection: one WebSocket, held by beats, made again with a jittered wait, resumed from the cursor.
import { signal } from "../vendor/signals.js";
import { centreNow, heardTime } from "./clock.js";
import { ask, toSignIn } from "./http.js";

/** No word for this long, ms (a beat comes every 2 s): the connection is gone, whatever the socket believes. */
const SILENCE_MS = 4500;
const LOOK_MS = 250;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;
const SIGNED_OUT = 4401;

/** "connecting" before the first word, then "live" or "lost". */
export const link = signal("connecting");
/** When the server was last heard, by its own clock, ms. */
export const heardAt = signal(null);
/** The centre's state as the last beat told it. */
export const centre = signal(null);

let socket = null;
let cursor = null;
let watched = [];
let failures = 0;
let lastWord = 0;
let retryAt = 0;
let deliver = () => {};

/** Hold the connection from now on; every message that is no beat goes to `onMessage`. */
export function connect(onMessage) {
  deliver = onMessage;
  open();
  setInterval(look, LOOK_MS);
  addEventListener("online", () => {
    if (!socket) open();
  });
  document.addEventListener("visibilitychange", look);
}

/** The lifts whose every sample is wanted; replaces the list before. */
export function watch(ids) {
  watched = ids;
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ watch: ids }));
}

/** Forget where we were: the next connection begins with a snapshot. */
export function beginAnew() {
  cursor = null;
  drop();
}

function open() {
  const at = new URL("/api/v1/live", location.href);
  at.protocol = at.protocol.replace("http", "ws");
  if (cursor !== null) at.searchParams.set("cursor", cursor);
  const made = new WebSocket(at);
  socket = made;
  lastWord = performance.now();
  made.onopen = () => {
    if (watched.length) watch(watched);
  };
  made.onmessage = (event) => {
    if (made === socket) hear(JSON.parse(event.data));
  };
  made.onclose = (event) => {
    if (event.code === SIGNED_OUT) toSignIn();
    else if (made === socket) drop();
  };
}

function hear(message) {
  lastWord = performance.now();
  if (message.at) {
    // The time of a change is its commit's: only the server's own "now" tells the offset.
    if (message.type !== "change") heardTime(message.at);
  }
  heardAt.value = centreNow();
  failures = 0;
  if (message.centre) centre.value = message.centre;
  if (message.type !== "beat") deliver(message);
  // Until all of a snapshot is here there is nothing to go on from.
  if (message.type === "snapshot") cursor = null;
  else if (message.cursor !== undefined) cursor = message.cursor;
  link.value = "live";
}

function look() {
  if (socket && performance.now() - lastWord > SILENCE_MS) drop();
  if (!socket && performance.now() >= retryAt) open();
}

function drop() {
  const old = socket;
  socket = null;
  old?.close();
  link.value = "lost";
  const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** failures);
  // Half of the wait is chance: a restarted centre is not stormed by all its consoles in one moment.
  retryAt = performance.now() + wait / 2 + (Math.random() * wait) / 2;
  failures += 1;
  // A refused handshake tells no reason: whether we are still signed in is asked the ordinary way (401 leaves).
  if (failures > 1) ask("session").catch(() => {});
}
