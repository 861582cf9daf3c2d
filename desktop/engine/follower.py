"""Staying connected: does what the planner says (greet, pull, rest) and reports what came of it.

Pulls are pokes: the feed names the entities that changed, open lists read them again. The cursor is in the replica,
so a pull that was lost is simply repeated.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from desktop.engine import planner
from desktop.engine.events import EVERYTHING, Connection
from desktop.engine.session import Account, SignedSession
from desktop.engine.stores import Stores
from desktop.engine.transport import Call, code_of, is_passing, retry_after_seconds
from shared.contracts.sync import Changes
from shared.errors import KamengError, NotSignedIn

log = logging.getLogger("kameng.engine")
_CHANGES_PAGE = 500


class Follower:
    """Follows the server of the signed-in account. Use from the engine's loop only.

    `show(connection, why)` hears every state, `changed(entities)` what changed, `greeted()` that the server is back.
    """

    def __init__(
        self,
        *,
        session: SignedSession,
        stores: Stores,
        show: Callable[[Connection, KamengError | None], None],
        changed: Callable[[frozenset[str]], None],
        greeted: Callable[[], None],
    ) -> None:
        self._session = session
        self._stores = stores
        self._show = show
        self._changed = changed
        self._greeted = greeted
        self._plan = planner.Plan()
        self._stirred = asyncio.Event()

    def signed_in(self) -> None:
        """Somebody signed in: greet now."""
        self._plan = planner.step(self._plan, planner.Event.SIGNED_IN, 0.0)
        self.stir()

    def signed_out(self) -> None:
        """Nobody is signed in: rest until somebody does."""
        self._plan = planner.step(self._plan, planner.Event.SIGNED_OUT, 0.0)

    def stir(self) -> None:
        """Stop resting: the network is back, or a person wants it now."""
        self._plan = planner.step(self._plan, planner.Event.HINT, 0.0)
        self._stirred.set()

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            await self._rest()
            plan = self._plan
            if plan.next is planner.Step.IDLE or plan.rest_seconds > 0:
                continue
            event, why = await self._perform(plan.next)
            if plan is not self._plan:
                continue  # somebody signed in or out meanwhile, or stirred: their plan holds
            self._plan = planner.step(plan, event, random.random())
            if why is not None:
                self._plan = planner.lengthen(self._plan, retry_after_seconds(why))
            self._show(self._plan.connection, why)

    async def _rest(self) -> None:
        """Rest as long as the plan says, or until stirred; afterwards the plan has no rest left."""
        plan = self._plan
        if plan.next is not planner.Step.IDLE and plan.rest_seconds <= 0:
            return
        self._stirred.clear()
        try:
            await asyncio.wait_for(self._stirred.wait(), None if plan.next is planner.Step.IDLE else plan.rest_seconds)
        except TimeoutError:
            if plan is self._plan:
                self._plan = planner.rested(plan)

    async def _perform(self, step: planner.Step) -> tuple[planner.Event, KamengError | None]:
        try:
            if step is planner.Step.GREET:
                await self._greet()
                return planner.Event.GREETED, None
            return (planner.Event.PULLED_ALL if await self._pull() else planner.Event.PULLED_PART), None
        except NotSignedIn as error:
            return planner.Event.SIGNED_OUT, error
        except KamengError as error:
            return (planner.Event.PASSING_FAULT if is_passing(error) else planner.Event.STUBBORN_FAULT), error

    async def _greet(self) -> None:
        before = self._session.require_account()
        greeting = await self._session.greet(await self._cursor(before) or 0)
        if await self._cursor(greeting.account) is None:
            # First time here, or another database at this address: what we know may be anything.
            await self._set_cursor(greeting.account, greeting.cursor)
            self._changed(EVERYTHING)
        self._greeted()

    async def _pull(self) -> bool:
        """Ask what changed. True when there is nothing more."""
        account = self._session.require_account()
        cursor = await self._cursor(account)
        query = {"cursor": cursor or 0, "epoch": account.epoch or None, "limit": _CHANGES_PAGE}
        call = Call("GET", "/sync/v1/changes", query=query)
        try:
            changes = await self._session.ask(call, Changes)
        except KamengError as error:
            if code_of(error) != "resync_required":
                raise
            # The server was restored from a backup: start from now and read every list again.
            greeting = await self._session.greet()
            await self._set_cursor(greeting.account, greeting.cursor)
            self._changed(EVERYTHING)
            return True
        if changes.cursor != cursor:
            await self._set_cursor(account, changes.cursor)
        if changes.rows:
            self._changed(frozenset(row.entity for row in changes.rows))
        return changes.complete

    async def _cursor(self, account: Account) -> int | None:
        return await self._stores.replica(lambda replica: replica.cursor(scope=account.scope, epoch=account.epoch))

    async def _set_cursor(self, account: Account, cursor: int) -> None:
        await self._stores.replica(
            lambda replica: replica.advance(scope=account.scope, epoch=account.epoch, cursor=cursor)
        )
