// From the live connection to the store; what comes for one page alone goes to that page's listener.
import { computed, signal } from "../vendor/signals.js";
import { beginAnew, centre, connect, heardAt, link } from "./connection.js";
import { ask } from "./http.js";
import * as store from "./store.js";

/** So many entries are asked for one by one; more, and everything is told anew, but not more often than this, ms. */
const SINGLE_LOOKUPS = 20;
const ANEW_MS = 60_000;
const listeners = new Set();

/** Counts the times that the connection was made: whoever holds data of another source asks for it again. */
export const connections = signal(0);

/** When the database went away as far as we heard, ms; null while it answers. */
const databaseDown = signal(null);
/** When the last change was committed, ms: a monitor lived at least until then. */
const lastChange = signal(0);
const asked = new Set();
let begunAnew = 0;

/**
 * Since when what we show of incidents and records may be old, ms of the centre's clock; null: it is the present.
 */
export const recordsAsOf = computed(() => {
  if (link.value === "lost") return heardAt.value ?? 0;
  return databaseDown.value;
});

/** The same for states and faults: those also stand still while no monitor is at work. */
export const readingsAsOf = computed(() => {
  if (recordsAsOf.value !== null) return recordsAsOf.value;
  const told = centre.value;
  if (told?.monitor !== "down") return null;
  return Math.max(Date.parse(told.alive_at ?? "") || 0, lastChange.value);
});

/** Hear every `change` and `reading` as well; returns how to stop. */
export function listen(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Begin; once a page. */
export function start() {
  centre.subscribe((told) => {
    const down = told?.database === "down";
    if (!down) databaseDown.value = null;
    else if (databaseDown.peek() === null) databaseDown.value = heardAt.peek();
  });
  connect(receive);
}

const RECEIVERS = {
  snapshot: (message) => store.begin(message),
  equipment: (message) => store.addPiece(message.equipment),
  ready: () => {
    store.finish();
    asked.clear();
    connected();
  },
  resumed: () => connected(),
  change: (message) => CHANGES[message.topic]?.(message.body, message.at),
};

const CHANGES = {
  states: (body) => {
    const strangers = store.onStates(body.states).filter((id) => !asked.has(id));
    if (strangers.length) reread(strangers);
  },
  fault: (body, at) => store.onFault(body.state, body.fault, at),
  incident: (body) => store.onIncident(body.incident),
  registry: (body) => reread(body.equipment_ids),
};

function receive(message) {
  if (message.topic === "states" || message.topic === "fault") lastChange.value = Date.parse(message.at);
  RECEIVERS[message.type]?.(message);
  for (const listener of listeners) listener(message);
}

function connected() {
  connections.value += 1;
  ask("faults?limit=60")
    .then((page) => store.addHistory(page.items))
    .catch(() => {});
}

/** Entries of the register that changed, or of equipment that nobody told us of. None named: any may have. */
async function reread(ids) {
  if (ids.length === 0 || ids.length > SINGLE_LOOKUPS) {
    const wait = Math.max(0, begunAnew + ANEW_MS - Date.now());
    begunAnew = Date.now() + wait;
    setTimeout(beginAnew, wait);
    ids.forEach((id) => asked.add(id));
    return;
  }
  for (const id of ids) {
    asked.add(id);
    const one = await ask(`equipment/${encodeURIComponent(id)}`).catch(() => null);
    if (one) store.replaceEquipment(one);
    asked.delete(id);
  }
}
