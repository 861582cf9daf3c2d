"""The threads of a process are few: who waits for a commit holds none, and there are as many as the settings say."""

import asyncio

from server import app
from server.payments.revealing import LogReveal
from tests.world import ANNA

CROWD = 40


def test_looks_at_keys_that_wait_for_their_commit_keep_no_page_from_answering(site, monkeypatch):
    site.world.stock("STEAM-50", 1)
    page = f"/o/{site.world.buy(ANNA, 'STEAM-50').order.code}"
    as_anna = {"cookie": site.cookie(ANNA), "accept": "text/html"}
    batch = site.world.ctx.batch
    submit = batch.submit

    async def crowd():
        all_wait, commit = asyncio.Event(), asyncio.Event()
        waiting = []

        async def held(command):
            if isinstance(command, LogReveal):
                waiting.append(command)
                if len(waiting) == CROWD:
                    all_wait.set()
                await commit.wait()
            return await submit(command)

        monkeypatch.setattr(batch, "submit", held)
        looks = [asyncio.create_task(site._send("GET", page, as_anna, {})) for _ in range(CROWD)]
        await all_wait.wait()
        status = await site._send("GET", f"{page}/status", as_anna, {})
        commit.set()
        return status, await asyncio.gather(*looks)

    status, looks = site.portal.call(crowd)
    assert (status.status_code, status.json()["state"]) == (200, "delivered")
    assert {look.status_code for look in looks} == {200}
    assert all('id="s1"' in look.text for look in looks), "the key is shown"


def test_pages_read_in_as_many_threads_as_the_settings_say(site):
    another = app.build(site.world.ctx.settings, worker=False)

    async def serve():
        async with another.router.lifespan_context(another):
            return asyncio.get_running_loop()._default_executor._max_workers

    assert asyncio.run(serve()) == site.world.ctx.settings.threads
