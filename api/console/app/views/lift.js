// One lift live; other equipment in a plainer form.
import { useEffect, useMemo, useState } from "../../vendor/preact-hooks.js";
import { clock, howLong, second } from "../clock.js";
import { watch } from "../connection.js";
import { html } from "../html.js";
import { ask } from "../http.js";
import { Levels } from "../levels.js";
import { connections, listen, readingsAsOf } from "../live.js";
import { incidentAt } from "../router.js";
import { equipmentOf, incidents, loaded, lookAt } from "../store.js";
import { named, t } from "../words.js";
import { Age, AsOf, Fact, Severity } from "./parts.js";
import { Samples } from "./samples.js";
import { Shaft } from "./shaft.js";
import { StateFacts } from "./state_facts.js";

/** How much of the past stands beside the present, ms, and how many samples of it at most. */
const PAST_MS = 300_000;
const KEPT = 700;
/** The server says when a lift has gone silent. Should it ever not: nothing at all for this long, ms, is silence. */
const SURELY_SILENT_MS = 90_000;
const WITH_SHAFT = new Set(["lift"]);

const time = (state) => Date.parse(state.sampled_at);

function merged(before, more) {
  const once = new Map([...before, ...more].map((state) => [state.sampled_at, state]));
  const all = [...once.values()].sort((a, b) => time(a) - time(b)).slice(-KEPT);
  const from = all.length ? time(all.at(-1)) - PAST_MS : 0;
  return all.filter((state) => time(state) >= from);
}

/** Samples of the last minutes, oldest first, going on with every sample that comes. */
function useSamples(id) {
  const [samples, setSamples] = useState([]);
  const made = connections.value;
  useEffect(() => {
    watch([id]);
    const stop = listen((message) => {
      if (message.type !== "reading" || message.equipment_id !== id) return;
      setSamples((before) => merged(before, message.readings));
    });
    return () => {
      stop();
      watch([]);
    };
  }, [id]);
  // Again after each connection: what came while there was none is in the history.
  useEffect(() => {
    const to = second.peek();
    const span = `from=${new Date(to - PAST_MS).toISOString()}&to=${new Date(to + PAST_MS).toISOString()}`;
    ask(`equipment/${encodeURIComponent(id)}/history?${span}`)
      .then((page) => setSamples((before) => merged(before, page.items)))
      .catch(() => {});
  }, [id, made]);
  return samples;
}

/** The register's entry with everything in it; what the live connection told meanwhile is newer. */
function useEquipment(id) {
  const [entry, setEntry] = useState(undefined);
  useEffect(() => {
    ask(`equipment/${encodeURIComponent(id)}`)
      .then(setEntry)
      .catch((problem) => setEntry(problem.status === 404 ? null : undefined));
  }, [id, connections.value]);
  lookAt(id).value;
  const live = equipmentOf(id);
  return live && entry ? { ...entry, ...live } : (live ?? entry);
}

function newer(a, b) {
  if (!a || !b) return a ?? b ?? null;
  return Date.parse(a.received_at) >= Date.parse(b.received_at) ? a : b;
}

/** Since when nothing is known, an instant; null: the state is the present one. `state`: the latest there is. */
function unknownSince(one, state) {
  if (!state) return null;
  const heard = Date.parse(state.received_at);
  const quiet = one.reports !== "changes" && second.value - heard > SURELY_SILENT_MS;
  // A sample of the history does not say that nothing followed it; the state that the centre tells does.
  const silent = one.state?.silent && heard <= Date.parse(one.state.received_at);
  return silent || quiet ? state.received_at : null;
}

function Freshness({ state, since }) {
  if (!state) return html`<p class="freshness none">${t("lift.never_seen")}</p>`;
  if (readingsAsOf.value !== null) return html`<p class="freshness old"><${AsOf} since=${readingsAsOf.value} /></p>`;
  const unknown = t("state.unknown_since", { time: clock(since) });
  if (since) return html`<p class="freshness old" role="status">${unknown}</p>`;
  const age = howLong(second.value - Date.parse(state.received_at));
  return html`<p class="freshness">${t("lift.sample_age", { age })}</p>`;
}

