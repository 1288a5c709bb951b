"""What `case.review` was given, checked, and the ruling as the author's code gets it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from opsrail.errors import AuthorError, InvalidInput
from opsrail.review.labels import Sampled, is_ratio
from opsrail.review.opening import Asked
from opsrail.review.queue import Queue
from opsrail.values.decisions import Decision
from opsrail.values.reviews import Ruling
from opsrail.values.spans import Span


def asked_of(
    case_id: str,
    declared: Mapping[str, Queue],
    queue: str | Queue,
    decision: Decision | None,
    due: Span | None,
    priority: int,
    show: object,
    sampled: Sampled,
    form: type[BaseModel] | None,
    values: BaseModel | Mapping[str, object] | None,
    skills: Sequence[str],
    question: str,
) -> Asked:
    """Return what a call asks of people.

    Args:
        declared: Queues of the author's files; a name that none has stands for a plain queue.

    Raises:
        AuthorError: a part of the call cannot be used. Terminal.
    """
    place = f"case {case_id}: case.review"
    if sampled.ratio is not None and not is_ratio(sampled.ratio):
        raise AuthorError(
            f"{place}(sampled={sampled.ratio!r}) is no probability above 0 and up to 1"
        )
    try:
        if isinstance(queue, str):
            queue = declared.get(queue) or Queue(queue)
        listed = (skills,) if isinstance(skills, str) else tuple(skills)
        within = queue.due if due is None else due
        replace(  # checks them
            queue,
            form=form or queue.form,
            skills=listed,
            due=within,
            question=question or queue.question,
        )
    except InvalidInput as wrong:
        raise AuthorError(f"{place}: {wrong}") from wrong
    if values is not None and form is None and queue.form is None:
        raise AuthorError(f"{place} was given values without a form to show them in")
    given = (decision, due, priority, show, sampled, form, values, listed, question)
    return Asked(queue, *given)


def ruling_of(case_id: str, text: str, asked: Asked) -> Ruling:
    """Return a ruling with what was filled in, in the types of the form.

    Raises:
        AuthorError: the form refuses what the desk took: its model checks more than its JSON Schema says. Terminal.
    """
    kept = from_json(text)
    fields, model = kept.pop("fields", None) or {}, asked.fields_model
    if model is not None and fields:
        try:
            filled = model.model_validate(fields)
        except ValidationError as wrong:
            raise AuthorError(
                f"case {case_id}: {model.__name__} refuses what was filled in at {asked.queue.name}: {wrong}. "
                f"Say in the form's fields (types, bounds, patterns) what is allowed"
            ) from wrong
        fields = {name: getattr(filled, name) for name in model.model_fields}
    return Ruling(**kept, fields=fields)
