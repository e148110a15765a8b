// New critical incidents ask for a person: a line over every page, the title, and a sound where somebody wants it.
import { computed, effect, signal } from "../vendor/signals.js";
import { loaded, incidents } from "./store.js";
import { t } from "./words.js";

const REMEMBERED = "tiwei.sound";
const TONES_HZ = [880, 660, 880];
const TONE_S = 0.18;

/** Whether a new critical incident sounds; off until somebody switches it on. */
export const sound = signal(localStorage.getItem(REMEMBERED) === "on");
const acknowledged = signal(new Set());
let audio = null;
let known = null;

/** Critical incidents that came since this page was opened and that nobody looked at here. */
export const unseen = computed(() =>
  incidents.value.filter((one) => one.severity === "critical" && !acknowledged.value.has(one.incident_id)),
);

/** Somebody looked at it. */
export function acknowledge(id) {
  acknowledged.value = new Set([...acknowledged.peek(), id]);
}

/** Switch the sound; the click that does it is what lets a browser play. */
export function switchSound() {
  sound.value = !sound.peek();
  localStorage.setItem(REMEMBERED, sound.peek() ? "on" : "off");
  if (sound.peek()) {
    unlock();
    ring();
  }
}

function unlock() {
  audio ??= new AudioContext();
  if (audio.state === "suspended") audio.resume();
}

function ring() {
  if (!sound.peek() || audio?.state !== "running") return;
  TONES_HZ.forEach((hz, place) => {
    const tone = audio.createOscillator();
    const volume = audio.createGain();
    const at = audio.currentTime + place * TONE_S;
    tone.frequency.value = hz;
    volume.gain.setValueAtTime(0.15, at);
    volume.gain.exponentialRampToValueAtTime(0.001, at + TONE_S);
    tone.connect(volume).connect(audio.destination);
    tone.start(at);
    tone.stop(at + TONE_S);
  });
}

/** Begin; once a page. What is open already when the page comes is no news. */
export function startAttention() {
  // After a reload the browser wants a gesture again before it plays.
  const gesture = () => sound.peek() && unlock();
  addEventListener("pointerdown", gesture);
  addEventListener("keydown", gesture);
  effect(() => {
    const critical = incidents.value.filter((one) => one.severity === "critical").map((one) => one.incident_id);
    if (!loaded.value) return;
    const fresh = known && critical.filter((id) => !known.has(id));
    if (known === null) acknowledged.value = new Set(critical);
    known = new Set([...(known ?? []), ...critical]);
    if (fresh?.length) ring();
  });
  effect(() => {
    const count = unseen.value.length;
    document.title = count ? `(${count}) ${t("attention.title")}` : t("product.title");
  });
}
