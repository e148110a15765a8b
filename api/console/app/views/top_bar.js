// Over every page: what the centre is, whether it is at work, who works here.
import { acknowledge, sound, switchSound, unseen } from "../attention.js";
import { clock, second, today } from "../clock.js";
import { centre, heardAt, link } from "../connection.js";
import { html } from "../html.js";
import { readingsAsOf, recordsAsOf } from "../live.js";
import { incidentAt } from "../router.js";
import { session, signOut } from "../session.js";
import { loaded } from "../store.js";
import { language, named, speak, t } from "../words.js";

const OTHER = { zh: "en", en: "zh" };

/** What is wrong with our view of the centre: [class, text], worst first. */
function condition() {
  if (link.value === "lost") {
    const time = heardAt.value && clock(heardAt.value);
    return ["bad", time ? t("centre.lost", { time }) : t("centre.unreachable")];
  }
  if (link.value === "connecting" || !loaded.value) return ["waiting", t("centre.connecting")];
  const told = centre.value;
  if (told?.database === "down") return ["bad", t("centre.database_down", { time: clock(recordsAsOf.value) })];
  if (told?.monitor === "down") {
    const since = readingsAsOf.value;
    return ["bad", since ? t("centre.monitor_down", { time: clock(since) }) : t("centre.monitor_never")];
  }
  return ["good", t("centre.good")];
}

function CentreState() {
  const [kind, text] = condition();
  return html`<div class="centre-state ${kind}" role="status"><i aria-hidden="true"></i>${text}</div>`;
}

function Clock() {
  return html`<div class="clock">
    <span class="day">${today(second.value)}</span>
    <time>${clock(second.value)}</time>
  </div>`;
}

function Who() {
  const { name, role } = session.value;
  return html`<div class="who"><b>${name}</b> <span>${named("role", role)}</span></div>`;
}

export function TopBar() {
  const other = OTHER[language.value];
  return html`
    <header class="top-bar">
      <a class="brand" href="#/">
        <img src="/assets/favicon.svg" alt="" width="26" height="26" />
        <b>${t("product.name")}</b>
        <span>${t("product.line")}</span>
      </a>
      <${CentreState} />
      <${Clock} />
      <${Who} />
      <nav class="tools" aria-label=${t("page.tools")}>
        <button type="button" aria-pressed=${sound.value} onClick=${switchSound}>
          ${t(sound.value ? "sound.on" : "sound.off")}
        </button>
        <button type="button" lang=${other} onClick=${() => speak(other)}>${t("language.other")}</button>
        <button type="button" onClick=${signOut}>${t("session.sign_out")}</button>
      </nav>
    </header>
    <${News} />
  `;
}

/** So many at once; the list of incidents has them all. */
const NEWS = 3;

/** New critical incidents, until somebody opens or puts aside each. */
function News() {
  const more = unseen.value.length - NEWS;
  return html`<div class="news" role="alert">
    ${unseen.value.slice(0, NEWS).map(
      (one) => html`<p key=${one.incident_id}>
        <b><i aria-hidden="true">▲</i> ${t("attention.new")}</b> <b>${named("incident_kind", one.kind)}</b>
        <span>${one.address ?? one.equipment_id}</span>
        ${one.rescue_code && html`<span>${t("fact.rescue_code")} <b>${one.rescue_code}</b></span>`}
        <a class="button" href=${incidentAt(one.incident_id)}>${t("attention.open")}</a>
        <button type="button" onClick=${() => acknowledge(one.incident_id)}>${t("attention.seen")}</button>
      </p>`,
    )}
    ${more > 0 && html`<p><a href="#/">${t("attention.more", { count: more })}</a></p>`}
  </div>`;
}
