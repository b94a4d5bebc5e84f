"""The verbs of `care` that belong to the night. They know the rim of the bot: settings, exit codes, the running server."""
