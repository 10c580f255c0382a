"""What models declare as sealed is what the rotation can walk."""

import typing

import pytest

from guilder.app.features import MODELS
from guilder.storage.base import Document

SEALED = [model for model in MODELS if model.sealed]


@pytest.mark.parametrize("model", SEALED, ids=lambda model: str(model.collection))
def test_sealed_fields_are_texts_and_not_indexed(model: type[Document]) -> None:
    hints = typing.get_type_hints(model)
    for field in model.sealed:
        assert hints[field] in (str, str | None), field
        indexed = {each for index in (*model.unique, *model.indexes) for each in index}
        assert field not in indexed, "each seal differs: look it up by a blind index"


def test_users_are_sealed() -> None:
    assert {"users", "registration_answers"} <= {model.collection for model in SEALED}
