"""What CARE's Slack messages, buttons and dialogs look like: Block Kit from plain values. Pure; calls nothing.

Text that people or the model wrote never reaches a `mrkdwn` field unescaped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    ConfirmObject,
    ContextActionsBlock,
    ContextBlock,
    DividerBlock,
    FeedbackButtonObject,
    FeedbackButtonsElement,
    InputBlock,
    MarkdownBlock,
    MarkdownTextObject,
    PlainTextInputElement,
    PlainTextObject,
    SectionBlock,
)
from slack_sdk.models.views import View

from bot.connectors.cutting import split
from bot.connectors.slack.mrkdwn import mrkdwn_escape
from bot.connectors.words import AI_LABEL, CONFIRMED
from bot.turns import Turn

# Action ids of buttons, callback ids of dialogs and shortcuts: what comes back from Slack is told apart by them.
FEEDBACK: Final = "care_feedback"
CORRECTION: Final = "care_correction"
TEACH: Final = "teach_care"
HAND_BACK: Final = "care_hand_back"
PROMOTE: Final = "care_promote"
ROLLBACK: Final = "care_rollback"
FORGET: Final = "care_forget"
COMMAND: Final = "/care"

INTRODUCTION: Final = "care_introduction"  # the block that says once what CARE is
REASON_BLOCK, CORRECTION_BLOCK, INPUT = "reason", "correction", "text"

# Limits of Block Kit (docs.slack.dev/reference/block-kit): a section's text, an input, and what a person still reads.
SECTION_CHARS, INPUT_CHARS, QUOTED_CHARS, QUOTED_TURNS = 3000, 3000, 1200, 10
_AROUND_QUOTE, _CONFIRM_CHARS = 100, 300

OPT_OUT = "To keep what you write out of training, use `/care opt out`."
HUMAN_HINT = "To talk to a person, write `human` here or `/care human`."
Vote = Literal[1, -1, 0]


@dataclass(frozen=True, slots=True)
class Correction:
    """What somebody wrote into the 👎 dialog."""

    turn_id: str
    reason: str | None
    correction: str | None


def answer_blocks(
    turn_id: str, *, text: str | None = None, voted: Vote | None = None, notice: str | None = None, human: bool = False
) -> list[Block]:
    """What stands under an answer: the introduction once, the thumbs, what became of a vote.

    `text` (safe Markdown, up to 12,000 characters) is for messages whose blocks must carry the answer too; a stream has shown it.
    `notice` is what a person is told once, with the way to opt out; `human` adds how to reach a person.
    """
    said = [MarkdownBlock(text=text)] if text else []
    introduction = [_context(f"{mrkdwn_escape(notice)} {OPT_OUT}", INTRODUCTION)] if notice else []
    confirmed = [_context(CONFIRMED[voted])] if voted is not None else []
    label = f"{AI_LABEL} {HUMAN_HINT}" if human else AI_LABEL
    return [*said, *introduction, _thumbs(turn_id), *confirmed, _context(label)]


def plain_blocks(text: str) -> list[Block]:
    """A message of CARE's own without thumbs: an error, a decline. `text` is safe Markdown."""
    return [MarkdownBlock(text=text)]


def vote_of(value: str) -> tuple[str, Vote] | None:
    """The turn and the verdict in the value of a thumb; None if the value isn't one of ours."""
    verdict, _, turn_id = value.partition(":")
    if verdict not in ("up", "down") or not turn_id:
        return None
    return turn_id, 1 if verdict == "up" else -1


def correction_modal(turn_id: str, answer: str, *, reason: str = "", correction: str = "") -> View:
    """What was wrong, what should it have said? `answer` is shown as it is, without markup."""
    return View(
        type="modal",
        callback_id=CORRECTION,
        private_metadata=turn_id,
        title="What was wrong?",
        submit="Send",
        close="Skip",
        blocks=[
            SectionBlock(text=PlainTextObject(text=_cut(answer or "(no text)", SECTION_CHARS), emoji=False)),
            _input(REASON_BLOCK, "What was wrong?", "For example: outdated, wrong number, rude", reason),
            _input(CORRECTION_BLOCK, "What should it have said?", "The answer you would have given", correction),
            _context("CARE may learn from this, after personal data is masked. Leave both empty to send the thumb alone."),
        ],
    )


