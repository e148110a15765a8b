// The latest faults as they are raised and cleared, newest first.
import { html } from "../html.js";
import { liftAt } from "../router.js";
import { equipmentOf, stream } from "../store.js";
import { named, t } from "../words.js";
import { addressOf, At } from "./parts.js";

export function FaultStream() {
  if (stream.value.length === 0) return html`<p class="empty">${t("stream.none")}</p>`;
  return html`<ol class="fault-stream">
    ${stream.value.map(
      ({ state, at, fault }) => html`<li key=${`${fault.fault_id} ${state}`} class=${state}>
        <a href=${liftAt(fault.equipment_id)}>
          <${At} at=${at} />
          <span class="change">${named("fault_state", state)}</span>
          <b>${named("fault", fault.kind)}</b>
          <span class="where">${addressOf(equipmentOf(fault.equipment_id)) || fault.equipment_id}</span>
        </a>
      </li>`,
    )}
  </ol>`;
}
