// Small pieces that several views are made of.
import { clock, howLong, second } from "../clock.js";
import { html } from "../html.js";
import { named, t } from "../words.js";

const SEVERITY_SIGNS = { critical: "▲", high: "◆", medium: "●", low: "○" };

/** How grave, in colour, sign and word. */
export function Severity({ of }) {
  const sign = html`<i aria-hidden="true">${SEVERITY_SIGNS[of]}</i>`;
  return html`<span class="severity ${of}">${sign}${named("severity", of)}</span>`;
}

/** An age that counts on; `until` given: a length of time that is over. */
export function Age({ since, until = null }) {
  const end = until === null ? second.value : Date.parse(until);
  return html`<time class="age" dateTime=${since}>${howLong(end - Date.parse(since))}</time>`;
}

/** An instant on the centre's clock. */
export function At({ at }) {
  return html`<time class="at" dateTime=${at}>${clock(at, second.value)}</time>`;
}

/** What stands in a heading while its content may be old: since when. `since`: ms, or null for the present. */
export function AsOf({ since }) {
  if (since === null) return null;
  return html`<span class="as-of">${since ? t("state.as_of", { time: clock(since) }) : t("state.never_heard")}</span>`;
}

/** Where an equipment stands: its address, else its number. */
export function addressOf(one) {
  return one?.place?.address ?? one?.address ?? one?.equipment_id ?? "";
}

/** A term and its value; unknown (null) is said as such. */
export function Fact({ term, children }) {
  const known = children !== null && children !== undefined && children !== "";
  return html`<div class="fact">
    <dt>${term}</dt>
    <dd class=${known ? "" : "unknown"}>${known ? children : t("value.unknown")}</dd>
  </div>`;
}
