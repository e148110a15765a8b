// What the centre told us so far: equipment, open incidents, latest faults. Changes are gathered and shown once a
// frame, however many come.
import { batch, signal } from "../vendor/signals.js";
import { ALL_FACES, faceOf, facetsOf } from "./faces.js";

const STREAM = 60;
const ESTATE_UNKNOWN = "";

/** Whether a whole snapshot was taken in. */
export const loaded = signal(false);
/** Groups [{estate, ids}] in the order of their names; anew when equipment comes or goes. */
export const estates = signal([]);
/** Counts by facet (faces.js); anew with each frame that changed one. */
export const tally = signal({});
/** Open incidents, gravest first, then the oldest. */
export const incidents = signal([]);
/** The latest lines [{state, at, fault}], newest first. */
export const stream = signal([]);

let equipment = new Map();
let staged = null;
let counts = {};
const open = new Map();
const faces = new Map();
const seen = new Map();
const dirty = new Set();
let lines = [];
let reopen = true;
let regroup = false;
let asked = false;

/** The equipment as last told, or undefined; not a signal: see `faceSignal` and `lookAt`. */
export function equipmentOf(id) {
  return equipment.get(id);
}

/** How many there are. */
export function fleetSize() {
  return equipment.size;
}

/** All equipment, for searching. */
export function everyEquipment() {
  return equipment.values();
}

/** A signal of the face (faces.js) of one equipment. */
export function faceSignal(id) {
  let found = faces.get(id);
  if (!found) {
    const one = equipment.get(id);
    found = signal(one ? faceOf(one) : "unseen");
    faces.set(id, found);
  }
  return found;
}

/** A signal that changes whenever anything of that equipment did. */
export function lookAt(id) {
  let found = seen.get(id);
  if (!found) {
    found = signal(0);
    seen.set(id, found);
  }
  return found;
}

/** The faces of some equipment, counted: [[face, count]], gravest first. */
export function facesOf(ids) {
  const found = new Map();
  for (const id of ids) {
    const face = faceSignal(id).value;
    found.set(face, (found.get(face) ?? 0) + 1);
  }
  return ALL_FACES.filter((face) => found.has(face)).map((face) => [face, found.get(face)]);
}

/** A snapshot begins: nothing of it is shown in place of what we had before `finish`. */
export function begin(message) {
  staged = new Map();
  if (!loaded.peek()) equipment = staged;
  open.clear();
  reopen = true;
  for (const one of message.incidents) open.set(one.incident_id, one);
  addLines(message.faults.map((fault) => ({ state: "raised", at: fault.raised_at, fault })));
  addPiece(message.equipment ?? []);
}

/** A piece of a snapshot's equipment. */
export function addPiece(pieces) {
  for (const one of pieces) staged?.set(one.equipment_id, one);
}

/** All of the snapshot is here. */
export function finish() {
  if (!staged) return;
  equipment = staged;
  staged = null;
  counts = {};
  for (const one of equipment.values()) countIn(one, 1);
  for (const id of [...faces.keys(), ...seen.keys()]) dirty.add(id);
  regroup = true;
  show();
  loaded.value = true;
}

/** One equipment as the API tells it now (the register changed). */
export function replaceEquipment(one) {
  if (!equipment.has(one.equipment_id)) equipment.set(one.equipment_id, null);
  regroup = true;
  change(one.equipment_id, () => one);
}

/** States of the feed: the latest of each equipment. Returns the ids of equipment that nobody told us of. */
export function onStates(states) {
  const strangers = [];
  for (const { equipment_id: id, division: _division, firm_id: _firm, ...state } of states) {
    if (equipment.has(id)) change(id, (one) => ({ ...one, state }));
    else strangers.push(id);
  }
  return strangers;
}

/** A fault was raised or cleared. */
export function onFault(state, fault, at) {
  addLines([{ state, at, fault }]);
  change(fault.equipment_id, (one) => {
    const others = one.open_faults.filter((other) => other.fault_id !== fault.fault_id);
    const { fault_id, kind, since_at } = fault;
    const stays = state === "raised" && fault.cleared_at === null;
    return { ...one, open_faults: stays ? [...others, { fault_id, kind, since_at }] : others };
  });
}

/** An incident as it is now. */
export function onIncident(incident) {
  const known = open.get(incident.incident_id);
  if (known && known.version > incident.version) return;
  if (incident.closed_at === null) open.set(incident.incident_id, incident);
  else open.delete(incident.incident_id);
  reopen = true;
  later();
  const id = incident.closed_at === null ? incident.incident_id : null;
  change(incident.equipment_id, (one) => ({ ...one, incident_id: id }));
}

/** Lines of faults asked for over HTTP, added to those heard. */
export function addHistory(faults) {
  const heard = faults.flatMap((fault) => {
    const raised = { state: "raised", at: fault.raised_at, fault };
    // What happens at an instant (an alarm button) is over as it is raised: nothing to tell.
    const over = fault.cleared_at && fault.cleared_at !== fault.raised_at;
    return over ? [{ state: "cleared", at: fault.cleared_at, fault }, raised] : [raised];
  });
  addLines(heard);
}

function addLines(more) {
  const once = new Map();
  for (const line of [...more, ...lines]) {
    const key = `${line.fault.fault_id} ${line.state}`;
    if (!once.has(key)) once.set(key, line);
  }
  lines = [...once.values()].sort((a, b) => Date.parse(b.at) - Date.parse(a.at)).slice(0, STREAM);
  later();
}

const WEIGHT = { critical: 4, high: 3, medium: 2, low: 1 };

const byWeight = (a, b) => WEIGHT[b.severity] - WEIGHT[a.severity] || Date.parse(a.since_at) - Date.parse(b.since_at);

function change(id, next) {
  if (!equipment.has(id)) return;
  const before = equipment.get(id);
  const after = next(before);
  if (before) countIn(before, -1);
  equipment.set(id, after);
  countIn(after, 1);
  dirty.add(id);
  later();
}

function countIn(one, by) {
  for (const facet of facetsOf(one)) counts[facet] = (counts[facet] ?? 0) + by;
}

/** With the next frame; a hidden page has no frames, and its title still counts. */
function later() {
  if (asked) return;
  asked = true;
  if (document.hidden) setTimeout(show, 1000);
  else requestAnimationFrame(show);
}

document.addEventListener("visibilitychange", () => {
  if (asked) show();
});

function show() {
  asked = false;
  batch(() => {
    for (const id of dirty) {
      const one = equipment.get(id);
      if (faces.has(id)) faces.get(id).value = one ? faceOf(one) : "unseen";
      if (seen.has(id)) seen.get(id).value += 1;
    }
    dirty.clear();
    tally.value = { ...counts };
    stream.value = lines;
    if (reopen) incidents.value = [...open.values()].sort(byWeight);
    if (regroup) estates.value = grouped();
    reopen = regroup = false;
  });
}

function grouped() {
  const groups = new Map();
  for (const one of equipment.values()) {
    const estate = one.place?.estate ?? ESTATE_UNKNOWN;
    if (!groups.has(estate)) groups.set(estate, []);
    groups.get(estate).push(one);
  }
  const byName = new Intl.Collator("zh-CN", { numeric: true }).compare;
  const address = (one) => one.place?.address ?? one.equipment_id;
  const byAddress = (a, b) => byName(address(a), address(b));
  return [...groups]
    .sort(([a], [b]) => byName(a, b))
    .map(([estate, all]) => ({ estate, ids: all.sort(byAddress).map((one) => one.equipment_id) }));
}
