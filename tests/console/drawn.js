// Where a car is drawn some ms after each of its samples; see levels.json.
async ({ lift, samples, looks }) => {
  const { Levels } = await import("/assets/app/levels.js");
  const { Track } = await import("/assets/app/motion.js");
  const levels = new Levels(lift);
  const track = new Track(levels);
  const blank = { car_position: null, position_m: null, speed_mps: null, car_status: 0, car_direction: 0, door_zone: 1 };
  let at = 0;
  for (const sample of samples) {
    const { at: when = 0, ...state } = { ...blank, ...sample };
    levels.learn(state);
    track.add(state, when);
    at = when;
  }
  return looks.map((ms) => track.known(at + ms));
}
