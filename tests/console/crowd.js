// Puts a fleet of so many lifts in the page's store, lets all of them change, and tells how long a frame took.
async (count) => {
  const store = await import("/assets/app/store.js");
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const state = { silent: false, service_mode: 1, car_status: 0, car_direction: 0, received_at: new Date().toISOString() };
  const equipment = Array.from({ length: count }, (_, n) => ({
    equipment_id: `crowd-${n}`, kind: "lift", place: { estate: `E${n % 100}` }, open_faults: [], state, incident_id: null,
  }));
  store.begin({ incidents: [], faults: [], equipment });
  store.finish();
  for (let n = 0; n < 5; n += 1) await frame();
  let longest = 0;
  for (let turn = 0; turn < 10; turn += 1) {
    const began = performance.now();
    const moved = { ...state, car_status: 1, car_direction: 1 + (turn % 2) };
    store.onStates(equipment.map((one) => ({ equipment_id: one.equipment_id, ...moved })));
    await frame();
    await frame();
    longest = Math.max(longest, performance.now() - began);
  }
  return {
    cells: document.querySelectorAll(".cell[data-id^=crowd]").length,
    moving: document.querySelectorAll(".cell.down[data-id^=crowd]").length,
    total: Number(document.querySelector("[data-facet=total] dd").textContent),
    longest_frame_ms: longest,
  };
}
