// The console: one page, its views by hash.
import { render } from "../vendor/preact.js";
import { effect } from "../vendor/signals.js";
import { startAttention } from "./attention.js";
import { startClock } from "./clock.js";
import { Problem } from "./http.js";
import { html } from "./html.js";
import { readingsAsOf, recordsAsOf, start } from "./live.js";
import { route } from "./router.js";
import { loadSession, staySignedIn } from "./session.js";
import { preferred, speak, t } from "./words.js";
import { Incident } from "./views/incident.js";
import { Lift } from "./views/lift.js";
import { Overview } from "./views/overview.js";
import { TopBar } from "./views/top_bar.js";

const PAGES = { "": Overview, lift: Lift, incident: Incident };
const RETRY_MS = 2000;

function Console() {
  const { page, id } = route.value;
  const Page = PAGES[page] ?? Overview;
  return html`
    <a class="skip" href="#content" onClick=${skip}>${t("page.skip")}</a>
    <${TopBar} />
    <main id="content" tabindex="-1"><${Page} key=${id} id=${id} /></main>
  `;
}

// The address is the page's: a jump within it moves the focus only.
function skip(event) {
  event.preventDefault();
  document.getElementById("content").focus();
}

/** Come back to the page that somebody was sent to sign in from. */
function comeBack() {
  const back = sessionStorage.getItem("tiwei.back");
  sessionStorage.removeItem("tiwei.back");
  if (back && !location.hash) location.hash = back;
}

async function begin() {
  await speak(preferred());
  await loadSession();
  comeBack();
  startClock();
  start();
  startAttention();
  staySignedIn();
  effect(() => {
    document.body.classList.toggle("old-records", recordsAsOf.value !== null);
    document.body.classList.toggle("old-readings", readingsAsOf.value !== null);
  });
  render(html`<${Console} />`, document.getElementById("console"));
}

function beginUntilAnswered() {
  begin().catch((error) => {
    // Signed out: the sign-in page is on its way. Anything else: the server is not there yet.
    if (!(error instanceof Problem && error.status === 401)) setTimeout(beginUntilAnswered, RETRY_MS);
  });
}

beginUntilAnswered();
