"""A person at the console: what happens is seen, what is old is said to be old, and every part may die in between."""

from __future__ import annotations

import json
import os
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.async_api import Page, Route, expect

from api.roles import ACTIONS, COLUMNS
from monitor.domain.incident import TRANSITIONS, Status
from monitor.domain.respond import BY_PEOPLE
from tests.console.conftest import Operated
from tests.console.operated import OF_OUTAGES, Lift, Watched, open_page, sign_in
from tests.waiting import eventually, eventually_told

pytestmark = [pytest.mark.chromium, pytest.mark.asyncio(loop_scope="module")]

#: A page has to say so within this, ms.
SAYS_SO_MS = 5_000
#: A part that was started again, and the page with it, ms.
BACK_MS = 20_000
GOOD = "监测正常"


async def state_says(page: Page, text: str, milliseconds: float = SAYS_SO_MS) -> None:
    await expect(page.locator(".centre-state")).to_contain_text(text, timeout=milliseconds)


async def place(page: Page) -> float:
    """Where the car is drawn, in floors above the bottom one."""
    return float(await page.get_attribute(".near-shaft g[data-place]", "data-place") or "nan")


async def open_lift(page: Page, lift: Lift) -> None:
    await page.evaluate("id => { location.hash = `#/lift/${id}`; }", lift.equipment_id)
    await page.wait_for_selector(".near-shaft g[data-place]")


async def go_home(page: Page) -> None:
    await page.evaluate("location.hash = '#/'")
    await page.wait_for_selector(".cell")


async def test_signing_in_in_both_languages(operated: Operated, watched: Watched, pictures: Path) -> None:
    page = watched.page
    operated.town.lifts[0].quiet = True  # it falls silent now; a later test looks at it
    await page.goto(operated.console.url)
    await expect(page).to_have_url(f"{operated.console.url}/sign-in")
    await page.click("#language")
    await expect(page.locator("form button")).to_have_text("Sign in")
    await page.click("#language")
    await expect(page.locator("form button")).to_have_text("登录")
    await page.screenshot(path=pictures / "sign-in.png")
    await page.fill("#name", "wang")
    await page.fill("#password", "not the password")
    await page.click("form button")
    await expect(page.locator("#said")).to_have_text("账号或密码不正确")
    watched.clean("401")
    await sign_in(watched, operated.console.url)
    await expect(page.locator(".who")).to_contain_text("值班员")
    await expect(page.locator("[data-facet=total] dd")).to_have_text(str(len(operated.town.lifts)))
    await state_says(page, GOOD)
    await page.click(".tools button:first-child")
    await expect(page.locator(".tools button:first-child")).to_have_text("声音：开")
    await page.click(".tools button:last-child")
    await expect(page).to_have_url(f"{operated.console.url}/sign-in")


async def test_an_entrapment_appears_and_its_lift_is_shown(
    operated: Operated, watched: Watched, pictures: Path
) -> None:
    lift, other = operated.town.lifts[3], operated.town.lifts[4]
    page = await sign_in(watched, operated.console.url)
    await expect(page.locator(".incident-list")).to_have_count(0)
    lift.target = 9
    await eventually(lambda: lift.height_m > 5)
    operated.town.trap(lift)
    row = page.locator(".incident-list li.critical")
    await expect(row).to_contain_text("困人", timeout=SAYS_SO_MS)
    await expect(row).to_contain_text(lift.rescue_code)
    await expect(page.locator(".news")).to_contain_text(lift.rescue_code)
    await expect(page).to_have_title("(1) 新的紧急事件")
    await expect(page.locator(f".cell[data-id='{lift.equipment_id}']")).to_have_class("cell urgent")
    await expect(page.locator(".fault-stream")).to_contain_text("轿厢报警按钮")
    await page.screenshot(path=pictures / "overview-zh.png")
    await keep_for_readme(page)
    await page.click(f".cell[data-id='{lift.equipment_id}']")
    await expect(page.locator(".indicator")).to_contain_text("非平层")
    await expect(page.locator(".near-shaft .passenger")).to_be_visible()
    await expect(page.locator(".to-incident")).to_contain_text("困人")
    await page.screenshot(path=pictures / "lift-zh.png", full_page=True)

    other.target, other.passenger = 16, 1
    await open_lift(page, other)
    await expect(page.locator(".indicator i")).to_have_text("▲", timeout=SAYS_SO_MS)
    seen = [await place(page)]
    while seen[-1] - seen[0] < 1.5:
        await eventually_told(lambda: moved(page, seen))
    # Between two samples, a second and a storey apart, the car is drawn in many places: it moves, it does not jump.
    assert max(b - a for a, b in pairwise(seen)) < 0.5
    await page.click(".tools button:nth-child(2)")
    await expect(page.locator("h2").first).to_have_text("Shaft")
    await page.screenshot(path=pictures / "lift-en.png", full_page=True)
    await go_home(page)
    await page.screenshot(path=pictures / "overview-en.png")
    await expect(page.locator(".incident-list li.critical")).to_contain_text("Entrapment")
    watched.clean()


