// One incident: what is known, what happened, what can be done.
import { useEffect, useState } from "../../vendor/preact-hooks.js";
import { acknowledge } from "../attention.js";
import { clock } from "../clock.js";
import { html } from "../html.js";
import { ask } from "../http.js";
import { connections, listen, readingsAsOf, recordsAsOf } from "../live.js";
import { liftAt } from "../router.js";
import { equipmentOf, lookAt } from "../store.js";
import { named, t } from "../words.js";
import { Actions } from "./actions.js";
import { Age, AsOf, At, Fact, Severity } from "./parts.js";
import { inWords } from "./state_facts.js";
import { Timeline } from "./timeline.js";

/** `incident` put in place of what we have, with `entry` at the end of the timeline; undefined: a step is missing. */
function goneOn(before, incident, entry) {
  if (!before || incident.version <= before.version) return before;
  if (entry.place !== before.timeline.length + 1) return undefined;
  return { ...before, ...incident, timeline: [...before.timeline, entry] };
}

/** The incident with its timeline, going on with the feed; null: there is none. Also how to look again. */
function useIncident(id) {
  const [found, setFound] = useState(undefined);
  const look = () =>
    ask(`incidents/${encodeURIComponent(id)}`)
      .then((answer) => setFound((before) => (before && before.version > answer.version ? before : answer)))
      .catch((problem) => {
        if (problem.status === 404) setFound(null);
      });
  useEffect(() => {
    look();
    return listen((message) => {
      if (message.topic !== "incident" || message.body.incident.incident_id !== id) return;
      setFound((before) => {
        const next = goneOn(before, message.body.incident, message.body.entry);
        if (next === undefined) look();
        return next ?? before;
      });
    });
  }, [id, connections.value]);
  return [found, look];
}

function Facts({ incident }) {
  const one = equipmentOf(incident.equipment_id);
  const kind = one ? named("kind", one.kind) : t("fact.equipment");
  const code = incident.rescue_code && html`<b class="code">${incident.rescue_code}</b>`;
  return html`<section class="panel" aria-labelledby="facts-heading">
    <h2 id="facts-heading">${t("incident.facts")}</h2>
    <dl class="facts">
      <${Fact} term=${t("fact.address")}>${incident.address}<//>
      <${Fact} term=${t("fact.rescue_code")}>${code}<//>
      <${Fact} term=${t("fact.equipment")}>
        <a href=${liftAt(incident.equipment_id)}>${kind} ${incident.equipment_id}</a>
      <//>
      <${Fact} term=${t("fact.people")}>${t(incident.people ? "incident.people_maybe" : "incident.people_none")}<//>
      <${Fact} term=${t("fact.since")}><${At} at=${incident.since_at} /><//>
      <${Fact} term=${t("fact.opened")}><${At} at=${incident.opened_at} /><//>
      ${incident.closed_at && html`<${Fact} term=${t("fact.closed")}><${At} at=${incident.closed_at} /><//>`}
      <${Fact} term=${t("fact.level")}>${t("incident.level", { level: incident.level })}<//>
      <${Fact} term=${t("fact.firm")}>${incident.firm_id}<//>
      <${Fact} term=${t("fact.division")}>${incident.division}<//>
    </dl>
    <h3>${t("incident.open_faults")}</h3>
    <ul class="fault-list">
      ${incident.open_faults.map((fault) => html`<li key=${fault.fault_id}><b>${named("fault", fault.kind)}</b></li>`)}
      ${incident.open_faults.length === 0 && html`<li class="empty">${t("incident.faults_over")}</li>`}
    </ul>
  </section>`;
}

/** What the equipment itself says now, in a line, and the way to see it. */
function Present({ incident }) {
  const state = equipmentOf(incident.equipment_id)?.state;
  return html`<section class="panel readings" aria-labelledby="present-heading">
    <h2 id="present-heading">
      ${t(state?.silent ? "lift.last_state" : "lift.state")}<${AsOf} since=${readingsAsOf.value} />
    </h2>
    ${state?.silent && html`<p class="alert">${t("state.unknown_since", { time: clock(state.received_at) })}</p>`}
    <p>${state ? inWords(state) : t("lift.never_seen")}</p>
    <a class="button" href=${liftAt(incident.equipment_id)}>${t("incident.watch")}</a>
  </section>`;
}

function Heading({ incident }) {
  const lasts = t(incident.closed_at ? "incident.lasted" : "incident.age");
  const kind = named("incident_kind", incident.kind);
  return html`<header class="page-heading">
    <a class="back" href="#/">← ${t("page.overview")}</a>
    <h1><${Severity} of=${incident.severity} /> ${kind} <small>${incident.incident_no}</small></h1>
    <p>
      <span class="status ${incident.status}">${named("status", incident.status)}</span>
      ${" "}${lasts} <${Age} since=${incident.since_at} until=${incident.closed_at} />
    </p>
    <${AsOf} since=${recordsAsOf.value} />
  </header>`;
}

export function Incident({ id }) {
  const [incident, look] = useIncident(id);
  useEffect(() => acknowledge(id), [id]);
  lookAt(incident?.equipment_id ?? "").value;
  if (incident === null) return html`<p class="empty">${t("incident.not_found")}</p>`;
  if (!incident) return html`<p class="waiting">${t("page.loading")}</p>`;
  return html`
    <${Heading} incident=${incident} />
    <div class="incident-page records">
      <div>
        <${Facts} incident=${incident} />
        ${!incident.closed_at && html`<${Present} incident=${incident} />`}
        <${Actions} incident=${incident} onDone=${look} />
      </div>
      <${Timeline} entries=${incident.timeline} />
    </div>
  `;
}
