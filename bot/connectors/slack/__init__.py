"""The Slack connector; nothing else of CARE knows slack-bolt or slack-sdk."""
