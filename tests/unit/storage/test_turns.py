"""Long lists in short turns."""

import asyncio

from guilder.storage.turns import in_turns


async def test_items_come_in_their_order() -> None:
    assert [each async for each in in_turns(range(10), at_a_time=3)] == list(range(10))
    assert [each async for each in in_turns("")] == []


async def test_others_get_turns_in_between() -> None:
    seen: list[str] = []

    def see(text: str) -> None:
        seen.append(text)

    async def work(name: str) -> None:
        async for number in in_turns(range(4), at_a_time=2):
            see(f"{name}{number}")

    await asyncio.gather(work("a"), work("b"))
    assert seen == ["a0", "a1", "b0", "b1", "a2", "a3", "b2", "b3"]