async def moved(page: Page, seen: list[float]) -> bool:
    now = await place(page)
    assert now >= seen[-1] - 0.05, "a car that goes up is never drawn going down"
    if now > seen[-1]:
        seen.append(now)
        return True
    return False


async def keep_for_readme(page: Page) -> None:
    """The picture of the README, where somebody asks for it: TIWEI_TEST_KEEP_PICTURE names the file."""
    if wanted := os.environ.get("TIWEI_TEST_KEEP_PICTURE"):
        Path(wanted).parent.mkdir(parents=True, exist_ok=True)
        await page.screenshot(path=wanted)


async def test_an_incident_is_worked_on_by_two_people(operated: Operated, watched: Watched, pictures: Path) -> None:
    page = await sign_in(watched, operated.console.url)
    await page.click(".incident-list li.critical a")
    await expect(page.locator(".timeline li")).to_have_count(2)
    await expect(page.locator(".timeline")).to_contain_text("设备时间")
    second = await open_page(page.context, [])
    await second.page.goto(page.url)
    await second.page.click(".step.note")
    await second.page.fill("textarea", "已电话安抚，轿厢内 1 人")
    await page.click(".step.dispatch")
    await page.fill("#action-detail", "通达维保 A 组")
    # The first is quicker; the second had decided on what is not so any more.
    await second.page.route("**/actions", lambda route: hold(route, page))
    await second.page.click(".action-form .send")
    await expect(second.page.locator(".refused")).to_contain_text("待处置 → 已派单")
    await expect(second.page.locator(".timeline li").first).to_contain_text("派往 通达维保 A 组")
    await second.page.unroute("**/actions")
    await second.page.click(".action-form .send")
    await expect(page.locator(".timeline li").first).to_contain_text("已电话安抚")
    await page.screenshot(path=pictures / "incident-zh.png", full_page=True)
    await page.click(".step.false_alarm")
    await expect(page.locator(".action-form .send")).to_be_disabled()
    watched.clean()
    second.clean("409")
    await second.page.close()


async def hold(route: Route, first: Page) -> None:
    """Let the first person's action go before this request."""
    await first.click(".action-form .send")
    await expect(first.locator(".timeline li")).to_have_count(3)
    await route.continue_()


async def test_who_may_only_look_has_no_actions(operated: Operated, watched: Watched) -> None:
    page = await sign_in(watched, operated.console.url, "jian")
    await page.click(".incident-list li.critical a")
    await page.wait_for_selector(".timeline li")
    await expect(page.locator(".actions")).to_have_count(0)
    watched.clean()


