// The state of an equipment in words and figures.
import { html } from "../html.js";
import { t } from "../words.js";
import { Fact } from "./parts.js";

const isKnown = (value) => value !== null && value !== undefined;
const chosen = (value, ...keys) => (isKnown(value) ? t(keys[value] ?? "value.unknown") : null);
const figure = (value, unit, digits = 0) => (isKnown(value) ? `${value.toFixed(digits)} ${unit}` : null);
const MODES = [0, 1, 2, 3, 4, 5, 6, 7].map((mode) => `facet.mode${mode}`);

/** Moving up, moving down, or standing. */
export function movement(state) {
  if (state.car_status === 1) return chosen(state.car_direction ?? 0, "car.moving", "car.up", "car.down");
  return chosen(state.car_status, "car.standing");
}

/** Level or off level, with the distance where it is measured. */
export function level(levels, state) {
  if (state.door_zone !== 0) return chosen(state.door_zone, "", "zone.in");
  if (state.car_status === 1) return t("zone.between");
  const metres = levels.metresOff(state);
  if (metres === null) return t("zone.out");
  return t(metres > 0 ? "zone.above" : "zone.below", { m: Math.abs(metres).toFixed(2) });
}

/** A state in one line of words, as evidence of what was seen; unknown fields are left out. */
export function inWords(state) {
  const door = chosen(state.door_closed, "door.open", "door.closed");
  const somebody = chosen(state.passenger, "passenger.no", "passenger.yes");
  const words = [
    chosen(state.service_mode, ...MODES),
    state.car_position === null ? null : t("shaft.floor", { floor: state.car_position }),
    movement(state),
    chosen(state.door_zone, "zone.out", "zone.in"),
    door && `${t("fact.door")} ${door}`,
    somebody && `${t("fact.passenger")} ${somebody}`,
    figure(state.speed_mps, "m/s", 2),
    figure(state.position_m, "m", 2),
  ];
  return words.filter(Boolean).join(" · ");
}

function LiftFacts({ levels, state }) {
  const outside = state.door_zone === 0 && state.car_status === 0;
  const where = level(levels, state);
  return html`
    <${Fact} term=${t("fact.mode")}>${chosen(state.service_mode, ...MODES)}<//>
    <${Fact} term=${t("fact.movement")}>${movement(state)}<//>
    <${Fact} term=${t("fact.speed")}>${figure(state.speed_mps, "m/s", 2)}<//>
    <${Fact} term=${t("fact.door")}>${chosen(state.door_closed, "door.open", "door.closed")}<//>
    <${Fact} term=${t("fact.passenger")}>${chosen(state.passenger, "passenger.no", "passenger.yes")}<//>
    <${Fact} term=${t("fact.zone")}>${outside ? html`<b class="alert">${where}</b>` : where}<//>
    <${Fact} term=${t("fact.load")}>${figure(state.load_kg, "kg")}<//>
    <${Fact} term=${t("fact.power")}>${chosen(state.power, "power.off", "power.on")}<//>
    <${Fact} term=${t("fact.height")}>${figure(state.position_m, "m", 2)}<//>
    <${Fact} term=${t("fact.run_count")}>${state.run_count}<//>
  `;
}

function StairFacts({ state }) {
  return html`
    <${Fact} term=${t("fact.mode")}>${chosen(state.service_mode, ...MODES)}<//>
    <${Fact} term=${t("fact.running")}>${movement(state)}<//>
    <${Fact} term=${t("fact.speed")}>${figure(state.speed_mps, "m/s", 2)}<//>
    <${Fact} term=${t("fact.riders")}>${chosen(state.passenger, "passenger.no", "passenger.yes")}<//>
    <${Fact} term=${t("fact.power")}>${chosen(state.power, "power.off", "power.on")}<//>
  `;
}

const BOUNDS = ["low_low", "low", "high", "high_high"];

/** Measured quantities with their limits from the register; the word for a quantity is the register's own. */
function Quantities({ one, state }) {
  const limits = new Map((one.limits ?? []).map((limit) => [limit.quantity, limit]));
  return Object.entries(state.quantities ?? {}).map(([quantity, value]) => {
    const limit = limits.get(quantity);
    const set = BOUNDS.filter((bound) => isKnown(limit?.[bound]));
    const bounds = set.map((bound) => `${t(`limit.${bound}`)} ${limit[bound]}`).join(" · ");
    return html`<${Fact} key=${quantity} term=${quantity}>
      ${value ?? t("value.unknown")} ${limit?.unit ?? ""} ${bounds && html`<small>${bounds}</small>`}
    <//>`;
  });
}

const FORMS = { lift: LiftFacts, escalator: StairFacts, walkway: StairFacts };

export function StateFacts({ one, levels, state, unknown }) {
  const Form = FORMS[one.kind] ?? Quantities;
  return html`<section class="panel" aria-labelledby="state-heading">
    <h2 id="state-heading">${t(unknown ? "lift.last_state" : "lift.state")}</h2>
    <dl class="facts state"><${Form} one=${one} levels=${levels} state=${state} /></dl>
  </section>`;
}
