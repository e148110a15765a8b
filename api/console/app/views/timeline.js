// What happened to an incident, newest first: when, by whose clock, who said so.
import { clock } from "../clock.js";
import { html } from "../html.js";
import { named, t } from "../words.js";
import { At } from "./parts.js";
import { inWords } from "./state_facts.js";

/** Entered later than it happened by less than this is the same moment to a reader, ms. */
const AT_ONCE_MS = 1000;

/** A person by role and name, a controller by its code, else our own rules. */
function Source({ entry }) {
  if (entry.actor) return html`${named("role", entry.source)} ${entry.actor}`;
  const [kind, code] = entry.source.split(":");
  return kind === "event" ? t("timeline.by_controller", { code }) : t("timeline.by_rule");
}

function Times({ entry }) {
  const later = Math.abs(Date.parse(entry.entered_at) - Date.parse(entry.occurred_at)) >= AT_ONCE_MS;
  return html`<p class="times">
    <${At} at=${entry.occurred_at} /> <span class="by">${named("clock", entry.clock)}</span>
    ${later && html`<span class="entered">${t("timeline.entered", { time: clock(entry.entered_at) })}</span>`}
  </p>`;
}

function Evidence({ detail }) {
  const { seen, ...rest } = detail.evidence ?? {};
  const lines = Object.entries(rest).filter(([, value]) => value !== null);
  if (!seen && lines.length === 0) return null;
  return html`<details>
    <summary>${t("timeline.evidence")}</summary>
    ${seen && html`<p class="seen">${inWords(seen)}</p>`}
    <dl class="evidence">
      ${lines.map(
        ([name, value]) => html`<div key=${name}>
          <dt>${named("evidence", name)}</dt>
          <dd>${typeof value === "object" ? JSON.stringify(value) : String(value)}</dd>
        </div>`,
      )}
    </dl>
  </details>`;
}

function Line({ entry }) {
  const { detail } = entry;
  return html`<li class=${entry.what}>
    <${Times} entry=${entry} />
    <p class="what"><b>${named("what", entry.what)}</b>${detail.kind && html` ${named("fault", detail.kind)}`}</p>
    ${detail.sent && html`<p>${t("action.sent")} ${detail.sent}</p>`}
    ${detail.persons_freed !== undefined && html`<p>${t("action.persons_freed")} ${detail.persons_freed}</p>`}
    ${detail.text && html`<p class="text">${detail.text}</p>`}
    <p class="source"><${Source} entry=${entry} /> · ${named("reason", entry.reason)}</p>
    <${Evidence} detail=${detail} />
  </li>`;
}

export function Timeline({ entries }) {
  const newest = [...entries].sort((a, b) => b.place - a.place);
  return html`<section class="panel timeline" aria-labelledby="timeline-heading">
    <h2 id="timeline-heading">${t("incident.timeline")} <span class="count">${entries.length}</span></h2>
    <ol>${newest.map((entry) => html`<${Line} key=${entry.place} entry=${entry} />`)}</ol>
  </section>`;
}
