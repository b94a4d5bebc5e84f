"""The nightly job: rated turns become examples, examples a LoRA, and the LoRA the live one if it proved better."""
