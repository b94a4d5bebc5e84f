"""A night's report for the admin channel: verdict first, gates, examples won and lost, what can be done. Calls nothing.

What is missing is left out: the notice's own text always stands.
"""

from collections.abc import Sequence

from slack_sdk.models.blocks import Block, DividerBlock, HeaderBlock, MarkdownTextObject, SectionBlock

from bot.connectors.nights import SHOWN, Example, Gate, Report
from bot.connectors.slack.blocks import decision_buttons
from bot.connectors.slack.mrkdwn import mrkdwn_escape
from bot.notices import Notice

_ANSWER_CHARS, _SECTION_CHARS, _HEADER_CHARS = 160, 2900, 150


def report_blocks(notice: Notice, report: Report | None) -> list[Block]:
    """The message; without a report the notice's text."""
    verdict, _, rest = notice.text.partition("\n")
    head = HeaderBlock(text=_cut(verdict, _HEADER_CHARS))
    said = [_section(mrkdwn_escape(_cut(notice.text if len(verdict) > _HEADER_CHARS else rest, _SECTION_CHARS // 2)))] if rest else []
    if report is None:
        return [head, *said]
    parts = [
        *_listed("Taught", [f"• {mrkdwn_escape(_cut(question, _ANSWER_CHARS))}" for question in report.taught[:SHOWN]]),
        *_listed("Won most (nats a token)", [_example(each) for each in report.won]),
        *_listed("Lost most (nats a token)", [_example(each) for each in report.lost]),
    ]
    gates = [_section(_table(report.gates))] if report.gates else []
    buttons: list[Block] = []
    if report.lora is not None:
        # What a gate refused is not overruled in a channel: Promote is for what passed and was taken back.
        accepted = all(gate.passed for gate in report.gates)
        buttons = decision_buttons(report.lora, promote=report.verdict == "reverted" and accepted, rollback=report.verdict == "promoted")
    return [head, *said, *gates, *([DividerBlock(), *parts] if parts else []), *buttons]


def _example(example: Example) -> str:
    lines = [f"• {example.gained:+.2f} {mrkdwn_escape(_cut(example.question, _ANSWER_CHARS))} ({example.domain})"]
    for name, answer in (("before", example.before), ("now", example.after)):
        if answer:
            lines.append(f"    {name}: _{mrkdwn_escape(_cut(' '.join(answer.split()), _ANSWER_CHARS))}_")
    return "\n".join(lines)


def _table(gates: Sequence[Gate]) -> str:
    width = max(len(gate.name) for gate in gates)
    lines = [f"{'gate':<{width}}  {'measured':>9}  {'limit':>7}"]
    lines += [f"{gate.name:<{width}}  {gate.measured:>9.3g}  {gate.limit:>7.3g}  {'ok' if gate.passed else 'NOT PASSED'}" for gate in gates]
    return f"```\n{mrkdwn_escape(_cut(chr(10).join(lines), _SECTION_CHARS // 2))}\n```"


def _listed(title: str, lines: list[str]) -> list[Block]:
    while len("\n".join(lines)) > _SECTION_CHARS - len(title):
        lines = lines[:-1]
    return [_section("\n".join([f"*{title}*", *lines]))] if lines else []


def _section(text: str) -> Block:
    return SectionBlock(text=MarkdownTextObject(text=text, verbatim=True))


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else f"{text[: chars - 1]}…"
