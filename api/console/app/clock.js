// The centre's clock and its zone. The browser's own clock may be wrong: it is never shown.
import { signal } from "../vendor/signals.js";
import { t, tag } from "./words.js";

const HEARD = 12;
const offsets = [];
let offset = 0;

/** The centre's zone (IANA); all times are shown in it. */
export const zone = signal("Asia/Shanghai");
/** Now by the centre's clock, ms since 1970 UTC, anew every second. */
export const second = signal(Date.now());

/** Now by the centre's clock, ms since 1970 UTC. */
export function centreNow() {
  return Date.now() + offset;
}

/** The server said its time: of the last few, the one that travelled least tells the offset best. */
export function heardTime(at) {
  offsets.push(Date.parse(at) - Date.now());
  if (offsets.length > HEARD) offsets.shift();
  offset = Math.max(...offsets);
}

/** Let `second` tick, on the second. */
export function startClock() {
  second.value = centreNow();
  setTimeout(startClock, 1000 - (centreNow() % 1000) + 5);
}

const formats = new Map();

function format(kind, options) {
  const key = `${kind} ${tag()} ${zone.value}`;
  let made = formats.get(key);
  if (!made) {
    made = new Intl.DateTimeFormat(tag(), { timeZone: zone.value, hourCycle: "h23", ...options });
    formats.set(key, made);
  }
  return made;
}

const TIME = { hour: "2-digit", minute: "2-digit", second: "2-digit" };
const DAY = { month: "2-digit", day: "2-digit" };

/** 08:00:00 of today, with its day before it where it is another; an empty text for null. */
export function clock(at, now = second.peek()) {
  if (at === null || at === undefined) return "";
  const ms = typeof at === "number" ? at : Date.parse(at);
  const day = format("day", DAY);
  const time = format("time", TIME).format(ms);
  return day.format(ms) === day.format(now) ? time : `${day.format(ms)} ${time}`;
}

/** The day with its year, and the day of the week. */
export function today(ms) {
  return format("today", { year: "numeric", month: "long", day: "numeric", weekday: "short" }).format(ms);
}

/** How long, in words: the two largest units that are not nothing. */
export function howLong(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return t("age.seconds", { s });
  if (s < 3600) return t("age.minutes", { m: Math.floor(s / 60), s: String(s % 60).padStart(2, "0") });
  const m = String(Math.floor((s % 3600) / 60)).padStart(2, "0");
  if (s < 86_400) return t("age.hours", { h: Math.floor(s / 3600), m });
  return t("age.days", { d: Math.floor(s / 86_400), h: Math.floor((s % 86_400) / 3600) });
}
