"""The bodies that the HTTP surfaces take, checked field by field. Knows no handler."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from bot.connectors.web.errors import BadRequest
from bot.text import clean, clean_question
from bot.turns import Verdict
from model.chat import Message, Role

B = TypeVar("B", bound=BaseModel)


def _cleaned(value: object) -> object:
    return clean(value) if isinstance(value, str) else value


def _question(value: object) -> object:
    return clean_question(value) if isinstance(value, str) else value


def _whole(value: object) -> object:
    """Literal compares with ==, and True == 1.0 == 1."""
    if type(value) is not int:
        raise ValueError("must be 1, -1 or 0 (withdrawn)")
    return value


Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:@/-]{1,128}$")]
Text = Annotated[str, BeforeValidator(_cleaned)]
Name = Annotated[Text, StringConstraints(min_length=1, max_length=256)]


class Body(BaseModel):
    """What every body has in common: strict types, no NaN."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


class AskBody(Body):
    """POST /api/conversations/{id}/turns"""

    id: Id
    text: Annotated[str, BeforeValidator(_question)]
    replaces: Id | None = None


class LearningBody(Body):
    """PUT /api/me/learning"""

    allowed: bool


class RatingBody(Body):
    """POST /api/ratings"""

    turn_id: Name
    user_id: Name
    verdict: Annotated[Verdict, BeforeValidator(_whole)]
    reason: Annotated[Text, StringConstraints(max_length=1_000)] | None = None
    correction: Annotated[Text, StringConstraints(max_length=20_000)] | None = None


class TextPart(Body):
    """One part of a message's content."""

    type: Literal["text"]
    text: Text


class ChatMessage(Body):
    """One message of POST /v1/chat/completions"""

    role: Literal["system", "developer", "user", "assistant"]
    content: Text | list[TextPart] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""

    def to_message(self) -> Message:
        role: Role = "system" if self.role == "developer" else self.role
        return Message(role, self.text)


class StreamOptions(Body):
    """What a stream holds besides text."""

    include_usage: bool = False


Stop = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class ChatBody(Body):
    """POST /v1/chat/completions"""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False, extra="allow")

    model: str
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=16)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Field(ge=0.5, le=2)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    user: Name | None = None
    metadata: dict[str, Name] | None = None


# Fields of OpenAI's API that change nothing here, and the values of others that ask for what CARE does anyway.
_IGNORED = {"store", "service_tier", "parallel_tool_calls", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"}
_NEUTRAL: dict[str, tuple[object, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
}


def parse(kind: type[B], body: dict[str, object]) -> B:
    """The checked body. Raises BadRequest: 400 for what CARE does not support, 422 for a field that is wrong."""
    try:
        parsed = kind.model_validate(body)
    except ValidationError as error:
        raise _bad_field(error) from error
    for name, value in (parsed.model_extra or {}).items():
        if name not in _IGNORED and value is not None and value not in _NEUTRAL.get(name, ()):
            raise BadRequest(
                400, f"{name!r} is not supported and would change the answer; leave it out", code="unsupported_parameter", param=name
            )
    return parsed


def _bad_field(error: ValidationError) -> BadRequest:
    """The deepest fault, with its place and what was given."""
    fault = max(error.errors(include_url=False), key=lambda each: len(each["loc"]))  # of a union, the branch that fits best
    place = ".".join(str(part) for part in fault["loc"] if not _names_a_branch(part))
    if fault["type"] == "literal_error" and place.endswith((".type", ".role")):
        return BadRequest(400, f"{place}: {_shown(fault['input'])} is not supported; {fault['msg']}", code="unsupported_value", param=place)
    reason = str(fault.get("ctx", {}).get("error", fault["msg"]))
    return BadRequest(422, f"{place}: {reason} (got {_shown(fault['input'])})", code="invalid_value", param=place)


def _names_a_branch(part: int | str) -> bool:
    """pydantic puts the type of a union's branch into the place, as "str" or "list[...]"."""
    return isinstance(part, str) and (part == "str" or not part.isidentifier())


def _shown(value: Any) -> str:
    """A value in an error, never as long as a message text."""
    text = repr(value)
    return text if len(text) <= 60 else f"{type(value).__name__} of {len(text)} characters"
