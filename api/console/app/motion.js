// Where a car is drawn between two samples. Pure: every instant is an argument, ms of the centre's clock.

/** A sample tells of this long after it at most, ms; then the car stands where that got it to. */
export const AHEAD_MS = 1000;
/** How fast what is drawn follows what is known, ms: with a measured height, and with floors alone. */
const EASE_MS = 140;
const EASE_FLOORS_MS = 600;
/** Above the top and below the bottom floor, in floors: a car can overrun, but stays in the picture. */
const BEYOND = 0.45;
/** A jump of more floors than this is no movement that was missed: drawn at once. */
const JUMP = 4;

const SIGN = { 1: 1, 2: -1 };

/** The drawn car of one lift; places as in levels.js: 0 is the bottom floor. */
export class Track {
  #levels;
  #last = null;
  #drawn = null;
  #drawnAt = 0;

  constructor(levels) {
    this.#levels = levels;
  }

  /** A sample, received at `at` (ms). */
  add(state, at) {
    this.#last = { state, at };
  }

  /** Where the last sample puts the car at `now`; null where nothing tells. */
  known(now) {
    const place = this.#last && this.#levels.placeOfCar(this.#last.state);
    if (place === null) return null;
    const seconds = Math.min(Math.max(now - this.#last.at, 0), AHEAD_MS) / 1000;
    const there = place + this.#gone(seconds);
    return Math.min(Math.max(there, -BEYOND), this.#levels.floors.length - 1 + BEYOND);
  }

  /** How far it went on in so many seconds; without a measured height and speed, not at all. */
  #gone(seconds) {
    const { car_status: moves, car_direction: way, speed_mps: speed, position_m: metres } = this.#last.state;
    if (moves !== 1 || !speed || metres === null || !SIGN[way]) return 0;
    const from = this.#levels.placeAt(metres);
    return from === null ? 0 : this.#levels.placeAt(metres + SIGN[way] * speed * seconds) - from;
  }

  /** Where to draw it at `now`: what is known, followed smoothly. */
  drawn(now) {
    const target = this.known(now);
    if (target === null) return null;
    const far = this.#drawn === null || Math.abs(target - this.#drawn) > JUMP;
    const ease = this.#last.state.position_m === null ? EASE_FLOORS_MS : EASE_MS;
    const part = far ? 1 : 1 - Math.exp(-Math.max(now - this.#drawnAt, 0) / ease);
    this.#drawn = far ? target : this.#drawn + (target - this.#drawn) * part;
    this.#drawnAt = now;
    return this.#drawn;
  }
}