def correction_of(turn_id: str, values: Mapping[str, Mapping[str, Mapping[str, object]]]) -> Correction:
    """What stands in a submitted dialog: `view["private_metadata"]` and `view["state"]["values"]`."""
    return Correction(turn_id, _entered(values, REASON_BLOCK), _entered(values, CORRECTION_BLOCK))


def forget_modal() -> View:
    """Asks before everything of a person is erased."""
    told = (
        "*This erases everything CARE has kept of you in this workspace*: your questions, its answers to them, your votes and corrections. "
        "What was trained on them is taken out of service. Messages in Slack itself stay; delete those yourself.\n\nThere is no way back."
    )
    return View(
        type="modal",
        callback_id=FORGET,
        title="Forget me",
        submit="Erase everything",
        close="Keep it",
        blocks=[SectionBlock(text=MarkdownTextObject(text=told, verbatim=True))],
    )


def handover_post(
    handover_id: str, user_id: str, turns: Sequence[Turn], *, link: str | None = None, ended_by: str | None = None
) -> list[Block]:
    """The conversation as the experts get it, oldest first; a button hands back, and with `ended_by` says who did."""
    where = f"<{link}|the conversation>" if link else "the conversation"
    head = _section(f"*<@{user_id}> asks for a person.* Reply in this thread: CARE brings your words to {where} and stays silent there.")
    left_out = [_context(f"{len(turns) - QUOTED_TURNS} earlier questions are left out.")] if len(turns) > QUOTED_TURNS else []
    quoted = [block for turn in turns[-QUOTED_TURNS:] for block in _exchange(turn)]
    return [head, DividerBlock(), *left_out, *quoted, DividerBlock(), _handed_back(ended_by) if ended_by else _hand_back(handover_id)]


def relayed(user_id: str, text: str) -> list[list[Block]]:
    """What the asker wrote after the hand-over, for the experts' thread: all of it, in as many messages as it takes."""
    return [_whole(f"<@{user_id}> wrote:", piece) for piece in split(text)]


def expert_reply(expert_id: str, text: str) -> list[list[Block]]:
    """What an expert answered, for the asker's thread: all of it, in as many messages as it takes."""
    return [_whole(f"<@{expert_id}> answers:", piece) for piece in split(text)]


def handed_over_note(*, already: bool = False) -> str:
    """Tells the asker what happens next."""
    begun = (
        "A person already has this conversation. They answer in the thread in which you asked for them"
        if already
        else "I've passed this conversation on to a person. They answer here in this thread"
    )
    return f"{begun}, and I stay silent until they hand it back to me. In an emergency, call your local emergency number."


def handed_back_note() -> str:
    """Tells the asker that CARE answers again."""
    return "I'm back: ask me again in this thread. Write `human` if you want a person once more."


def nobody_to_hand_over_note() -> str:
    return "Nobody is set up here to take over conversations. Please ask your support team directly."


def busy_text(place: int) -> str:
    """The status line of a question that waits; place 1 is the next one."""
    return "is next in line…" if place <= 1 else f"has {place - 1} {'question' if place == 2 else 'questions'} before yours…"


def attachments_text(*, asked: bool) -> str:
    """Declines files; `asked`: there is a text to answer as well."""
    return "I can't open files or pictures." + (" I answer what you wrote." if asked else " Please describe in words what you need.")


def files_text(user_id: str, files: int) -> str:
    """Tells the experts what CARE can't bring them (mrkdwn)."""
    what = "a file" if files == 1 else f"{files} files"
    return f"<@{user_id}> sent {what} that I can't bring here. Ask them to send it to you directly, or to describe it."


def help_text() -> str:
    """What `/care help` says (mrkdwn)."""
    return (
        "*CARE answers support questions.* Write to me directly, mention me in a channel, or go on in a thread that I'm in.\n"
        "• 👍 👎 under an answer (or as a reaction) rate it; 👎 asks what it should have said. What you vote may teach me.\n"
        "• *Edit* your question and I answer again; *delete* it and I forget it.\n"
        "• *Teach CARE* in a message's menu (⋮) makes a colleague's reply the better answer.\n"
        "`/care new` begin a new conversation in our direct messages\n"
        "`/care human` talk to a person\n"
        "`/care status` is CARE well?\n"
        "`/care export` a file with everything that is kept of you\n"
        "`/care opt out` keep what you write out of training (`/care opt in` ends that)\n"
        "`/care forget me` erase everything that is kept of you\n"
        "_I'm a machine and can be wrong. In an emergency, call your local emergency number._"
    )