async def test_a_silent_lift_is_unknown_since_then(operated: Operated, watched: Watched, pictures: Path) -> None:
    lift = operated.town.lifts[0]
    page = await sign_in(watched, operated.console.url)
    cell = page.locator(f".cell[data-id='{lift.equipment_id}']")
    await expect(cell).to_have_class("cell silent", timeout=BACK_MS)
    await expect(page.locator("[data-facet=silent] dd")).to_have_text("1")
    await open_lift(page, lift)
    await expect(page.locator(".freshness")).to_contain_text("起未知")
    await expect(page.locator(".indicator span")).to_have_text("最后已知位置")
    await page.screenshot(path=pictures / "silent-zh.png")
    watched.clean()


async def test_a_dead_monitor_is_told_within_five_seconds(operated: Operated, watched: Watched, pictures: Path) -> None:
    page = await sign_in(watched, operated.console.url)
    operated.centre.kill("monitor")
    await state_says(page, "监控进程已停止")
    await expect(page.locator(".fleet .as-of")).to_contain_text("截至")
    # What people do about incidents goes on: it is not old.
    await expect(page.locator(".incidents .as-of")).to_have_count(0)
    await page.screenshot(path=pictures / "monitor-down-zh.png")
    await operated.centre.restart("monitor")
    await state_says(page, GOOD, BACK_MS)
    await expect(page.locator(".as-of")).to_have_count(0)
    watched.clean()


async def test_after_the_api_was_away_the_page_shows_what_happened_meanwhile(
    operated: Operated, watched: Watched
) -> None:
    lift = operated.town.lifts[7]
    page = await sign_in(watched, operated.console.url)
    await page.evaluate("window.same = true")
    operated.console.kill()
    await state_says(page, "连接中断")
    await expect(page.locator(".incidents .as-of")).to_contain_text("截至")
    operated.town.trap(lift)
    await operated.console.start()
    await state_says(page, GOOD, BACK_MS)
    await expect(page.locator(".incident-list")).to_contain_text(lift.rescue_code, timeout=SAYS_SO_MS)
    await expect(page.locator(".news")).to_contain_text(lift.rescue_code)
    assert await page.evaluate("window.same"), "the page recovered by itself, it was not loaded anew"
    watched.clean(*OF_OUTAGES)


async def test_a_server_that_only_hangs_is_noticed(operated: Operated, watched: Watched) -> None:
    page = await sign_in(watched, operated.console.url)
    process = operated.console.process
    assert process is not None
    os.kill(process.pid, 19)  # SIGSTOP: every connection stays open
    await state_says(page, "连接中断", SAYS_SO_MS + 500)
    os.kill(process.pid, 18)
    await state_says(page, GOOD, BACK_MS)
    watched.clean(*OF_OUTAGES)


async def test_after_broker_and_database_were_away_the_page_goes_on(operated: Operated, watched: Watched) -> None:
    lift = operated.town.lifts[9]
    page = await sign_in(watched, operated.console.url)
    operated.centre.kill("database")
    await state_says(page, "数据库不可用")
    await expect(page.locator(".incidents .as-of")).to_contain_text("截至")
    operated.centre.kill("broker")
    await operated.centre.restart("database")
    await operated.centre.restart("broker")
    await state_says(page, GOOD, BACK_MS)
    await open_lift(page, lift)
    lift.target = 12
    await expect(page.locator(".indicator i")).to_have_text("▲", timeout=BACK_MS)
    watched.clean(*OF_OUTAGES)


async def test_who_is_signed_out_elsewhere_lands_on_the_sign_in_page(operated: Operated, watched: Watched) -> None:
    page = await sign_in(watched, operated.console.url)
    lift = operated.town.lifts[1]
    await open_lift(page, lift)
    here = page.url
    await operated.centre.rows("DELETE FROM tiwei.session")
    await page.evaluate("location.hash = '#/incident/00000000-0000-0000-0000-000000000000'")
    await expect(page).to_have_url(f"{operated.console.url}/sign-in")
    assert here != page.url
    watched.clean("401", *OF_OUTAGES)


