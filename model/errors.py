"""What can go wrong between a request and its text, one class per decision a caller makes.

EngineError
├── ModelNotFound           CARE_MODEL names nothing that can be loaded: mend the setting
├── ModelDamaged            the weights are there and are not what they should be: restore or remove them
├── DeviceUnusable          this machine or its torch build can't run the model: see the message
├── NotReady                the model is still loading, or the engine has been closed: try again later
├── Busy                    no slot and no room in the queue: try again after `retry_after` seconds
├── ContextLengthExceeded   system prompt and question alone are longer than the context window: shorten the question
├── UnknownLora             the request names a LoRA this engine does not have
├── LoraMissing             the shelf has no LoRA of that id: name one of `care loras`
├── LoraDamaged             a LoRA is not what its manifest says, or can't be safe to load: train again or restore it
├── LoraBaseMismatch        a LoRA was trained on another base model than the one that runs
├── NothingToRollBack       no LoRA is live
├── OutOfMemory             a pass did not fit; inside the engine only, callers see Busy
└── GenerationFailed        the network failed under this request: ask again
"""


class EngineError(Exception):
    """Anything the engine refuses or fails to do."""


class ModelNotFound(EngineError):
    """CARE_MODEL names nothing that can be loaded."""


class ModelDamaged(EngineError):
    """The weights are there and are not what they should be."""


class DeviceUnusable(EngineError):
    """This machine, or its torch build, can't run the model."""


class NotReady(EngineError):
    """The model is still loading, or the engine has been closed."""


class Busy(EngineError):
    """No slot and no room in the queue; `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: int = 5) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ContextLengthExceeded(EngineError):
    """System prompt and question alone need `tokens`, the window leaves room for `limit`."""

    def __init__(self, tokens: int, limit: int) -> None:
        super().__init__(
            f"the question needs {tokens} tokens with its instructions, the context window has room for {limit}; "
            "shorten the question or raise CARE_CONTEXT"
        )
        self.tokens = tokens
        self.limit = limit


class UnknownLora(EngineError):
    """The request names a LoRA this engine does not have."""


class LoraMissing(EngineError):
    """The shelf has no LoRA of that id."""


class LoraDamaged(EngineError):
    """A LoRA is not what its manifest says, or can't be safe to load."""


class LoraBaseMismatch(EngineError):
    """A LoRA was trained on another base model than the one that runs."""


class NothingToRollBack(EngineError):
    """No LoRA is live."""


class OutOfMemory(EngineError):
    """A pass of the network did not fit into memory."""


class GenerationFailed(EngineError):
    """The network failed under this request."""
