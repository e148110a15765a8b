// What the one who is signed in can do about an incident. Nothing is taken for done before the server says so.
import { useLayoutEffect, useRef, useState } from "../../vendor/preact-hooks.js";
import { html } from "../html.js";
import { ask } from "../http.js";
import { recordsAsOf } from "../live.js";
import { session } from "../session.js";
import { onIncident } from "../store.js";
import { needsText, possible } from "../steps.js";
import { has, named, t } from "../words.js";

const CONFLICT = 409;
/** What belongs to a step besides its text: [name in the API, type of the input, how it is sent]. */
const DETAILS = { dispatch: ["sent", "text", (text) => text.trim()], free: ["persons_freed", "number", Number] };

/** Why the server refused: [text, whether the incident changed meanwhile]. */
function refusal(problem, incident) {
  if (problem.status === 0) return t("action.unreachable");
  const present = problem.body.incident;
  if (problem.status === CONFLICT && present && present.version !== incident.version) {
    return t("action.changed", { before: named("status", incident.status), now: named("status", present.status) });
  }
  const slug = String(problem.body.type ?? "").split(":").at(-1);
  const why = has(`problem.${slug}`) ? t(`problem.${slug}`) : (problem.body.detail ?? problem.message);
  return t("action.refused", { why });
}

function Step({ step, incident, chosen, onChoose }) {
  return html`<button
    type="button"
    class="step ${step} ${chosen ? "chosen" : ""}"
    aria-pressed=${chosen}
    disabled=${recordsAsOf.value !== null}
    onClick=${onChoose}
  >
    ${t(`step.${step}`)}${needsText(incident, step) && html`<span aria-hidden="true">…</span>`}
  </button>`;
}

function Form({ incident, step, onSent, onRefused, onCancel }) {
  const [text, setText] = useState("");
  const [extra, setExtra] = useState("");
  const [busy, setBusy] = useState(false);
  const form = useRef(null);
  const required = needsText(incident, step);
  // Before anything can be typed: later it would take the focus away from somebody who is quick.
  useLayoutEffect(() => form.current.querySelector("input, textarea").focus(), []);
  const send = async (event) => {
    event.preventDefault();
    setBusy(true);
    const [name, , read] = DETAILS[step] ?? [];
    const detail = name && extra.trim() ? { [name]: read(extra) } : {};
    const body = { action: step, version: incident.version, ...detail, ...(text.trim() && { text: text.trim() }) };
    const path = `incidents/${encodeURIComponent(incident.incident_id)}/actions`;
    await ask(path, { method: "POST", body }).then(onSent, onRefused);
    setBusy(false);
  };
  const [name, type] = DETAILS[step] ?? [];
  const barred = busy || recordsAsOf.value !== null || (required && !text.trim());
  return html`<form class="action-form" ref=${form} onSubmit=${send}>
    ${name && html`<label for="action-detail">${t(`action.${name}`)}</label>
    <input
      id="action-detail"
      type=${type}
      min="0"
      max="1000"
      maxlength="200"
      value=${extra}
      onInput=${(event) => setExtra(event.target.value)}
    />`}
    <label for="action-text">${t(required ? `action.why_${step}` : "action.remark")}</label>
    <textarea
      id="action-text"
      rows="3"
      maxlength="2000"
      required=${required}
      value=${text}
      onInput=${(event) => setText(event.target.value)}
    ></textarea>
    <div>
      <button type="submit" class="send" disabled=${barred}>${t("action.send", { step: t(`step.${step}`) })}</button>
      <button type="button" onClick=${onCancel}>${t("action.cancel")}</button>
    </div>
  </form>`;
}

export function Actions({ incident, onDone }) {
  const [step, setStep] = useState(null);
  const [refused, setRefused] = useState(null);
  const steps = possible(incident, session.value.role);
  if (steps.length === 0) return null;
  const sent = (present) => {
    setStep(null);
    setRefused(null);
    onIncident(present);
    onDone();
  };
  const failed = (problem) => {
    setRefused(refusal(problem, incident));
    onDone();
  };
  return html`<section class="panel actions" aria-labelledby="actions-heading">
    <h2 id="actions-heading">${t("incident.actions")}</h2>
    ${refused && html`<p class="refused" role="alert">${refused}</p>`}
    <div class="steps">
      ${steps.map((one) => {
        const choose = () => setStep(one);
        return html`<${Step} key=${one} step=${one} incident=${incident} chosen=${step === one} onChoose=${choose} />`;
      })}
    </div>
    ${steps.includes(step) &&
    html`<${Form}
      key=${step}
      incident=${incident}
      step=${step}
      onSent=${sent}
      onRefused=${failed}
      onCancel=${() => setStep(null)}
    />`}
  </section>`;
}
