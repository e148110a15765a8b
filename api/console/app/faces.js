// What one equipment shows in one glance. The first row that is true is its face; every face has a colour of its own,
// a sign and a word, so that nobody depends on the colour.

const URGENT = new Set(["entrapment", "lost_contact_occupied", "unintended_car_movement", "car_alarm_button"]);

const isOpen = (one, kind) => one.open_faults.some((fault) => fault.kind === kind);
const mode = (number) => (one) => one.state.service_mode === number;

/** In order of weight: [face, sign, whether it applies]. From `unseen` on there is a state to look at. */
const FACES = [
  ["urgent", "!", (one) => one.open_faults.some((fault) => URGENT.has(fault.kind))],
  ["offline", "×", (one) => isOpen(one, "offline")],
  ["faulty", "▪", (one) => one.open_faults.length > 0],
  ["unseen", "·", (one) => one.state === null],
  ["silent", "?", (one) => one.state.silent],
  ["stopped", "■", mode(0)],
  ["inspection", "✎", mode(2)],
  ["fire", "♨", (one) => mode(3)(one) || mode(4)(one)],
  ["emergency", "⚡", (one) => mode(5)(one) || mode(6)(one)],
  ["up", "▲", (one) => one.state.car_status === 1 && one.state.car_direction === 1],
  ["down", "▼", (one) => one.state.car_status === 1 && one.state.car_direction === 2],
  ["moving", "◆", (one) => one.state.car_status === 1],
  ["idle", "", () => true],
];

/** Every face there is, gravest first. */
export const ALL_FACES = FACES.map(([face]) => face);
/** The sign of a face. */
export const SIGNS = Object.fromEntries(FACES.map(([face, sign]) => [face, sign]));

/** The face of an equipment. */
export function faceOf(one) {
  return FACES.find(([, , applies]) => applies(one))[0];
}

/** The figures that an equipment counts in. Silent: its last state is not known to be the present one. */
export function facetsOf(one) {
  const facets = ["total"];
  const state = one.state;
  if (one.open_faults.length) facets.push("faulty");
  if (isOpen(one, "offline")) facets.push("offline");
  else if (state?.silent) facets.push("silent");
  if (!state) return [...facets, "unseen"];
  if (state.silent) return facets;
  if (state.service_mode !== null) facets.push(`mode${state.service_mode}`);
  if (state.car_status === 1) facets.push("moving");
  return facets;
}
