// The floors of one lift and how high they are. Storeys differ (an entrance hall, garages) and the register has one
// usual height: the levels themselves are learnt from samples of the car standing at them.

/** Between two floors a sample names the nearer one. */
const NEARER = 0.5;

export class Levels {
  #bottom;
  #top;
  #storey;
  #zero = false;
  // By place (0: the bottom floor): the height, m above the bottom floor, and whether a car stood there.
  #known = new Map([[0, { metres: 0, exact: true }]]);

  constructor({ bottom_floor: bottom, top_floor: top, floor_height_m: storey }) {
    this.#bottom = bottom ?? top ?? 1;
    this.#top = Math.max(top ?? this.#bottom, this.#bottom);
    this.#storey = storey || null;
  }

  /** Floor numbers, the bottom one first. Houses with cellars count -1, 1: no floor 0 but where a sample names it. */
  get floors() {
    const found = [];
    for (let floor = this.#bottom; floor <= this.#top; floor += 1) {
      if (floor !== 0 || this.#zero || this.#bottom >= 0 || this.#top <= 0) found.push(floor);
    }
    return found;
  }

  /** The usual height of a storey, m; null where the register has none. */
  get storey() {
    return this.#storey;
  }

  /** The place of a floor; null for one that the lift does not have. */
  placeOf(floor) {
    const place = floor === null ? -1 : this.floors.indexOf(floor);
    return place < 0 ? null : place;
  }

  /** Take in what a sample tells about its floor. */
  learn(state) {
    if (state.car_position === 0) this.#zero = true;
    const place = this.placeOf(state.car_position);
    if (place === null || state.position_m === null || state.door_zone !== 1) return;
    const exact = state.car_status === 0;
    if (exact || !this.#known.get(place)?.exact) this.#known.set(place, { metres: state.position_m, exact });
  }

  /** The place at a height in m, with fractions between floors; null where no storey's height is known. */
  placeAt(metres) {
    const known = [...this.#known].map(([place, one]) => [place, one.metres]).sort((a, b) => a[0] - b[0]);
    const above = known.findIndex(([, level]) => level > metres);
    const [low, high] = above < 0 ? [known.at(-1)] : above === 0 ? [known[0]] : [known[above - 1], known[above]];
    if (high) return low[0] + ((metres - low[1]) / (high[1] - low[1])) * (high[0] - low[0]);
    return this.#storey ? low[0] + (metres - low[1]) / this.#storey : null;
  }

  /** Where a sample puts the car, in places; null where nothing tells it. */
  placeOfCar(state) {
    const floor = this.placeOf(state.car_position);
    if (state.position_m === null || (state.car_status === 0 && state.door_zone === 1 && floor !== null)) return floor;
    const measured = this.placeAt(state.position_m);
    if (measured === null || floor === null) return measured ?? floor;
    return Math.min(Math.max(measured, floor - NEARER), floor + NEARER);
  }

  /** How far above (> 0) its floor's level the car stands, m; null where that level is not known exactly. */
  metresOff(state) {
    const level = this.#known.get(this.placeOf(state.car_position));
    return level?.exact && state.position_m !== null ? state.position_m - level.metres : null;
  }
}