async def test_whose_sign_in_ends_while_watching_lands_on_the_sign_in_page(
    operated: Operated, watched: Watched
) -> None:
    page = await sign_in(watched, operated.console.url)
    await open_lift(page, operated.town.lifts[1])
    here = page.url
    another = await page.context.new_page()
    await another.route_web_socket("**/live*", lambda socket: socket.close(code=4401, reason="the sign-in is over"))
    await another.goto(here)
    await expect(another).to_have_url(f"{operated.console.url}/sign-in")
    watched.clean()


async def test_the_keyboard_is_enough(operated: Operated, watched: Watched) -> None:
    page = await sign_in(watched, operated.console.url)
    await page.keyboard.press("Tab")
    await expect(page.locator(".skip")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("main")).to_be_focused()
    await page.locator("a.cell").first.focus()
    await page.keyboard.press("ArrowRight")
    second = page.locator(".cells .cell").nth(1)
    await expect(second).to_be_focused()
    wanted = await second.get_attribute("data-id")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{operated.console.url}/#/lift/{wanted}")
    await page.wait_for_selector(".near-shaft g[data-place]")
    await go_home(page)
    await page.fill(".search input", operated.town.lifts[5].rescue_code)
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{operated.console.url}/#/lift/{operated.town.lifts[5].equipment_id}")
    watched.clean()


async def test_a_narrow_screen_is_enough(operated: Operated, watched: Watched, pictures: Path) -> None:
    page = await sign_in(watched, operated.console.url)
    await page.set_viewport_size({"width": 390, "height": 844})
    incident = await page.get_attribute(".incident-list a", "href")
    for name, hash_ in (
        ("overview", "#/"),
        ("lift", f"#/lift/{operated.town.lifts[3].equipment_id}"),
        ("incident", incident),
    ):
        await page.evaluate("hash => { location.hash = hash; }", hash_)
        await page.wait_for_selector(".cell, .near-shaft g[data-place], .timeline li")
        wide = await page.evaluate("document.scrollingElement.scrollWidth")
        assert wide <= 390, name
        await page.screenshot(path=pictures / f"narrow-{name}.png")
    watched.clean()


async def test_two_thousand_lifts_move_smoothly(operated: Operated, watched: Watched) -> None:
    await sign_in(watched, operated.console.url)
    page = await watched.page.context.new_page()
    await page.route_web_socket("**/live*", lambda _quiet: None)  # nobody tells it of the town's own lifts
    await page.goto(operated.console.url)
    await page.wait_for_selector(".top-bar")
    script = (Path(__file__).parent / "crowd.js").read_text("utf-8")
    crowd = await page.evaluate(script, 2_000)
    assert crowd["cells"] == 2_000
    assert crowd["moving"] == 2_000
    # Beside a centre, a database and a broker on the same two cores.
    assert crowd["longest_frame_ms"] < 400, crowd
    more = await page.evaluate(script, 100_000)
    assert more["cells"] == 0
    assert more["total"] == 100_000
    watched.clean()


async def test_steps_and_roles_are_those_of_the_centre(operated: Operated, watched: Watched) -> None:
    page = await sign_in(watched, operated.console.url)
    steps, roles = await page.evaluate(
        "import('/assets/app/steps.js').then((m) => [Object.fromEntries(m.STEPS), m.ROLES])"
    )
    assert {step: set(statuses) for step, statuses in steps.items()} == {
        step: {status for status in Status if (status, step) in TRANSITIONS} for step in BY_PEOPLE
    }
    assert {role: set(may) for role, may in roles.items()} == {
        role: {step for step, who in ACTIONS.items() if role in who} for role in COLUMNS
    }
    watched.clean()


async def test_a_car_is_drawn_where_its_samples_put_it(operated: Operated, watched: Watched) -> None:
    page = await sign_in(watched, operated.console.url)
    script = (Path(__file__).parent / "drawn.js").read_text("utf-8")
    for case in json.loads((Path(__file__).parent / "levels.json").read_text("utf-8")):
        assert await page.evaluate(script, case) == pytest.approx(case["drawn"], abs=0.005), case["says"]
    watched.clean()