def decision_buttons(lora_id: str, *, promote: bool, rollback: bool) -> list[Block]:
    """Promote, for what passed its gates and is not served, and Roll back, for what is: for operators, each after a question."""
    buttons = []
    if promote:
        asked = _confirm("Promote?", f"Its gates passed {lora_id}, and it was taken back. From now on it answers everybody.", "Promote")
        buttons.append(ButtonElement(text="Promote", action_id=PROMOTE, value=lora_id, style="primary", confirm=asked))
    if rollback:
        asked = _confirm(
            "Roll back?",
            f"{lora_id} answers nobody any more, but what was live before it. If it is not live or on trial, nothing changes.",
            "Roll back",
        )
        buttons.append(ButtonElement(text="Roll back", action_id=ROLLBACK, value=lora_id, style="danger", confirm=asked))
    return [ActionsBlock(elements=buttons)] if buttons else []


def decided(told: str, lora_id: str, *, promoted: bool) -> list[Block]:
    """Who did what with a LoRA, and the way back."""
    return [_context(told), *decision_buttons(lora_id, promote=not promoted, rollback=promoted)]


def _thumbs(turn_id: str) -> Block:
    return ContextActionsBlock(
        elements=[
            FeedbackButtonsElement(
                action_id=FEEDBACK,
                positive_button=FeedbackButtonObject(text="👍", value=f"up:{turn_id}", accessibility_label="Good answer"),
                negative_button=FeedbackButtonObject(text="👎", value=f"down:{turn_id}", accessibility_label="Bad answer"),
            )
        ]
    )


def _input(block_id: str, label: str, placeholder: str, value: str) -> Block:
    element = PlainTextInputElement(
        action_id=INPUT, multiline=True, max_length=INPUT_CHARS, placeholder=placeholder, initial_value=_cut(value, INPUT_CHARS) or None
    )
    return InputBlock(block_id=block_id, label=label, element=element, optional=True)


def _entered(values: Mapping[str, Mapping[str, Mapping[str, object]]], block_id: str) -> str | None:
    value = values.get(block_id, {}).get(INPUT, {}).get("value")
    return value.strip() or None if isinstance(value, str) else None


def _exchange(turn: Turn) -> list[Block]:
    asked = [_section(f"*Asked*\n{_quote(turn.question.text)}")]
    replied = turn.reply.text if turn.reply else ""
    return [*asked, _section(f"*CARE answered*\n{_quote(replied)}")] if replied else asked


def _hand_back(handover_id: str) -> Block:
    asked = _confirm("Hand back?", "CARE answers in the conversation again, and the asker is told.", "Hand back")
    return ActionsBlock(elements=[ButtonElement(text="Hand back to CARE", action_id=HAND_BACK, value=handover_id, confirm=asked)])


def _handed_back(expert_id: str) -> Block:
    return _context(f"Handed back to CARE by <@{expert_id}>.")


def _confirm(title: str, text: str, confirm: str) -> ConfirmObject:
    return ConfirmObject(title=title, text=PlainTextObject(text=_cut(text, _CONFIRM_CHARS)), confirm=confirm, deny="Cancel")


def _quote(text: str) -> str:
    """A quote of at most `SECTION_CHARS` after escaping, less what stands around it."""
    chars = QUOTED_CHARS
    while len(quoted := _quoted(_cut(text, chars))) > SECTION_CHARS - _AROUND_QUOTE:
        chars //= 2
    return quoted


def _whole(head: str, text: str) -> list[Block]:
    """A quote of a message's length over as many sections as it takes."""
    first, *others = _quotes(text)
    return [_section(f"{head}\n{first}"), *map(_section, others)]


def _quotes(text: str) -> list[str]:
    """The whole text in quotes that each fit a section."""
    quoted = _quoted(text)
    if len(quoted) <= SECTION_CHARS - _AROUND_QUOTE:
        return [quoted]
    return [quote for half in split(text, len(text.encode()) // 2 + 1) for quote in _quotes(half)]


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in mrkdwn_escape(text).splitlines())


def _section(text: str) -> Block:
    return SectionBlock(text=MarkdownTextObject(text=text, verbatim=True))


def _context(text: str, block_id: str | None = None) -> Block:
    return ContextBlock(elements=[MarkdownTextObject(text=text, verbatim=True)], block_id=block_id)


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else f"{text[: chars - 1]}…"
