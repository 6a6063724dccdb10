"""An OpenAI-compatible server around one stack."""
