// The shaft: all of it, small, and the car with the floors around it, large. The car is moved once a frame, beside
// preact: only attributes of a transform change.
import { useEffect, useMemo, useRef } from "../../vendor/preact-hooks.js";
import { centreNow } from "../clock.js";
import { html } from "../html.js";
import { Track } from "../motion.js";
import { t } from "../words.js";
import { level, movement } from "./state_facts.js";

/** The close view: 360 x 440, the car's sill at SILL, a storey STOREY high, all in units of the picture. */
const SILL = 300;
const STOREY = 170;
/** The whole shaft: 120 x 440 between TOP and BOTTOM. */
const TOP = 16;
const BOTTOM = 424;
const LABELS = 18;
const LEAST_CAR = 9;
/** The unlocking zone on either side of a level, m; drawn for the eye, what counts is what the lift reports. */
const ZONE_M = 0.2;
const USUAL_STOREY_M = 3;

function useCar(levels, state) {
  const whole = useRef(null);
  const near = useRef(null);
  const track = useMemo(() => new Track(levels), [levels]);
  if (state) track.add(state, Date.parse(state.received_at));
  const step = (BOTTOM - TOP) / levels.floors.length;
  useEffect(() => {
    let asked = requestAnimationFrame(function draw() {
      const place = track.drawn(centreNow());
      if (place !== null) {
        whole.current?.setAttribute("transform", `translate(0 ${BOTTOM - place * step})`);
        near.current?.setAttribute("transform", `translate(0 ${SILL + place * STOREY})`);
        near.current?.setAttribute("data-place", place.toFixed(3));
      }
      asked = requestAnimationFrame(draw);
    });
    return () => cancelAnimationFrame(asked);
  }, [track, step]);
  return { whole, near, step };
}

function Whole({ levels, step, car, marks }) {
  const all = levels.floors;
  const every = Math.ceil(all.length / LABELS);
  const height = Math.max(step, LEAST_CAR);
  return html`<svg class="whole-shaft" viewBox="0 0 120 440" aria-hidden="true">
    <rect class="well" x="52" y=${TOP} width="44" height=${BOTTOM - TOP} rx="3" />
    ${all.map(
      (floor, place) => html`<g key=${floor}>
        <line class="storey" x1="46" x2="96" y1=${BOTTOM - place * step} y2=${BOTTOM - place * step} />
        ${place % every === 0 &&
        html`<text class="floor" x="40" y=${BOTTOM - (place + 0.5) * step + 4} text-anchor="end">${floor}</text>`}
      </g>`,
    )}
    <g ref=${car}><rect class="car ${marks}" x="56" y=${-height} width="36" height=${height} rx="2" /></g>
  </svg>`;
}

function Landings({ levels, landings }) {
  const zone = (ZONE_M / (levels.storey ?? USUAL_STOREY_M)) * STOREY;
  return html`<g ref=${landings}>
    ${levels.floors.map((floor, place) => {
      const y = -place * STOREY;
      return html`<g key=${floor}>
        <rect class="zone" x="92" y=${y - zone} width="6" height=${2 * zone} />
        <rect class="zone" x="262" y=${y - zone} width="6" height=${2 * zone} />
        <rect class="slab" x="0" y=${y} width="92" height="12" />
        <rect class="slab" x="268" y=${y} width="92" height="12" />
        <line class="level" x1="92" x2="268" y1=${y} y2=${y} />
        <text class="floor" x="46" y=${y - 52} text-anchor="middle">${floor}</text>
      </g>`;
    })}
  </g>`;
}

function Passenger({ present }) {
  if (present === 0) return null;
  if (present !== 1) return html`<text class="nobody-knows" x="180" y="262" text-anchor="middle">?</text>`;
  return html`<g class="passenger">
    <circle cx="180" cy="216" r="12" />
    <path d="M160 296v-44a20 18 0 0 1 40 0v44z" />
  </g>`;
}

/** The car in the close view; it stands still there, the floors go by. */
function Car({ state, marks }) {
  return html`<g class="car ${marks}">
    <line class="rope" x1="180" y1="0" x2="180" y2="164" />
    <rect class="cabin" x="108" y="164" width="144" height="138" rx="4" />
    <${Passenger} present=${state.passenger} />
    <rect class="leaf left" x="112" y="176" width="68" height="122" />
    <rect class="leaf right" x="180" y="176" width="68" height="122" />
    <path class="sill" d="M98 ${SILL}l12 -7v14z M262 ${SILL}l-12 -7v14z" />
  </g>`;
}

function Arrow({ state }) {
  if (state.car_status !== 1 || !state.car_direction) return null;
  const up = state.car_direction === 1;
  return html`<path class="arrow ${up ? "up" : "down"}" d=${up ? "M304 232l22 30h-44z" : "M304 262l22 -30h-44z"} />`;
}

function marksOf(state) {
  const door = state.door_closed === null ? "door-unknown" : state.door_closed === 1 ? "closed" : "open";
  const zone = state.door_zone === 0 && state.car_status === 0 ? "off-level" : "at-level";
  return `${door} ${zone} ${state.passenger === 1 ? "occupied" : ""} ${state.car_status === 1 ? "moving" : ""}`;
}

/** What the picture shows, for those who do not see it. */
function told(levels, state) {
  const door = state.door_closed === null ? "value.unknown" : state.door_closed ? "door.closed" : "door.open";
  const somebody = state.passenger === null ? "value.unknown" : state.passenger ? "passenger.yes" : "passenger.no";
  const floor = t("shaft.floor", { floor: state.car_position ?? "?" });
  const parts = [floor, movement(state), t(door), t(somebody), level(levels, state)];
  return parts.filter(Boolean).join(", ");
}

const SIGN = { 1: "▲", 2: "▼" };

export function Shaft({ levels, state, unknown }) {
  const { whole, near, step } = useCar(levels, state);
  if (!state) return null;
  const marks = marksOf(state);
  return html`<section class="panel shaft" aria-labelledby="shaft-heading">
    <h2 id="shaft-heading">${t("lift.shaft")}</h2>
    <div class="indicator ${marks}" aria-live="off">
      <i aria-hidden="true">${state.car_status === 1 ? (SIGN[state.car_direction] ?? "") : ""}</i>
      <b>${state.car_position ?? "?"}</b>
      <span>${unknown ? t("lift.last_known") : level(levels, state)}</span>
    </div>
    <div class="pictures" role="img" aria-label=${told(levels, state)}>
      <${Whole} levels=${levels} step=${step} car=${whole} marks=${marks} />
      <svg class="near-shaft" viewBox="0 0 360 440" aria-hidden="true">
        <rect class="well" x="92" y="0" width="176" height="440" />
        <${Landings} levels=${levels} landings=${near} />
        <${Car} state=${state} marks=${marks} />
        <${Arrow} state=${state} />
      </svg>
    </div>
  </section>`;
}
