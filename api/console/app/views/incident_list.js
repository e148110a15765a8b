// Open incidents, gravest first, then the oldest.
import { unseen } from "../attention.js";
import { html } from "../html.js";
import { incidentAt } from "../router.js";
import { incidents } from "../store.js";
import { named, t } from "../words.js";
import { Age, Severity } from "./parts.js";

function Row({ one, fresh }) {
  return html`<li class="${one.severity} ${fresh ? "fresh" : ""}" data-incident=${one.incident_id}>
    <a href=${incidentAt(one.incident_id)}>
      <${Severity} of=${one.severity} />
      <span class="what">
        <b>${named("incident_kind", one.kind)}</b>
        ${one.open_faults.map((fault) => html`<small key=${fault.fault_id}>${named("fault", fault.kind)}</small>`)}
        ${one.open_faults.length === 0 && html`<small class="over">${t("incident.faults_over")}</small>`}
      </span>
      <span class="where">${one.address ?? one.equipment_id}</span>
      <span class="code">${one.rescue_code ?? ""}</span>
      <span class="status ${one.status}">${named("status", one.status)}</span>
      <${Age} since=${one.since_at} />
    </a>
  </li>`;
}

export function IncidentList() {
  const all = incidents.value;
  if (all.length === 0) return html`<p class="empty">${t("incident.none_open")}</p>`;
  const fresh = new Set(unseen.value.map((one) => one.incident_id));
  return html`<ol class="incident-list">
    ${all.map((one) => html`<${Row} key=${one.incident_id} one=${one} fresh=${fresh.has(one.incident_id)} />`)}
  </ol>`;
}