function Open({ one }) {
  const incident = incidents.value.find((other) => other.equipment_id === one.equipment_id);
  return html`<section class="panel records" aria-labelledby="open-heading">
    <h2 id="open-heading">${t("lift.open_faults")}</h2>
    ${incident &&
    html`<a class="to-incident ${incident.severity}" href=${incidentAt(incident.incident_id)}>
      <${Severity} of=${incident.severity} />
      ${` ${named("incident_kind", incident.kind)} ${incident.incident_no} · ${named("status", incident.status)}`}
    </a>`}
    ${one.open_faults.length === 0 && html`<p class="empty">${t("lift.no_open_faults")}</p>`}
    <ul class="fault-list">
      ${one.open_faults.map(
        (fault) => html`<li key=${fault.fault_id}>
          <b>${named("fault", fault.kind)}</b>
          <span>${t("fact.since")} ${clock(fault.since_at)}</span>
          <${Age} since=${fault.since_at} />
        </li>`,
      )}
    </ul>
  </section>`;
}

function Register({ one }) {
  return html`<section class="panel" aria-labelledby="register-heading">
    <h2 id="register-heading">${t("lift.register")}</h2>
    <dl class="facts">
      <${Fact} term=${t("fact.equipment_id")}>${one.equipment_id}<//>
      <${Fact} term=${t("fact.division")}>${one.division}<//>
      <${Fact} term=${t("fact.firm")}>${one.firm_id}<//>
      ${WITH_SHAFT.has(one.kind) && html`<${Fact} term=${t("fact.floors")}>${floors(one)}<//>`}
      ${one.rated_speed_mps !== null && html`<${Fact} term=${t("fact.rated_speed")}>${one.rated_speed_mps} m/s<//>`}
    </dl>
  </section>`;
}

function floors({ bottom_floor: bottom, top_floor: top }) {
  return bottom === null || top === null ? null : `${bottom} … ${top}`;
}

function Heading({ one, state, since }) {
  return html`<header class="page-heading">
    <a class="back" href="#/">← ${t("page.overview")}</a>
    <h1>${one.place?.address ?? one.equipment_id}</h1>
    <p>
      ${named("kind", one.kind)}
      ${one.rescue_code && html`<span> · ${t("fact.rescue_code")} <b>${one.rescue_code}</b></span>`}
      ${one.registered === false && html`<span> · ${t("lift.unregistered")}</span>`}
    </p>
    <${Freshness} state=${state} since=${since} />
  </header>`;
}

function useLevels(one, samples) {
  const { bottom_floor, top_floor, floor_height_m } = one ?? {};
  const known = [bottom_floor, top_floor, floor_height_m];
  const levels = useMemo(() => new Levels({ bottom_floor, top_floor, floor_height_m }), known);
  useMemo(() => samples.forEach((state) => levels.learn(state)), [levels, samples]);
  return levels;
}

export function Lift({ id }) {
  const samples = useSamples(id);
  const one = useEquipment(id);
  const levels = useLevels(one, samples);
  if (one === null) return html`<p class="empty">${t("lift.not_found", { id })}</p>`;
  if (!one || !loaded.value) return html`<p class="waiting">${t("page.loading")}</p>`;
  const state = newer(samples.at(-1), one.state);
  const since = unknownSince(one, state);
  const unknown = since !== null || readingsAsOf.value !== null;
  return html`
    <${Heading} one=${one} state=${state} since=${since} />
    <div class="lift-page readings ${unknown ? "unknown" : ""} ${WITH_SHAFT.has(one.kind) ? "" : "plain"}">
      ${WITH_SHAFT.has(one.kind) && html`<${Shaft} levels=${levels} state=${state} unknown=${unknown} />`}
      <div class="lift-side">
        ${state && html`<${StateFacts} one=${one} levels=${levels} state=${state} unknown=${unknown} />`}
        <${Open} one=${one} />
        <${Register} one=${one} />
      </div>
      ${WITH_SHAFT.has(one.kind) && html`<${Samples} levels=${levels} samples=${samples} />`}
    </div>
  `;
}
