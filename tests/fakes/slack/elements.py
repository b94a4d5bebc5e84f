"""The shapes of what stands inside of blocks: texts, options, buttons, inputs, rich text. Source: Slack's Block Kit reference."""

from tests.fakes.slack.schema import Check, Shape, anything, array, boolean, choice, integer, kinds, string, url

ID = string(255)


def plain(longest: int) -> Check:
    """A text object without markup."""
    return kinds({"plain_text": Shape({"text": string(longest)}, {"emoji": boolean})})


def text(longest: int) -> Check:
    """A text object with or without markup."""
    markup = Shape({"text": string(longest)}, {"verbatim": boolean})
    return kinds({"plain_text": Shape({"text": string(longest)}, {"emoji": boolean}), "mrkdwn": markup})


CONFIRM = Shape({"title": plain(100), "text": text(300), "confirm": plain(30), "deny": plain(30)}, {"style": choice("primary", "danger")})
OPTION = Shape({"text": text(75), "value": string(150)}, {"description": text(75), "url": url})
OPTION_GROUP = Shape({"label": plain(75), "options": array(OPTION, 100)})
FEEDBACK_BUTTON = Shape({"text": plain(75), "value": string(2000)}, {"accessibility_label": string(75)})
_DISPATCH = Shape({"trigger_actions_on": array(choice("on_enter_pressed", "on_character_entered"), 2)})
_COMMON: dict[str, Check] = {"action_id": ID, "confirm": CONFIRM, "focus_on_load": boolean}
_TYPED: dict[str, Check] = {
    "action_id": ID,
    "placeholder": plain(150),
    "focus_on_load": boolean,
    "dispatch_action_config": _DISPATCH,
    "initial_value": string(3000),
}
_SELECT: dict[str, Check] = {**_COMMON, "placeholder": plain(150)}
_PEOPLE: dict[str, Check] = {
    "initial_user": ID,
    "initial_conversation": ID,
    "initial_channel": ID,
    "default_to_current_conversation": boolean,
}

BUTTON = Shape(
    {"text": plain(75)},
    {
        "action_id": ID,
        "url": url,
        "value": string(2000),
        "style": choice("primary", "danger"),
        "confirm": CONFIRM,
        "accessibility_label": string(75),
    },
)
ELEMENTS: dict[str, Shape] = {
    "button": BUTTON,
    "feedback_buttons": Shape({"positive_button": FEEDBACK_BUTTON, "negative_button": FEEDBACK_BUTTON}, {"action_id": ID}),
    "icon_button": Shape(
        {"icon": choice("trash"), "text": plain(75)},
        {
            "action_id": ID,
            "value": string(2000),
            "confirm": CONFIRM,
            "accessibility_label": string(75),
            "visible_to_user_ids": array(ID, 10),
        },
    ),
    "image": Shape({"alt_text": string(2000)}, {"image_url": url, "slack_file": anything}, ("image_url", "slack_file")),
    "static_select": Shape(
        {},
        {**_SELECT, "options": array(OPTION, 100), "option_groups": array(OPTION_GROUP, 100), "initial_option": OPTION},
        ("options", "option_groups"),
    ),
    "users_select": Shape({}, {**_SELECT, **_PEOPLE}),
    "conversations_select": Shape({}, {**_SELECT, **_PEOPLE, "response_url_enabled": boolean, "filter": anything}),
    "channels_select": Shape({}, {**_SELECT, **_PEOPLE, "response_url_enabled": boolean}),
    "overflow": Shape({"options": array(OPTION, 5)}, {"action_id": ID, "confirm": CONFIRM}),
    "checkboxes": Shape({"options": array(OPTION, 10)}, {**_COMMON, "initial_options": array(OPTION, 10)}),
    "radio_buttons": Shape({"options": array(OPTION, 10)}, {**_COMMON, "initial_option": OPTION}),
    "datepicker": Shape({}, {**_SELECT, "initial_date": string(10, 10)}),
    "plain_text_input": Shape({}, {**_TYPED, "multiline": boolean, "min_length": integer(0, 3000), "max_length": integer(1, 3000)}),
    "email_text_input": Shape({}, _TYPED),
    "url_text_input": Shape({}, _TYPED),
    "number_input": Shape({"is_decimal_allowed": boolean}, {**_TYPED, "min_value": string(30), "max_value": string(30)}),
}


def some(*names: str) -> Check:
    """One of these elements."""
    return kinds({name: ELEMENTS[name] for name in names})


_SELECTS = ("static_select", "users_select", "conversations_select", "channels_select")
_CHOICES = ("button", *_SELECTS, "overflow", "checkboxes", "radio_buttons", "datepicker")
IN_ACTIONS = some(*_CHOICES)
IN_SECTION = some(*_CHOICES, "image")
IN_CONTEXT_ACTIONS = some("feedback_buttons", "icon_button")
IN_INPUT = some(
    *_SELECTS, "checkboxes", "radio_buttons", "datepicker", "plain_text_input", "email_text_input", "url_text_input", "number_input"
)
IN_CONTEXT = kinds(
    {
        "image": ELEMENTS["image"],
        "plain_text": Shape({"text": string(3000)}, {"emoji": boolean}),
        "mrkdwn": Shape({"text": string(3000)}, {"verbatim": boolean}),
    }
)

_STYLE = Shape({}, dict.fromkeys(("bold", "italic", "strike", "code", "underline", "highlight", "client_highlight", "unlink"), boolean))
_INLINE = kinds(
    {
        "text": Shape({"text": string(40_000)}, {"style": _STYLE}),
        "link": Shape({"url": string(3000)}, {"text": string(3000), "unsafe": boolean, "style": _STYLE}),
        "emoji": Shape({"name": string(100)}, {"unicode": string(100), "style": _STYLE, "skin_tone": integer(1, 6)}),
        "user": Shape({"user_id": ID}, {"style": _STYLE}),
        "channel": Shape({"channel_id": ID}, {"style": _STYLE}),
        "usergroup": Shape({"usergroup_id": ID}, {"style": _STYLE}),
        "broadcast": Shape({"range": choice("here", "channel", "everyone")}, {"style": _STYLE}),
    }
)
_SECTION = Shape({"elements": array(_INLINE, 1000, 0)})
RICH_TEXT = kinds(
    {
        "rich_text_section": _SECTION,
        "rich_text_preformatted": Shape({"elements": array(_INLINE, 1000, 0)}, {"border": integer(0, 1), "language": string(50)}),
        "rich_text_quote": Shape({"elements": array(_INLINE, 1000, 0)}, {"border": integer(0, 1)}),
        "rich_text_list": Shape(
            {"style": choice("bullet", "ordered"), "elements": array(kinds({"rich_text_section": _SECTION}), 1000)},
            {"indent": integer(0, 8), "offset": integer(0, 10_000), "border": integer(0, 1)},
        ),
    }
)
