// Who is signed in, and what that role may do here.
import { signal } from "../vendor/signals.js";
import { zone } from "./clock.js";
import { ask, holdToken, toSignIn } from "./http.js";

/** {name, role, division, firm_id, expires_at, timezone} of who is signed in; null before that is known. */
export const session = signal(null);

/** Ask who we are; leaves for the sign-in page where nobody is. */
export async function loadSession() {
  const found = await ask("session");
  holdToken(found.csrf);
  if (found.timezone) zone.value = found.timezone;
  session.value = found;
}

const STAY_MS = 300_000;

/** Watching is work: while the page is in sight the sign-in is not idle. Its whole length stays what it is. */
export function staySignedIn() {
  setInterval(() => {
    if (!document.hidden) ask("session").catch(() => {});
  }, STAY_MS);
}

export async function signOut() {
  await ask("session", { method: "DELETE" }).catch(() => {});
  sessionStorage.removeItem("tiwei.back");
  toSignIn();
}
