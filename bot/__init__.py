"""The chatbot: connectors, service, store and the `care` command. Knows the model only through `model.engine`."""

__version__ = "0.1.0"
