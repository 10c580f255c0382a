"""TypeIDs and the UUIDs inside them, by tables; the laws are in tests/properties."""

from uuid import UUID

import pytest

from guilder.kernel.errors import NotFound
from guilder.kernel.ids import decode_id, derived_uuid, encode_id, new_id, new_uuid

SAMPLE = UUID("0188bac7-4afa-78aa-bc3b-bd1eef28d881")


@pytest.mark.parametrize(
    ("uuid", "text"),
    [
        # The valid vectors of the TypeID specification, 0.3.
        (UUID(int=0), "prefix_00000000000000000000000000"),
        (UUID(int=1), "prefix_00000000000000000000000001"),
        (UUID(int=10), "prefix_0000000000000000000000000a"),
        (UUID(int=16), "prefix_0000000000000000000000000g"),
        (UUID(int=32), "prefix_00000000000000000000000010"),
        (UUID(int=2**128 - 1), "prefix_7zzzzzzzzzzzzzzzzzzzzzzzzz"),
        (SAMPLE, "prefix_01h2xcejqtf2nbrexx3vqjhp41"),
        (UUID("0110c853-1d09-52d8-d73e-1194e95b5f19"), "prefix_0123456789abcdefghjkmnpqrs"),
    ],
)
def test_an_id_is_written_and_read_as_the_specification_says(uuid: UUID, text: str) -> None:
    assert encode_id("prefix", uuid) == text
    assert decode_id("prefix", text) == uuid


@pytest.mark.parametrize(
    "text",
    [
        "",
        "_",
        "user",
        "user_",
        "01h2xcejqtf2nbrexx3vqjhp41",
        "_01h2xcejqtf2nbrexx3vqjhp41",
        "wallet_01h2xcejqtf2nbrexx3vqjhp41",
        "users_01h2xcejqtf2nbrexx3vqjhp41",
        "USER_01h2xcejqtf2nbrexx3vqjhp41",
        "user_01H2XCEJQTF2NBREXX3VQJHP41",
        "user_01h2xcejqtf2nbrexx3vqjhp4",
        "user_01h2xcejqtf2nbrexx3vqjhp411",
        "user_81h2xcejqtf2nbrexx3vqjhp41",
        "user_01h2xcejqtf2nbrexx3vqjhpu1",
        "user_01h2xcejqtf2nbrexx3vqjhpl1",
        "user_ 1h2xcejqtf2nbrexx3vqjhp41",
        "user_01h2xcejqtf2nbrexx3vqjhp4\n",
        "user_\u06601h2xcejqtf2nbrexx3vqjhp41",
        "user__01h2xcejqtf2nbrexx3vqjhp41",
        "0188bac7-4afa-78aa-bc3b-bd1eef28d881",
    ],
)
def test_what_is_no_id_of_that_prefix_is_not_found(text: str) -> None:
    with pytest.raises(NotFound):
        decode_id("user", text)


def test_new_ids_sort_in_the_order_they_were_made() -> None:
    made = [new_uuid() for _ in range(1000)]

    assert made == sorted(set(made))
    assert {uuid.version for uuid in made} == {7}


def test_a_new_id_has_its_prefix() -> None:
    assert decode_id("wallet", new_id("wallet")).version == 7


def test_a_derived_id_never_changes() -> None:
    # Accounts are found by it in every book ever written: a change here loses them.
    derived = derived_uuid("wallet-account", SAMPLE.bytes, "USD")

    assert derived == UUID("69a85d17-b0b2-8552-808d-f874acee9122")
    assert derived.version == 8
    assert derived.variant == "specified in RFC 4122"


def test_text_and_its_bytes_are_the_same_part() -> None:
    assert derived_uuid("é") == derived_uuid("é".encode())


@pytest.mark.parametrize(
    "parts", [("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), ("", "abc"), ("a", "b", "c")]
)
def test_the_bounds_between_parts_count(parts: tuple[str, ...]) -> None:
    others = {("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), ("", "abc"), ("a", "b", "c")} - {
        parts
    }

    assert derived_uuid(*parts) not in {derived_uuid(*other) for other in others}
