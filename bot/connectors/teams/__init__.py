"""The Teams connector; nothing else of CARE knows botbuilder."""
