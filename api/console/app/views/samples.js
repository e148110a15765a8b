// The last minutes of one equipment: floors, door and passenger over time, and the last samples in figures.
import { clock, second } from "../clock.js";
import { html } from "../html.js";
import { t } from "../words.js";
import { movement } from "./state_facts.js";

const SPAN_MS = 300_000;
const ROWS = 8;
/** A state holds until the next sample, this long at most, ms; after it there is a gap in every line. */
const HOLDS_MS = 12_000;
/** The strip: 1,000 x 150; floors between 8 and 104, then the two bars. */
const WIDTH = 1000;
const HIGH = 8;
const LOW = 104;

const time = (state) => Date.parse(state.sampled_at);

/** [from, to] of each sample that is in sight, in units of the picture. */
function spans(samples, now) {
  const x = (ms) => Math.min(WIDTH, Math.max(0, WIDTH - ((now - ms) / SPAN_MS) * WIDTH));
  return samples.map((state, place) => {
    const next = samples[place + 1];
    const until = Math.min(next ? time(next) : now, time(state) + HOLDS_MS);
    return { state, from: x(time(state)), to: x(until), joined: next && time(next) - time(state) <= HOLDS_MS };
  });
}

function line(all, levels) {
  const top = Math.max(levels.floors.length - 1, 1);
  const y = (place) => (LOW - (Math.min(Math.max(place, 0), top) / top) * (LOW - HIGH)).toFixed(1);
  let path = "";
  let pen = "M";
  for (const { state, from, to, joined } of all) {
    const place = levels.placeOfCar(state);
    if (place === null) {
      pen = "M";
      continue;
    }
    path += `${pen}${from.toFixed(1)} ${y(place)}`;
    if (!joined) path += `H${to.toFixed(1)}`;
    pen = joined ? "L" : "M";
  }
  return path;
}

/** The spans in which something applies, those that touch made one. */
function stretches(all, applies) {
  const found = [];
  for (const { state, from, to } of all) {
    if (!applies(state) || to <= from) continue;
    if (found.length && from - found.at(-1).to < 0.01) found.at(-1).to = to;
    else found.push({ from, to });
  }
  return found;
}

function Bars({ all, kind, y, applies }) {
  return stretches(all, applies).map(
    ({ from, to }) => html`<rect key=${from} class=${kind} x=${from} y=${y} width=${to - from} height="12" />`,
  );
}

const TICKS = [1, 2, 3, 4];

function Strip({ levels, samples }) {
  const now = second.value;
  const all = spans(samples, now);
  return html`<div class="strip">
    <p class="strip-labels">
      <span>${levels.floors.at(-1)}</span><span>${levels.floors[0]}</span>
      <span>${t("strip.door")}</span><span>${t("strip.passenger")}</span>
    </p>
    <svg viewBox="0 0 1000 150" preserveAspectRatio="none" role="img" aria-label=${t("strip.told")}>
      ${TICKS.map((tick) => html`<line key=${tick} class="tick" x1=${tick * 200} x2=${tick * 200} y1="0" y2="150" />`)}
      <path class="height" d=${line(all, levels)} />
      <${Bars} all=${all} kind="door" y="114" applies=${(state) => state.door_closed === 0} />
      <${Bars} all=${all} kind="somebody" y="132" applies=${(state) => state.passenger === 1} />
    </svg>
    <p class="strip-times"><span>${clock(now - SPAN_MS)}</span><span>${clock(now)}</span></p>
  </div>`;
}

const word = (value, ...keys) => (value === null || value === undefined ? "?" : t(keys[value]));

function LiftRow({ state }) {
  return html`<tr>
    <td>${clock(state.sampled_at)}</td><td>${state.car_position ?? "?"}</td><td>${movement(state) ?? "?"}</td>
    <td>${state.speed_mps?.toFixed(2) ?? "?"}</td><td>${word(state.door_closed, "door.open", "door.closed")}</td>
    <td>${word(state.door_zone, "zone.out", "zone.in")}</td>
    <td>${word(state.passenger, "passenger.no", "passenger.yes")}</td>
  </tr>`;
}

const LIFT_COLUMNS = [
  "fact.sampled", "fact.floor", "fact.movement", "fact.speed", "fact.door", "fact.zone", "fact.passenger",
];

export function Samples({ levels, samples }) {
  if (samples.length === 0) return null;
  const latest = samples.slice(-ROWS).reverse();
  return html`<section class="panel samples" aria-labelledby="samples-heading">
    <h2 id="samples-heading">${t("lift.samples")}</h2>
    <${Strip} levels=${levels} samples=${samples} />
    <div class="scroll" tabindex="0" role="group" aria-labelledby="samples-heading">
      <table>
        <thead><tr>${LIFT_COLUMNS.map((key) => html`<th key=${key} scope="col">${t(key)}</th>`)}</tr></thead>
        <tbody>${latest.map((state) => html`<${LiftRow} key=${state.sampled_at} state=${state} />`)}</tbody>
      </table>
    </div>
  </section>`;
}
