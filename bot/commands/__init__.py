"""The verbs of `care` that belong to the bot."""
