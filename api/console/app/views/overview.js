// The first page: figures, open incidents, latest faults, every equipment in one glance.
import { html } from "../html.js";
import { readingsAsOf, recordsAsOf } from "../live.js";
import { incidents, loaded, tally } from "../store.js";
import { t } from "../words.js";
import { FaultStream } from "./fault_stream.js";
import { Fleet } from "./fleet.js";
import { IncidentList } from "./incident_list.js";
import { AsOf } from "./parts.js";

/** The figures over the fleet: [facet, class]; those of no equipment are left out, except the first four. */
const FIGURES = [
  ["total", ""], ["mode1", "good"], ["moving", ""], ["faulty", "warn"],
  ["silent", "grey"], ["offline", "grey"], ["unseen", "grey"], ["mode2", "warn"], ["mode0", "warn"], ["mode3", "warn"],
  ["mode4", "warn"], ["mode5", "warn"], ["mode6", "warn"], ["mode7", "grey"],
];
const ALWAYS = 4;

function Figures() {
  const counts = tally.value;
  const shown = FIGURES.filter(([facet], place) => place < ALWAYS || counts[facet]);
  return html`<dl class="figures readings">
    ${shown.map(
      ([facet, kind]) => html`<div key=${facet} class=${counts[facet] ? kind : ""} data-facet=${facet}>
        <dt>${t(`facet.${facet}`)}</dt><dd>${counts[facet] ?? 0}</dd>
      </div>`,
    )}
    <${AsOf} since=${readingsAsOf.value} />
  </dl>`;
}

export function Overview() {
  if (!loaded.value) return html`<p class="waiting">${t("page.loading")}</p>`;
  return html`
    <h1 class="only-heard">${t("page.overview")}</h1>
    <${Figures} />
    <div class="overview">
      <section class="panel incidents records" aria-labelledby="incidents-heading">
        <h2 id="incidents-heading">
          ${t("page.open_incidents")} <span class="count">${incidents.value.length}</span>
          <${AsOf} since=${recordsAsOf.value} />
        </h2>
        <${IncidentList} />
      </section>
      <section class="panel stream readings" aria-labelledby="stream-heading">
        <h2 id="stream-heading">${t("page.latest_faults")}<${AsOf} since=${readingsAsOf.value} /></h2>
        <${FaultStream} />
      </section>
      <section class="panel fleet readings" aria-labelledby="fleet-heading">
        <h2 id="fleet-heading">${t("page.fleet")}<${AsOf} since=${readingsAsOf.value} /></h2>
        <${Fleet} />
      </section>
    </div>
  `;
}
