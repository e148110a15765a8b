// What people can do about an incident: as monitor/domain/incident.py and api/roles.py have it (a test compares). The
// server decides; here it only keeps impossible buttons away.

/** Every step that people take, in the order of a rescue: [step, statuses it is possible in]. */
export const STEPS = [
  ["dispatch", ["REPORTED", "DISPATCHED", "ACCEPTED"]],
  ["accept", ["REPORTED", "DISPATCHED"]],
  ["arrive", ["REPORTED", "DISPATCHED", "ACCEPTED"]],
  ["free", ["REPORTED", "DISPATCHED", "ACCEPTED", "ARRIVED"]],
  ["note", ["REPORTED", "DISPATCHED", "ACCEPTED", "ARRIVED", "FREED"]],
  ["close", ["REPORTED", "DISPATCHED", "ACCEPTED", "ARRIVED", "FREED"]],
  ["false_alarm", ["REPORTED", "DISPATCHED", "ACCEPTED", "ARRIVED", "FREED"]],
];

const CENTRE = ["dispatch", "accept", "arrive", "free", "note", "close", "false_alarm"];

/** The steps that a role may take. */
export const ROLES = {
  operator: CENTRE,
  shift_leader: CENTRE,
  administrator: CENTRE,
  firm: ["accept", "arrive", "free", "note"],
  regulator: [],
};

/** The steps that are possible now for that role. */
export function possible(incident, role) {
  return STEPS.filter(([step, statuses]) => ROLES[role]?.includes(step) && statuses.includes(incident.status)).map(
    ([step]) => step,
  );
}

/** Whether a step has to say why: a note is its text; so is the reason of a false alarm, and of closing while somebody
 * may be inside. */
export function needsText(incident, step) {
  return step === "note" || step === "false_alarm" || (step === "close" && incident.people);
}
